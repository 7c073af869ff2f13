"""Run listeners that must not be reached. What reaches them is counted by the name they were given."""

from __future__ import annotations

import os
import selectors
import socket
import threading
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

from support.ports import unused_port

BACKLOG = 4096


class Canary:
    """A context manager whose thread takes what arrives, so that no accept queue ever fills."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._sockets: list[socket.socket] = []
        self._wake, self._woken = os.pipe()[::-1]
        self._seen: Counter[str] = Counter()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._selector.register(self._woken, selectors.EVENT_READ)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        self._selector.close()
        for listener in self._sockets:
            listener.close()
        os.close(self._wake)
        os.close(self._woken)

    def tcp(self, name: str, host: str = "127.0.0.1", port: int | None = None) -> int:
        """Listen, and return the port. By default nobody listens on that port of 127.0.0.1 either."""
        port = unused_port() if port is None else port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._add(name, socket.create_server((host, port), family=family, backlog=BACKLOG))
        return port

    def udp(self, name: str, host: str = "127.0.0.1", port: int = 0) -> int:
        receiver = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        receiver.bind((host, port))
        self._add(name, receiver)
        return int(receiver.getsockname()[1])

    def unix(self, name: str, address: Path | str, kind: socket.SocketKind = socket.SOCK_STREAM) -> None:
        """Listen on address: a path that everybody may connect to, or an abstract name starting with NUL."""
        listener = socket.socket(socket.AF_UNIX, kind)
        listener.bind(str(address))
        if isinstance(address, Path):
            address.chmod(0o777)
        if kind != socket.SOCK_DGRAM:
            listener.listen(BACKLOG)
        self._add(name, listener)

    def start(self) -> Self:
        """Start to take what arrives. Listeners are added before."""
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def seen(self) -> dict[str, int]:
        """Return everything that has arrived. Nothing is taken afterwards.

        A connection is in its accept queue, and a datagram in its buffer, before the sender's call returns.
        Once the sender has ended, whatever is missing here was never sent.
        """
        self._stop()
        for listener in self._sockets:
            while self._take(listener):
                pass
        return dict(self._seen)

    def _add(self, name: str, listener: socket.socket) -> None:
        listener.setblocking(False)
        self._sockets.append(listener)
        self._selector.register(listener, selectors.EVENT_READ, name)

    def _stop(self) -> None:
        if self._thread is not None:
            os.write(self._wake, b"!")
            self._thread.join()
            self._thread = None

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj == self._woken:
                    return
                assert isinstance(key.fileobj, socket.socket)
                self._take(key.fileobj)

    def _take(self, listener: socket.socket) -> bool:
        name: str = self._selector.get_key(listener).data
        try:
            if listener.type == socket.SOCK_DGRAM:
                listener.recv(65536)
            else:
                listener.accept()[0].close()
        except BlockingIOError:
            return False
        except OSError:  # reset by the peer before it was accepted: it has arrived all the same
            pass
        self._seen[name] += 1
        return True
