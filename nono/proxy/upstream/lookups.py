"""Resolve names in threads that exist before the command does.

libuv starts threads for the first look-up and calls abort(3) if it cannot. The command, which starts before
the event loop is imported, may have used up its user's limit of processes by then.

A name whose server does not answer keeps its thread for 10 s and more. So further threads start while all are
busy, up to a bound, and a look-up that nobody waits for any longer is not begun (ADR 109).
"""

from __future__ import annotations

import _socket
from _queue import SimpleQueue  # not from queue, which also imports threading and heapq
from _thread import start_new_thread
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from nono.errors import NonoError
from nono.kernel.signals import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import Future

THREADS = 4  # as many as libuv starts
THREADS_MAX = 32


class Lookups:
    """The resolver of one proxy; lookups() makes and ends it."""

    def __init__(self) -> None:
        self._wanted: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = 0
        self._unfinished = 0  # look-ups that wait for a thread or have one

    def start(self) -> None:
        """Start the threads. Raises RuntimeError if no thread can be started."""
        for _ in range(THREADS):
            self._start_thread()

    def end(self) -> None:
        """End each thread once it is idle, without waiting for it."""
        for _ in range(self._threads):
            self._wanted.put(None)

    async def __call__(self, host: str, port: int) -> list[str]:
        """Return the addresses of `host` from getaddrinfo(3), in its order.

        Raises OSError if there are none.
        """
        # Imported here: this object is created before asyncio is imported, and called by a running loop.
        from asyncio import get_running_loop

        found: Future[list[str]] = get_running_loop().create_future()
        self._unfinished += 1
        if self._threads < min(self._unfinished, THREADS_MAX):
            with suppress(RuntimeError):  # no more threads here: it waits for one of those there are
                self._start_thread()
        self._wanted.put(lambda: _look_up(host, port, found, self._finished))
        return await found

    def _finished(self) -> None:
        self._unfinished -= 1

    def _start_thread(self) -> None:
        start_new_thread(self._serve, ())
        self._threads += 1

    def _serve(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # signals are for the main thread
        while (look_up := self._wanted.get()) is not None:
            look_up()


@contextmanager
def lookups() -> Iterator[Lookups]:
    """Yield a resolver whose threads run until the block is left. Raises NonoError if they cannot start."""
    resolver = Lookups()
    try:
        try:
            resolver.start()
        except RuntimeError as error:
            raise NonoError(
                "the threads that look names up cannot be started.",
                hint="your user may have no more processes and threads (ulimit -u), or nono no more memory "
                "(ulimit -v): end some programs, or raise that limit",
            ) from error
        yield resolver
    finally:
        resolver.end()


def _look_up(host: str, port: int, found: Future[list[str]], finished: Callable[[], None]) -> None:
    """Resolve `host` and pass the result to the loop. Called in a thread; the loop calls `finished`."""
    settle: Callable[[], None] | None = None
    try:
        if not found.done():
            # In text, Python looks for names that are not ASCII: the first waits 2 ms for the import of IDNA.
            name = host.encode("ascii") if host.isascii() else host
            entries = _socket.getaddrinfo(name, port, type=_socket.SOCK_STREAM)
            addresses = list(dict.fromkeys(str(sockaddr[0]) for _, _, _, _, sockaddr in entries))
            settle = partial(found.set_result, addresses)
    except Exception as error:  # includes names that getaddrinfo(3) rejects
        settle = partial(found.set_exception, error)

    def on_loop() -> None:
        finished()
        if settle is not None and not found.done():  # else nobody waits any longer
            settle()

    with suppress(RuntimeError):  # the loop is closed
        found.get_loop().call_soon_threadsafe(on_loop)
