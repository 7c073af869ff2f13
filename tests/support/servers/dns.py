"""A DNS server for tests that counts the questions and answers each from a script."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

TYPE_A, CLASS_IN = 1, 1
NXDOMAIN = 3


@dataclass(slots=True)
class Questions:
    """The questions received, in order, as (name, type)."""

    asked: list[tuple[str, int]] = field(default_factory=list)

    def names(self) -> set[str]:
        return {name for name, _ in self.asked}


def _question(packet: bytes) -> tuple[str, int, int]:
    """Return the name and type of the first question, and where it ends (RFC 1035 section 4.1.2)."""
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1 : at + 1 + packet[at]].decode("latin-1"))
        at += 1 + packet[at]
    return ".".join(labels).lower(), int.from_bytes(packet[at + 1 : at + 3], "big"), at + 5


def _answer(packet: bytes, addresses: list[str], end: int, *, exists: bool) -> bytes:
    flags = 0x8180 | (0 if exists else NXDOMAIN)
    header = packet[:2] + struct.pack("!5H", flags, 1, len(addresses), 0, 0)
    records = [
        struct.pack("!3HIH", 0xC00C, TYPE_A, CLASS_IN, 0, 4) + socket.inet_aton(each) for each in addresses
    ]
    return header + packet[12:end] + b"".join(records)


@contextmanager
def dns_server(zone: Mapping[str, list[list[str]]], host: str = "127.0.0.1") -> Iterator[Questions]:
    """Run a server.

    zone: for each name the addresses of its first answer, its second, ...; the last repeats.
    """
    questions = Questions()
    given: dict[str, int] = {}
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((host, 53))

    def serve() -> None:
        while True:
            packet, client = server.recvfrom(4096)
            if not packet:
                return
            name, kind, end = _question(packet)
            questions.asked.append((name, kind))
            addresses: list[str] = []
            if kind == TYPE_A and name in zone:
                turn = given.get(name, 0)
                given[name] = turn + 1
                addresses = zone[name][min(turn, len(zone[name]) - 1)]
            server.sendto(_answer(packet, addresses, end, exists=name in zone), client)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield questions
    finally:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stop:
            stop.sendto(b"", server.getsockname())
        thread.join()
        server.close()


def query(name: str) -> bytes:
    """Return a query for the IPv4 addresses of a host."""
    labels = b"".join(bytes([len(each)]) + each for each in name.encode().split(b"."))
    return struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1)
