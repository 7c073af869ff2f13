"""Reads the log of a session while it grows."""

from __future__ import annotations

import os
from collections.abc import Iterator

from nono.audit.ledger import EVENT_FILE
from nono.outward.links import BrokenChainError, Link, Links

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_BUFFER_BYTES = 1 << 16


class Tail:
    """The records of one log, each read once; a context manager that closes the file."""

    def __init__(self, session: int) -> None:
        """session: Descriptor of the directory of the session. Raises OSError."""
        self._file = os.fdopen(os.open(EVENT_FILE, _READ, dir_fd=session), "rb", _BUFFER_BYTES)
        self._links = Links()
        self.state = self._links.state  # after the last record that was read

    def __enter__(self) -> Tail:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def fileno(self) -> int:
        return self._file.fileno()

    def records(self) -> Iterator[Link]:
        """Yield the records that are whole by now; the next call goes on behind them.

        Raises BrokenChainError if the log was changed, or is shorter than what was read of it.
        """
        at = self._file.tell()
        if os.fstat(self._file.fileno()).st_size < at:
            raise BrokenChainError(f"the log was cut within its first {self.state.sequence} records")
        while line := self._file.readline():
            if not line.endswith(b"\n"):
                self._file.seek(-len(line), os.SEEK_CUR)
                return
            link = self._links.take(line)
            self.state = self._links.state
            yield link

    def read_on(self) -> None:
        """Read all that is there. Raises BrokenChainError as records()."""
        for _ in self.records():
            pass
