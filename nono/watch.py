"""Add a socket to epoll before libuv does, because libuv aborts when epoll_ctl(2) fails."""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
from contextlib import suppress
from typing import Any, cast
from weakref import WeakKeyDictionary


class _Watched:
    """The epoll of a loop, and the number up to which libuv has room for what it watches."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # A duplicate, because an epoll object closes its descriptor.
        self.epoll = select.epoll.fromfd(os.dup(cast(Any, loop)._get_backend_id()))
        self.room = 0


_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Watched] = WeakKeyDictionary()


def watch(descriptor: int) -> None:
    """Add `descriptor` to the epoll of the running loop; libuv then only modifies the entry.

    The watch ends when the descriptor is closed, or when an event arrives while the transport neither reads
    nor writes: libuv then removes it.

    Raises OSError ENOSPC if the user has reached fs.epoll.max_user_watches, EMFILE if no file can be opened.
    """
    loop = asyncio.get_running_loop()
    watched = _of_loops.get(loop)
    if watched is None:
        if not hasattr(loop, "_get_backend_id"):  # asyncio's own loop raises the error itself
            return
        watched = _of_loops[loop] = _Watched(loop)
    if descriptor >= watched.room:
        watched.room = _make_room(loop, descriptor)
    with suppress(FileExistsError):
        watched.epoll.register(descriptor, 0)


def _make_room(loop: asyncio.AbstractEventLoop, descriptor: int) -> int:
    """Have libuv make room for `descriptor`, and return up to where it has room.

    An error or a hang-up is reported whatever is watched for. Where it comes before a transport has made
    room, as in a connection that is refused at once, libuv aborts (uv__io_poll: fd < loop->nwatchers).
    """
    above = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, descriptor)
    try:
        loop.add_reader(above, int)
        loop.remove_reader(above)
    finally:
        os.close(above)
    return above + 1
