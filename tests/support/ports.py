"""Find ports that nobody listens on or is given before they are used, or where nobody answers."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count, islice

# Below the range from which the kernel assigns ports (ip_local_port_range): when many tests run at the same
# time, a port from that range may be in use again as soon as it is returned.
FIRST, COUNT = 10_000, 22_000
STRIDE = 257  # some tests need a port whose first byte differs from that of the previous one


def share_of(worker: int, workers: int) -> range:
    """Return the ports of one of pytest-xdist's workers, so that no two of them are given the same one."""
    size = COUNT // workers
    return range(FIRST + worker * size, FIRST + (worker + 1) * size)


_share = share_of(
    int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")),
    int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")),
)
_positions = count(secrets.randbelow(len(_share)), STRIDE)  # each process starts at another place


def unused_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on at the moment."""
    for position in islice(_positions, len(_share)):
        port = _share[position % len(_share)]
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise RuntimeError("no free port")


@contextmanager
def unanswered() -> Iterator[int]:
    """Yield a port whose backlog is full: the kernel drops further attempts to connect, which go on."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as stack:
        for _ in range(4):
            attempt = stack.enter_context(socket.socket())
            attempt.setblocking(False)
            attempt.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
