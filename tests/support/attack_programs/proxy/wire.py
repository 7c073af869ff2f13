"""Send scripted bytes to the proxy and report what is received, as the script on standard input says.

The script is JSON: a list of connections, each a list of steps. ["send", HEX], ["read_head"], ["read"] (to
the end), ["hello", SNI] (a TLS ClientHello for a name, "" for none), ["repeat", HEX, TIMES]. In the bytes
sent, $TOKEN and $PHANTOM stand for the Basic credentials of the proxy URL and for DEMO_KEY. The report
contains, for each connection, everything that was received, in latin-1.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import sys
from contextlib import suppress
from urllib.parse import urlsplit

from support.attack_programs.outcome import proxy, report

TIMEOUT_S = 20


def client_hello(name: str) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name or None)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake cannot end here")


def filled(text: str) -> bytes:
    parts = urlsplit(os.environ["HTTP_PROXY"])
    token = base64.b64encode(f"{parts.username}:{parts.password}".encode())
    phantom = os.environ.get("DEMO_KEY", "no-phantom").encode()
    return bytes.fromhex(text).replace(b"$TOKEN", token).replace(b"$PHANTOM", phantom)


class Wire:
    """One connection to the proxy and what it has received."""

    def __init__(self) -> None:
        self._socket = socket.create_connection(proxy(), TIMEOUT_S)
        self.received = b""

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def read_head(self) -> None:
        start = len(self.received)
        while b"\r\n\r\n" not in self.received[start:]:
            if not self._receive():
                return

    def read(self) -> None:
        while self._receive():
            pass

    def _receive(self) -> bytes:
        piece = self._socket.recv(65536)
        self.received += piece
        return piece

    def close(self) -> None:
        self._socket.close()


def play(steps: list[list[str | int]]) -> str:
    wire = Wire()
    try:
        follow(wire, steps)
    except OSError as error:
        # A peer that has answered and closed early ends the sending, but its answer can still be read.
        failure = f"<{type(error).__name__}>".encode()
        with suppress(OSError):
            wire.read()
        wire.received += failure
    finally:
        wire.close()
    return wire.received.decode("latin-1")


def follow(wire: Wire, steps: list[list[str | int]]) -> None:
    for kind, *rest in steps:
        if kind == "send":
            wire.send(filled(str(rest[0])))
        elif kind == "repeat":
            for _ in range(int(rest[1])):
                wire.send(filled(str(rest[0])))
        elif kind == "hello":
            wire.send(client_hello(str(rest[0])))
        elif kind == "read_head":
            wire.read_head()
        else:
            wire.read()


if __name__ == "__main__":
    report([play(steps) for steps in json.load(sys.stdin)])
