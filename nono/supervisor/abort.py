"""Ends a run in order when C code calls abort(3), as libuv does without a watch or a thread to be had."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nono.kernel import signals

EXIT_CODE = 128 + signal.SIGABRT
PATIENCE_S = 20  # for the end of the run; it kills what forks faster than it can be killed for 6 of them
_USED_UP = "your user's processes, epoll watches or memory are used up"
REASON = f"the event loop gave up, and the command was ended: {_USED_UP}"
REASON_OF_A_PROXY = f"the event loop gave up, and the proxy ended: {_USED_UP}"


@contextmanager
def ended_in_order(end: Callable[[], None]) -> Iterator[None]:
    """Call `end` if this process calls abort(3) inside the block, then exit.

    The frames below never go on, so `end` must leave the blocks that matter.
    """
    ours = os.getpid()

    def on_abort(_: int) -> None:
        if os.getpid() != ours:
            return  # a child of ours: abort(3) then ends it
        signal.alarm(PATIENCE_S)  # kills us if whoever aborted holds a lock that is needed now
        try:
            end()
        finally:
            os._exit(EXIT_CODE)

    with signals.handled(signal.SIGABRT, on_abort):
        yield
