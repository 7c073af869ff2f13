"""Add a socket to epoll before libuv does, because libuv aborts when epoll_ctl(2) fails."""

from __future__ import annotations

import asyncio
import os
import select
from contextlib import suppress
from typing import Any, cast
from weakref import WeakKeyDictionary

_epolls: WeakKeyDictionary[asyncio.AbstractEventLoop, select.epoll] = WeakKeyDictionary()


def watch(descriptor: int) -> None:
    """Add `descriptor` to the epoll of the running loop; libuv then only modifies the entry.

    The watch ends when the descriptor is closed, or when an event arrives while the transport neither reads
    nor writes: libuv then removes it.

    Raises OSError ENOSPC if the user has reached fs.epoll.max_user_watches.
    """
    loop = asyncio.get_running_loop()
    epoll = _epolls.get(loop)
    if epoll is None:
        if not hasattr(loop, "_get_backend_id"):  # asyncio's own loop raises the error itself
            return
        # A duplicate, because an epoll object closes its descriptor.
        epoll = _epolls[loop] = select.epoll.fromfd(os.dup(cast(Any, loop)._get_backend_id()))
    with suppress(FileExistsError):
        epoll.register(descriptor, 0)
