"""Write the audit log of one session: appended before an action is carried out, synchronised soon after."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import ExitStack
from posixpath import join

from nono.audit.chain import ChainState, Encoder, Integrity, record_line
from nono.audit.event import (
    Again,
    Event,
    audit_budget_reached,
    audit_unrecorded,
)
from nono.audit.repeats import is_action, is_repeatable, repeats_of
from nono.digests import quick_sha256
from nono.paths import is_session_id
from nono.private_dir import make_private_subdir, open_private_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

EVENT_FILE = "audit-events.ndjson"

BUDGET_BYTES = 1024 * 1024 * 1024  # for each session
LEAST_BUDGET_BYTES = 1024 * 1024
SHARE_OF_DISK = 10  # a session may use a tenth of the free disk space, so that some is always left

_BOUNDS = ("session_started", "session_ended")


def new_session_id() -> str:
    """Return 16 lower-case hex digits from the kernel's random generator."""
    return os.urandom(8).hex()


class AuditLog:
    """An open, initially empty log; a context manager that synchronises and closes it on exit.

    Not thread-safe, except that :meth:`sync` may run in a worker thread while the owner records.
    """

    def __init__(
        self,
        state_root: str,
        session_id: str,
        *,
        budget_bytes: int = BUDGET_BYTES,
        warn: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        """Create `<state_root>/audit/<session_id>/audit-events.ndjson`, mode 0600, directories 0700.

        budget_bytes: Size at which the log accepts no more actions, unless a tenth of the free disk is less;
          the end of the session is still recorded.
        warn: Takes a sentence when that size is reached, and at the end if the file is not what was written.

        Raises ValueError for a malformed session id. Raises OSError EEXIST if the session id was used before,
        because a second run under it would write a second record 0; other errors like open_private_dir().
        """
        if not is_session_id(session_id):
            raise ValueError(f"a session id has 1 to 64 of A-Z a-z 0-9 _ and -, not {session_id!r}")
        self.session_id = session_id
        self.path = join(state_root, "audit", session_id, EVENT_FILE)
        self._state = ChainState()
        self._encoder = Encoder()
        self._size = 0
        self._warn = warn
        self.bounds: dict[str, Event] = {}  # its session_started and session_ended, once recorded
        self._unrecorded: int | None = None  # refusals beyond the budget; None: it is not reached
        self._dirty = True  # the directory entries themselves are not synced yet
        self._failure: str | None = None
        with ExitStack() as undo:
            os.close(open_private_dir(state_root, create=True))
            self._root_fd = open_private_dir(join(state_root, "audit"), create=True)
            undo.callback(os.close, self._root_fd)
            self._allowed_bytes = budget_bytes
            self._budget_bytes = min(budget_bytes, _share_of_disk(self._root_fd))
            self._dir_fd = make_private_subdir(self._root_fd, session_id)
            undo.callback(os.close, self._dir_fd)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._fd = os.open(EVENT_FILE, flags, 0o600, dir_fd=self._dir_fd)
            undo.pop_all()

    def record(self, event: Event) -> None:
        """Append one line with one write(2); it is in the page cache when this returns.

        Beyond the budget an action is refused with EDQUOT, so that it is not carried out, a refusal is only
        counted, and everything else is appended, because its number is bounded.

        Raises OSError if the event is not in the log; the log is then unchanged, and a later event gets its
        number. Raises TypeError or ValueError if the event cannot be encoded as JSON.
        """
        if self._unrecorded is not None and is_repeatable(event):
            self._pass_over(event)
            return
        if event["type"] == "session_ended":
            self.record_unrecorded()
        line, following = record_line(self._state, self._encoder.encoded(event), quick_sha256())
        self._check_usable()
        if self._unrecorded is None and self._size + len(line) > self._budget_bytes and is_repeatable(event):
            self._close_budget()
            self._pass_over(event)
            return
        sequence = self._state.sequence
        self._append(line, following)
        if isinstance(event, Again):
            event.sequence = sequence
        elif event["type"] in _BOUNDS:
            self.bounds[str(event["type"])] = event

    def _close_budget(self) -> None:
        self._unrecorded = 0
        self.record(audit_budget_reached(self._budget_bytes))
        is_short_of_disk = self._budget_bytes < self._allowed_bytes
        remedy = "free disk space" if is_short_of_disk else "audit.session_max_mb in config.toml"
        self._warn(
            f"the audit log of this run has reached {self._budget_bytes >> 20} MiB: from now on, what must "
            f"be recorded is refused ({remedy} allows more)"
        )

    def _pass_over(self, event: Event) -> None:
        if is_action(event):
            raise OSError(errno.EDQUOT, "audit log: as large as it may be", self.path)
        assert self._unrecorded is not None
        self._unrecorded += repeats_of(event)

    def record_unrecorded(self) -> None:
        """Write the count of refusals beyond the budget: the last record of a log."""
        if unrecorded := self._unrecorded:
            self._unrecorded = 0
            self.record(audit_unrecorded(unrecorded))

    def _append(self, line: bytes, following: ChainState) -> None:
        try:
            written = os.write(self._fd, line)
        except OSError as error:
            error.filename = self.path
            raise
        if written != len(line):
            self._take_back(written)
        self._size += written
        self._state = following
        self._dirty = True

    @property
    def needs_sync(self) -> bool:
        """True if a record is not on stable storage yet; the owner of the log then calls sync() in time."""
        return self._dirty

    def sync(self) -> None:
        """Flush all records to stable storage with fdatasync(2). Raises OSError if they may never get there.

        After a failed fdatasync Linux reports the next as a success although the pages were dropped, so the
        log refuses every later record instead of trusting it.
        """
        self._check_usable()
        if not self._dirty:
            return
        self._dirty = False  # cleared before the call: a record written meanwhile sets it again
        try:
            os.fdatasync(self._fd)
            if self._root_fd >= 0:
                self._sync_directories()
        except OSError as error:
            self._dirty = True
            self._failure = f"synchronising it failed: {error.strerror}"
            raise OSError(error.errno, f"audit log: fdatasync: {error.strerror}", self.path) from error

    def end(self) -> None:
        """Flush all records to stable storage and close; the caller syncs the directories.

        Raises OSError like sync(), but closes all the same.
        """
        for fd in (self._dir_fd, self._root_fd):
            if fd >= 0:
                os.close(fd)
        self._dir_fd = self._root_fd = -1
        self.close()

    def integrity(self) -> Integrity | None:
        """Return count, chain head and Merkle root of the records; None if there are none."""
        return self._state.integrity()

    def close(self) -> None:
        """Synchronise and close; idempotent. Raises OSError like sync(), but closes all the same."""
        if self._fd < 0:
            return
        try:
            if self._failure is None:
                self.record_unrecorded()
                self.sync()
                self._warn_if_changed()
        finally:
            for fd in (self._fd, self._dir_fd, self._root_fd):
                if fd >= 0:
                    os.close(fd)
            self._fd = self._dir_fd = self._root_fd = -1

    def _warn_if_changed(self) -> None:
        """Warn of a file that was removed, cut or added to. What else was changed, its chain tells."""
        found = os.fstat(self._fd)
        if not found.st_nlink:
            self._warn(f"somebody has removed the audit log of this run, {self.path}")
        elif found.st_size != self._size:
            self._warn(f"somebody has changed the audit log of this run: nono audit verify {self.session_id}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_usable(self) -> None:
        if self._failure is not None:
            raise OSError(errno.EIO, f"audit log: unusable since {self._failure}", self.path)
        if self._fd < 0:
            raise OSError(errno.EBADF, "audit log: already closed", self.path)

    def _take_back(self, written: int) -> None:
        """Cut off the torn record left by a full disk, a quota or RLIMIT_FSIZE; always raises OSError."""
        try:
            os.ftruncate(self._fd, self._size)
        except OSError as error:
            self._failure = f"a torn record could not be cut off: {error.strerror}"
        raise OSError(
            errno.ENOSPC, f"audit log: only {written} bytes of a record could be written", self.path
        )

    def _sync_directories(self) -> None:
        """Sync the directories, once per log: otherwise the name may not survive a power cut (fsync(2))."""
        os.fsync(self._dir_fd)
        os.fsync(self._root_fd)
        for fd in (self._dir_fd, self._root_fd):
            os.close(fd)
        self._dir_fd = self._root_fd = -1


def _share_of_disk(directory: int) -> int:
    disk = os.fstatvfs(directory)
    return max(disk.f_bavail * disk.f_frsize // SHARE_OF_DISK, LEAST_BUDGET_BYTES)
