"""Ports that nobody listens on, and that nobody else is given before they are used."""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress
from itertools import count, islice

# Below what the kernel gives to whoever asks for any port (ip_local_port_range): where many tests run at the
# same time, such a port may be somebody else's as soon as it is given back.
FIRST, COUNT = 10_000, 22_000
STRIDE = 257  # some need a port whose first byte is not that of the last one
_positions = count(secrets.randbelow(COUNT), STRIDE)  # each process begins somewhere else


def unused_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on right now."""
    for position in islice(_positions, COUNT):
        port = FIRST + position % COUNT
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise RuntimeError("no free port")
