"""Write the records of sessions: one file each, atomically, in a directory private to this user."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from posixpath import join

from nono import paths
from nono.clock import rfc3339, unix_ms
from nono.disk.descriptor import read_at_most
from nono.disk.durable import FULL, unfinished, write_over
from nono.errors import NonoError
from nono.private_dir import open_private_dir
from nono.sessions import ends
from nono.sessions.processes import boot_id, killed_for_memory, pid_namespace, process_stat
from nono.sessions.record import ATTACHED, EXITED, LOST, RUNNING, End, Record, to_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

SUFFIX = ".json"
CAST, OLDER_CAST = ".cast", ".cast.1"  # the recorded screen, if any, and its older part
SOCKET, KEY, STOP, ASKS = ".sock", ".key", ".stop", ".asks"  # files beside the record while a session runs
RECORD_BYTES_MAX = 4 * 1024 * 1024  # an argument list may take 2 MiB
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def directory_of(environ: Mapping[str, str]) -> str:
    return join(paths.state_root(environ), "sessions")


class Registry:
    """The open directory of records. A context manager."""

    def __init__(self, environ: Mapping[str, str], *, create: bool) -> None:
        """Raises OSError like open_private_dir()."""
        self.path = directory_of(environ)
        if create:
            os.close(open_private_dir(paths.state_root(environ), create=True))
        self.fd = open_private_dir(self.path, create=create)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)

    def is_in_place(self) -> bool:
        """Return False once somebody has moved or removed the directory, or one above it."""
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self.fd))
        except OSError:
            return False

    def write(self, record: Record) -> None:
        """Write a record atomically: a reader finds the old or the new one. Raises OSError.

        On a full disk a record that is there is written over: a run that has ended is not one that crashed.
        """
        name, content = record.session_id + SUFFIX, to_json(record)
        try:
            self.put(name, content)
        except OSError as error:
            if error.errno not in FULL:
                raise
            try:
                write_over(self.fd, name, content)
            except OSError:
                raise error from None

    def put(self, name: str, content: bytes) -> None:
        """Write a file of this user alone, like write()."""
        # Not synced: after a power cut no session is left that the record could be wrong about (ADR 40).
        with unfinished(self.fd, name, syncs=False) as file:
            file.write(content)

    def open(self, name: str) -> int | None:
        """Open a file of this user for reading; None if it is missing or not trustworthy."""
        try:
            descriptor = os.open(name, _READ, dir_fd=self.fd)
        except OSError:
            return None
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077:
            return descriptor
        os.close(descriptor)
        return None

    def read(self, name: str) -> bytes | None:
        """Return the content of a file of this user; None if it is missing or not trustworthy."""
        descriptor = self.open(name)
        if descriptor is None:
            return None
        try:
            content = read_at_most(descriptor, RECORD_BYTES_MAX + 1)
            return content if len(content) <= RECORD_BYTES_MAX else None
        except OSError:
            return None
        finally:
            os.close(descriptor)

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.fd)


class Entry:
    """The record of the session that this process supervises. Only this process writes it."""

    def __init__(self, registry: Registry, record: Record) -> None:
        self.registry = registry
        self.record = record

    def update(self, **changes: Any) -> None:
        """Change fields and write the record. If that fails, the file stays unchanged."""
        self.record = self.record._replace(**changes)
        with suppress(OSError):
            self.registry.write(self.record)

    def ended(self, exit_code: int, end: End) -> None:
        """Write the end of the session, once."""
        if not self.record.is_ended:
            self.update(status=EXITED, exit_code=exit_code, end=end, ended_unix_ms=unix_ms())

    def stop_request(self) -> bytes | None:
        """Return the request that `nono stop` wrote, or None; see nono.sessions.stopping."""
        return self.registry.read(self.record.session_id + STOP)

    def asks(self, questions: bytes | None) -> None:
        """Write the open questions (nono.approval.listing), or remove them (None)."""
        name = self.record.session_id + ASKS
        with suppress(OSError):
            if questions is None:
                self.registry.remove(name)
            else:
                self.registry.put(name, questions)

    def close(self, error: BaseException | None) -> None:
        if not self.record.is_ended:
            if isinstance(error, NonoError):
                self.ended(error.exit_code, End(ends.NOT_STARTED, detail=error.message))
            else:
                detail = None if error is None else str(error) or type(error).__name__
                self.ended(LOST, End(ends.FAILED, by="nono", detail=detail))
        with suppress(OSError):
            for suffix in (SOCKET, KEY, STOP, ASKS):
                self.registry.remove(self.record.session_id + suffix)


@contextmanager
def registered(registry: Registry, record: Record) -> Iterator[Entry]:
    """Keep the record of a session, which was just written; leaving the block writes the end."""
    entry = Entry(registry, record)
    try:
        yield entry
    except BaseException as error:
        entry.close(error)
        raise
    entry.close(None)


def new_record(
    session_id: str,
    *,
    name: str,
    child_pid: int,
    command: list[str],
    profile: str | None,
    network: str,
    has_audit: bool,
) -> Record:
    """Return the record of a session that this process is about to supervise."""
    own = process_stat(os.getpid())
    return Record(
        session_id,
        name,
        os.getpid(),
        child_pid,
        rfc3339(),
        0 if own is None else own.started_ticks,
        RUNNING,
        ATTACHED,
        None,
        tuple(command),
        profile,
        os.getcwd(),
        network,
        session_id if has_audit else None,
        started_unix_ms=unix_ms(),
        host=os.uname().nodename,
        boot=boot_id(),
        pid_namespace=pid_namespace(),
        oom_kills=killed_for_memory(),
    )
