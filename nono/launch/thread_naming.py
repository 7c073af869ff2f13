"""Has names of threads opened for the command, where that was granted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nono.audit.event import Recorder
from nono.launch.start import RunContext

if TYPE_CHECKING:
    from nono.supervisor.notify_loop import PathCalls


@contextmanager
def with_thread_names(
    start: RunContext, listener: int | None, record: Recorder, others: PathCalls | None
) -> Iterator[PathCalls | None]:
    """What serves the trapped opens of a launcher that is restricted and not yet the command.

    others: what serves those that are no name of a thread; None: the kernel does, if opens are trapped.
    """
    if listener is None or not start.prepared.enforcement.names_threads:
        yield others
        return
    # Imported here: few runs name threads.
    from nono.supervisor.file_opens import command_of
    from nono.supervisor.thread_names import ThreadNames

    with command_of(start.launcher.pid) as command:
        yield ThreadNames(listener, command, record, others)
