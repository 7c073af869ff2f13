"""Abuse the name server of the command's own network, and the addresses that it gives.

looked_up SERVER GRANTED REFUSED: SERVER is the name server of /etc/resolv.conf.
"""

from __future__ import annotations

import random
import socket
import struct
import sys
from collections.abc import Iterator

from support.attack_programs.outcome import Attempt, outcome, proxy, report

FLOOD, GARBAGE = 3000, 3000
A, PTR, AXFR, ANY = 1, 12, 252, 255


def query(name: str, kind: int = A) -> bytes:
    labels = b"".join(bytes([len(each)]) + each for each in name.encode().split(b"."))
    header = struct.pack("!6H", random.getrandbits(16), 0x0100, 1, 0, 0, 0)
    return header + labels + b"\0" + struct.pack("!2H", kind, 1)


class Resolver:
    def __init__(self, server: str) -> None:
        self._server = server
        self._own = socket.socket(type=socket.SOCK_DGRAM)
        self._own.settimeout(20)

    def ask(self, message: bytes) -> bytes:
        self._own.sendto(message, (self._server, 53))
        while True:
            said, sender = self._own.recvfrom(4096)
            assert sender == (self._server, 53)
            if said[:2] == message[:2]:
                return said

    def address(self, name: str, kind: int = A) -> str | None:
        message = query(name, kind)
        said = self.ask(message)
        count = int.from_bytes(said[6:8], "big")
        return socket.inet_ntoa(said[-4:]) if count else None

    def send(self, message: bytes) -> None:
        self._own.sendto(message, (self._server, 53))


def garbage() -> Iterator[bytes]:
    """Yield queries with bytes changed, cut and appended, and bytes of no query at all."""
    chosen = random.Random(1)
    for _ in range(GARBAGE):
        message = bytearray(query("a" * chosen.randrange(64) + ".test", chosen.randrange(300)))
        for _ in range(chosen.randrange(4)):
            message[chosen.randrange(len(message))] = chosen.randrange(256)
        yield bytes(message[: chosen.randrange(len(message) + 1)]) + chosen.randbytes(
            chosen.choice((0, 0, 9))
        )
    yield from (b"", b"\0", bytes(65_000), query("a")[:12] + b"\xc0\x0c" * 30)


def connects(host: str, port: int) -> Attempt:
    def attempt() -> None:
        with socket.socket() as own:
            own.settimeout(20)
            own.connect((host, port))

    return attempt


def speaks(host: str, port: int, first: bytes) -> Attempt:
    """Connect, and report an error if the connection ends before anything is said."""

    def attempt() -> None:
        with socket.socket() as own:
            own.settimeout(20)
            own.connect((host, port))
            own.sendall(first)
            if not own.recv(1):
                raise ConnectionResetError(104, "end")

    return attempt


def main(server: str, granted: str, refused: str) -> None:
    _, proxy_port = proxy()
    resolver = Resolver(server)
    address = resolver.address(granted)
    assert address is not None
    others = {kind: resolver.address(granted, kind) for kind in (PTR, AXFR, ANY)}
    for message in garbage():
        resolver.send(message)
    mine = socket.socket(type=socket.SOCK_DGRAM)
    mine.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    mine.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    first, last = address.rsplit(".", 1)
    report(
        {
            "address": address,
            "again": resolver.address(granted.upper()),
            "others": others,
            "refused": resolver.address(refused),
            "takes its port": outcome(lambda: mine.bind((server, 53))),
            "next address": outcome(connects(f"{first}.{int(last) + 100}", 443)),
            "no host's": outcome(connects("198.19.255.254", 443)),
            "another port": outcome(speaks(address, 444, b"\x16\x03\x01")),
            "the proxy's port": outcome(speaks(address, proxy_port, b"\x16\x03\x01")),
            "no TLS": outcome(speaks(address, 443, b"POST / HTTP/1.1\r\nHost: x\r\n\r\n")),
            # Last: that many refusals are counted together.
            "flood": {resolver.address(f"{number}.{refused}") for number in range(FLOOD)} == {None},
        }
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
