"""Find ports that nobody listens on, and that nobody else is given before they are used."""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress
from itertools import count, islice

# Below the range from which the kernel assigns ports (ip_local_port_range): when many tests run at the same
# time, a port from that range may be in use again as soon as it is returned.
FIRST, COUNT = 10_000, 22_000
STRIDE = 257  # some tests need a port whose first byte differs from that of the previous one
_positions = count(secrets.randbelow(COUNT), STRIDE)  # each process starts at another place


def unused_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on at the moment."""
    for position in islice(_positions, COUNT):
        port = FIRST + position % COUNT
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise RuntimeError("no free port")
