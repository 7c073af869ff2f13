"""Watches a socket before libuv does, because libuv aborts where epoll_ctl(2) fails."""

from __future__ import annotations

import asyncio
import os
import select
from contextlib import suppress
from typing import Any, cast
from weakref import WeakKeyDictionary

_epolls: WeakKeyDictionary[asyncio.AbstractEventLoop, select.epoll] = WeakKeyDictionary()


def watch(descriptor: int) -> None:
    """Add `descriptor` to the epoll of the running loop, which then only changes what it waits for.

    The watch ends with the descriptor, or when an event comes while the transport neither reads nor writes:
    libuv gives the watch up then. Raises OSError ENOSPC if the user has no other
    (fs.epoll.max_user_watches).
    """
    loop = asyncio.get_running_loop()
    epoll = _epolls.get(loop)
    if epoll is None:
        if not hasattr(loop, "_get_backend_id"):  # asyncio's own, which raises the error itself
            return
        # A duplicate, because an epoll object closes its descriptor.
        epoll = _epolls[loop] = select.epoll.fromfd(os.dup(cast(Any, loop)._get_backend_id()))
    with suppress(FileExistsError):
        epoll.register(descriptor, 0)
