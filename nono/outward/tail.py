"""Read the log of a session while it grows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from nono.audit.chain import ChainState
from nono.audit.ledger import EVENT_FILE
from nono.audit.reading import Reading, Record
from nono.digests import sha256

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BUFFER_BYTES = 1 << 16


class BrokenChainError(ValueError):
    """The log is not what nono wrote. The message is the reason."""


class Tail:
    """The records of one log, each read once. A context manager that closes the file."""

    def __init__(self, session: int) -> None:
        """session: Descriptor of the session's directory. Raises OSError."""
        self._file = os.fdopen(os.open(EVENT_FILE, _READ, dir_fd=session), "rb", _BUFFER_BYTES)
        self._reading = Reading(_WholeLines(self._file))

    def __enter__(self) -> Tail:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def fileno(self) -> int:
        return self._file.fileno()

    @property
    def state(self) -> ChainState:
        """The state of the chain after the last record read."""
        return self._reading.state

    def records(self) -> Iterator[Record]:
        """Yield the records completed so far; the next call continues after them.

        Raises BrokenChainError if the log was changed, or is shorter than what was read of it.
        """
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            raise BrokenChainError(f"the log was cut within its first {self.state.sequence} records")
        if self._reading.damage is None:
            yield from self._reading
        if self._reading.damage is not None:
            raise BrokenChainError(str(self._reading.damage))

    def read_on(self) -> None:
        """Read everything available. Raises BrokenChainError like records()."""
        for _ in self.records():
            pass

    def sha256(self) -> str:
        """Return the SHA-256 of the part of the file read so far. Raises OSError."""
        digest, at = sha256(), 0
        while piece := os.pread(self._file.fileno(), min(_BUFFER_BYTES, self._file.tell() - at), at):
            digest.update(piece)
            at += len(piece)
        return digest.hexdigest()


class _WholeLines:
    """The complete lines of a growing file. Iteration can resume after it has ended."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __iter__(self) -> _WholeLines:
        return self

    def __next__(self) -> bytes:
        line = self._file.readline()
        if line.endswith(b"\n"):
            return line
        self._file.seek(-len(line), os.SEEK_CUR)
        raise StopIteration
