"""An HTTPS endpoint that answers questions as a test says, on a loopback port of its own."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme

WAIT_S = 20.0
Reply = Callable[[dict[str, Any]], bytes]


def ok(document: object) -> bytes:
    body = json.dumps(document).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def saying(word: str) -> Reply:
    return lambda question: ok({"decision": word})


@dataclass
class WebhookServer:
    """The endpoint: its https url and the questions, oldest first. Held questions wait until may is set."""

    url: str
    ca_file: Path
    asked: list[dict[str, Any]] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    began: threading.Event = field(default_factory=threading.Event)
    may: threading.Event = field(default_factory=threading.Event)


@contextmanager
def webhook_server(
    reply: Reply, directory: Path, *, holds: bool = False, trusted: bool = True
) -> Iterator[WebhookServer]:
    """Answer every question with reply's bytes. trusted: whether ca_file belongs to the CA that signed it."""
    signer = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    signer.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    ca_file = directory / "webhook-ca.pem"
    (signer if trusted else trustme.CA()).cert_pem.write_to_path(ca_file)
    ca_file.chmod(0o644)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = WebhookServer(f"https://localhost:{listener.getsockname()[1]}/ask/", ca_file)
        if not holds:
            server.may.set()
        ends = threading.Event()
        listener.settimeout(0.1)

        def serve() -> None:
            while not ends.is_set():
                with suppress(OSError), listener.accept()[0] as connection:
                    connection.settimeout(WAIT_S)
                    with context.wrap_socket(connection, server_side=True) as client:
                        _answer(client, server, reply)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server
        finally:
            ends.set()
            server.may.set()
            thread.join(WAIT_S)


def _answer(client: ssl.SSLSocket, server: WebhookServer, reply: Reply) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += client.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(
        int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
    )
    while len(body) < length:
        body += client.recv(65536)
    server.heads.append(head)
    server.asked.append(json.loads(body))
    server.began.set()
    server.may.wait(WAIT_S)
    client.sendall(reply(server.asked[-1]))
