"""Append to the ledger of sessions, one process at a time; a damaged ledger is set aside and committed to."""

from __future__ import annotations

import _thread
import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

from nono.audit.proof.entries import Entry, aside_name, epoch_after, following, last_of, line_of
from nono.digests import sha256
from nono.disk.durable import unfinished
from nono.disk.file_lock import locked_within

LEDGER_FILE, LOCK_FILE = "ledger.ndjson", "ledger.lock"
TAIL_BYTES = 4096  # verified at the end of a ledger before appending: some ten entries
PATIENCE_S = 5.0
_OPEN = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def append(
    directory: int, session_id: str, session_digest: str, completed_at: str, *, sync: Sequence[int] = ()
) -> str | None:
    """Append the entry of a session, on stable storage when this returns.

    directory: Descriptor of the directory of the audit logs, which is synced too.
    sync: Further descriptors to sync at the same time.

    Returns None, or a sentence: the ledger was damaged, so it was set aside and a new one begun, whose first
    entry commits to the bytes of the old one. Raises OSError: the ledger is unchanged, or cannot be synced.
    """
    with ExitStack() as stack:
        with _locked(directory):
            fd = _opened(directory, LEDGER_FILE, os.O_CREAT)
            stack.callback(os.close, fd)
            damage = None
            try:
                last = _last(fd)
            except ValueError as error:
                damage = str(error)
                fd, last = _new_epoch(directory, fd, completed_at)
                stack.callback(os.close, fd)
            _write(fd, line_of(following(last, session_id, session_digest, completed_at)))
        # After releasing the lock, so that nobody waits for it.
        together(*(partial(os.fsync, each) for each in (fd, directory, *sync)))
    if damage is None or last is None:
        return None
    kept = aside_name(last.session_digest)
    return f"the ledger of sessions was damaged ({damage}): it is kept as {kept}, and a new one was begun"


def together(*works: Callable[[], None]) -> None:
    """Run works concurrently, and return when all have ended. Raises the first OSError.

    A file system writes its journal once for everything synced at the same time.
    """
    errors: list[OSError] = []
    running = []

    def run(work: Callable[[], None], done: _thread.LockType) -> None:
        try:
            work()
        except OSError as error:
            errors.append(error)
        finally:
            done.release()

    for work in works:
        done = _thread.allocate_lock()
        done.acquire()
        running.append(done)
        try:
            _thread.start_new_thread(run, (work, done))
        except RuntimeError:  # no thread can be started: run them one after the other
            run(work, done)
    for done in running:
        done.acquire()
    if errors:
        raise errors[0]


def settled_size(directory: int, ledger: int) -> int:
    """Return the size of the ledger, an open descriptor, while nobody appends to it. Raises OSError."""
    with suppress(OSError), _locked(directory):  # a copy on a read-only medium has no lock
        return os.fstat(ledger).st_size
    return os.fstat(ledger).st_size


@contextmanager
def _locked(directory: int) -> Iterator[None]:
    """Hold the lock of the ledger. Raises OSError EAGAIN if another process holds it for PATIENCE_S."""
    lock = _opened(directory, LOCK_FILE, os.O_CREAT)
    try:
        if not locked_within(lock, PATIENCE_S):
            raise OSError(errno.EAGAIN, f"locked by another process for {PATIENCE_S:.0f} s", LOCK_FILE)
        yield
    finally:
        os.close(lock)  # also unlocks it, as the end of this process would


def _opened(directory: int, name: str, flags: int) -> int:
    fd = os.open(name, _OPEN | flags, 0o600, dir_fd=directory)
    found = os.fstat(fd)
    if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
        return fd
    os.close(fd)
    raise OSError(errno.EPERM, "not a file of this user", name)


def _last(fd: int) -> Entry | None:
    """Return the last entry. Raises ValueError if the end of the ledger is damaged."""
    size = os.fstat(fd).st_size
    start = max(0, size - TAIL_BYTES)
    return last_of(os.pread(fd, TAIL_BYTES, start), is_whole=start == 0)


def _write(fd: int, line: bytes) -> None:
    """Append one line, or nothing. Raises OSError."""
    size = os.fstat(fd).st_size
    try:
        written = os.write(fd, line)
        if written != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), LEDGER_FILE)
    except OSError:
        with suppress(OSError):
            os.ftruncate(fd, size)
        raise


def _new_epoch(directory: int, damaged: int, at: str) -> tuple[int, Entry]:
    """Begin a ledger that replaces a damaged one. Returns its descriptor and its first entry.

    The old one gets its second name before the new one takes its first: if nono is killed in between, either
    the damaged ledger is still in place, or the new one has committed to it.
    """
    digest = _digest(damaged)
    first = epoch_after(digest, at)
    with unfinished(directory, LEDGER_FILE, is_shared=False) as file:
        file.write(line_of(first))
        with suppress(FileExistsError):  # we were killed before, right here
            os.link(LEDGER_FILE, aside_name(digest), src_dir_fd=directory, dst_dir_fd=directory)
    return _opened(directory, LEDGER_FILE, 0), first


def _digest(fd: int) -> str:
    digest, offset = sha256(), 0
    while chunk := os.pread(fd, 1 << 20, offset):
        digest.update(chunk)
        offset += len(chunk)
    return digest.hexdigest()
