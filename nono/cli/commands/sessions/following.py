"""Follow the audit log of a session until it ends, sleeping while nothing is written."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from posixpath import join
from typing import BinaryIO

from nono.audit.ledger import EVENT_FILE
from nono.audit.stored import open_file
from nono.cli.commands.sessions.chosen import Chosen
from nono.disk.descriptor import is_readable
from nono.errors import NonoError
from nono.kernel import inotify
from nono.sessions.listing import look
from nono.sessions.processes import pid_namespace, process_stat
from nono.sessions.record import Record

# Used where the kernel reports nothing: a directory on another machine, or a user without free watches.
LOOK_EVERY_S = 1.0


class Follower:
    """The log of one session, and a way to wait for more of it."""

    def __init__(self, session: Chosen, directory: str, queue: int | None, supervisor: int | None) -> None:
        """queue: the inotify descriptor, if it reports new names. supervisor: a pidfd, if it runs here."""
        self._session = session
        self._directory = directory
        self._queue = queue
        self._supervisor = supervisor
        self._poll = select.poll()
        for descriptor in (queue, supervisor):
            if descriptor is not None:
                self._poll.register(descriptor, select.POLLIN)
        self._patience_ms = None if None not in (queue, supervisor) else LOOK_EVERY_S * 1000

    @property
    def is_living(self) -> bool:
        """True while something may still be written: a hook runs after the end of the command."""
        record = look(self._session.registry, self._session.record.session_id)
        if record is None or self._supervisor is None:
            return record is not None and not record.is_ended
        return not is_readable(self._supervisor)

    def opened(self) -> BinaryIO:
        """Open the log, waiting for it if the session has just started; the caller closes it.

        Raises NonoError if there is none.
        """
        while True:
            is_living = self.is_living
            self._watch_names(self._directory)
            try:
                return open_log(self._directory)
            except NonoError:
                if not is_living:
                    raise
            self.wait()

    def batches(self, file: BinaryIO) -> Iterator[list[bytes]]:
        """Yield the lines that are complete so far, then the lines written until the session has ended."""
        if self._queue is not None:
            try:
                inotify.watch_file(self._queue, file.fileno())
            except OSError:  # this user has no watch left
                self._patience_ms = LOOK_EVERY_S * 1000
        while True:
            is_living = self.is_living  # asked before reading, or the last records could be missed
            yield [*complete(file)]
            if not is_living:
                return
            self.wait()

    def wait(self) -> None:
        self._poll.poll(self._patience_ms)
        if self._queue is not None:
            for _ in inotify.changed_names(self._queue):
                pass

    def _watch_names(self, directory: str) -> None:
        if self._queue is not None:
            with suppress(OSError):  # it does not exist yet
                inotify.watch_names(self._queue, directory)


@contextmanager
def following(session: Chosen, directory: str) -> Iterator[Follower]:
    """Follow the log of a session in `directory`, until the block is left."""
    with ExitStack() as stack:
        queue = supervisor = None
        with suppress(OSError):
            made = inotify.new_queue()
            stack.callback(os.close, made)
            inotify.watch_names(made, session.registry.path)  # the record is replaced when the session ends
            inotify.watch_names(made, os.path.dirname(directory))
            queue = made
        if _is_here(session.record):
            with suppress(OSError):
                pidfd = os.pidfd_open(session.record.supervisor_pid)
                stack.callback(os.close, pidfd)
                # Checked after the descriptor is open: from then on it refers to that process or to none.
                supervisor = pidfd if _is_supervisor(session.record) else None
        yield Follower(session, directory, queue, supervisor)


def _is_here(record: Record) -> bool:
    return (record.host, record.pid_namespace) == (os.uname().nodename, pid_namespace())


def _is_supervisor(record: Record) -> bool:
    found = process_stat(record.supervisor_pid)
    return found is not None and found.started_ticks == record.started_epoch


def open_log(directory: str) -> BinaryIO:
    """Open the log of a session; the caller closes it. Raises NonoError."""
    try:
        return open_file(directory, EVENT_FILE)
    except OSError as error:
        where = join(directory, EVENT_FILE)
        raise NonoError(f"the events cannot be read: {where}: {error.strerror}") from error


def complete(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines that are complete so far. The next call continues with the rest."""
    while line := file.readline():
        if not line.endswith(b"\n"):
            file.seek(-len(line), os.SEEK_CUR)
            return
        yield line
