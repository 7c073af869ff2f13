"""A scripted upstream proxy that keeps what it is asked, and answers as a test says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

TIMEOUT_S = 20.0
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@dataclass
class ConnectProxy:
    """A proxy on 127.0.0.1:port. answer writes to the client and returns True if the tunnel follows."""

    answer: Callable[[socket.socket, str], bool]
    leads_to: Mapping[str, int]  # maps "host:port" to a port of 127.0.0.1
    heads: list[bytes] = field(default_factory=list)
    faults: list[BaseException] = field(default_factory=list)
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _sockets: list[socket.socket] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def targets(self) -> list[str]:
        return [head.split(b" ")[1].decode() for head in self.heads]

    def start(self) -> None:
        self._spawn(self._accept)

    def close(self) -> None:
        for each in (self._listener, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in [*self._threads]:
            thread.join(TIMEOUT_S)
        for each in self._sockets:
            each.close()

    def _spawn(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.settimeout(TIMEOUT_S)
                self._sockets.append(client)
                self._spawn(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        try:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = client.recv(4096)
                if not piece:
                    return
                head += piece
            assert head.endswith(b"\r\n\r\n"), "something was sent before the answer"
            self.heads.append(head)
            target = head.split(b" ")[1].decode()
            if not self.answer(client, target):
                return
            behind = socket.create_connection(("127.0.0.1", self.leads_to[target]), TIMEOUT_S)
            self._sockets.append(behind)
            self._spawn(_copy, behind, client)
            _copy(client, behind)
        except OSError:
            pass
        except BaseException as fault:  # reported by the test that closes the proxy
            self.faults.append(fault)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)


def establish(client: socket.socket, target: str) -> bool:
    client.sendall(ESTABLISHED)
    return True


@contextmanager
def connect_proxy(
    leads_to: Mapping[str, int] | None = None,
    answer: Callable[[socket.socket, str], bool] = establish,
) -> Iterator[ConnectProxy]:
    """Yield a running proxy, closed with its connections when the block is left."""
    proxy = ConnectProxy(answer, leads_to or {})
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.close()
    assert not proxy.faults, proxy.faults
