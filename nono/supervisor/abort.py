"""End a run in order when C code calls abort(3), as libuv does when it gets no watch or no thread."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nono.kernel.signals import signal

EXIT_CODE = 128 + signal.SIGABRT
PATIENCE_S = 20  # for the end of the run; killing a command that forks quickly takes 6 of them
_USED_UP = "your user's processes, epoll watches or memory are used up"
REASON = f"the event loop gave up, and the command was ended: {_USED_UP}"
REASON_OF_A_PROXY = f"the event loop gave up, and the proxy ended: {_USED_UP}"

# Takes a signal's number and its handler, a C function, SIG_DFL or SIG_IGN; returns the handler before.
_Install = Callable[[int, object], object]


@contextmanager
def ended_in_order(end: Callable[[], None]) -> Iterator[None]:
    """Call `end` if this process calls abort(3) inside the block, then exit.

    The interrupted frames never continue, so `end` must leave the important blocks itself.
    """
    ours = os.getpid()

    def on_abort(_: int) -> None:
        if os.getpid() != ours:
            return  # a forked child: abort(3) then ends it
        # Kills this process if the aborting code holds a lock needed here; a watchdog may have a handler.
        install(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(PATIENCE_S)
        try:
            end()
        finally:
            os._exit(EXIT_CODE)

    install = _c_signal()
    with _handled(signal.SIGABRT, on_abort, install):
        yield


@contextmanager
def _handled(number: int, handler: Callable[[int], None], install: _Install) -> Iterator[None]:
    """Call `handler` directly from the C signal handler (signal(3)) until the block is left.

    A handler of Python's signal module would run only after the C code that raised the signal has returned.
    """
    callback = ctypes.CFUNCTYPE(None, ctypes.c_int)(handler)
    previous = install(number, ctypes.cast(callback, ctypes.c_void_p))
    try:
        yield
    finally:
        install(number, previous)


def _c_signal() -> _Install:
    """Return signal(3), which every thread may call; Python's is for the main thread."""
    function = ctypes.CDLL(None)["signal"]  # by index: a function object of its own
    function.argtypes, function.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
    return function
