"""Record what the terminal of a session shows, in bounded files beside its record, without its secrets."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from nono.disk.descriptor import write_all
from nono.named_tuple import NamedTuple
from nono.sessions.registry import CAST, OLDER_CAST
from nono.sessions.wire import Size
from nono.supervisor.relay import cast

if TYPE_CHECKING:
    from nono.credentials.values.credential import LeakStream
    from nono.supervisor.poll_loop import Loop, Timer

WRITE_S = 0.25  # between two writes
PENDING_BYTES_MAX = 1 << 20  # within that time; a flood loses the rest
MOMENT_S = 0.02  # output within this time is one event
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Place(NamedTuple):
    """Where a recording is written."""

    directory: int  # a descriptor of the sessions' directory
    session_id: str
    bytes_max: int  # of both files together
    title: str


class Recording:
    """The recording of one session. All methods run on its loop. An error of the disk ends it."""

    def __init__(
        self, loop: Loop, place: Place, size: Size, new_streams: Callable[[], Sequence[LeakStream]]
    ) -> None:
        """Raises OSError if no file can be created.

        new_streams: Creates the streams that mask the run's secrets in passing output.
        """
        self._loop = loop
        self._place = place
        self._size = size
        self._new_streams = new_streams
        self._streams = new_streams()
        self._text = cast.Text()
        self._began = self._loop.time()
        self._began_unix_s = int(time.time())
        self._pending: deque[tuple[float, bytearray]] = deque()
        self._pending_bytes = 0
        self._left_out = 0
        self._is_within_line = False  # after a gap: the rest of a word may be the rest of a secret
        self._turn: Timer | None = None
        self._written = 0
        self._file = self._create()

    def move_to(self, loop: Loop) -> None:
        """Continue on another loop with the same clock; the old one is no longer used."""
        self._loop = loop
        if self._turn is not None:
            self._turn.cancel()
            self._turn = loop.call_later(WRITE_S, self._write_pending)

    def feed(self, output: bytes) -> None:
        if self._file < 0:
            return
        now = self._loop.time() - self._began
        if self._pending and now - self._pending[-1][0] < MOMENT_S:
            self._pending[-1][1].extend(output)
        else:
            self._pending.append((now, bytearray(output)))
        self._pending_bytes += len(output)
        while self._pending_bytes > PENDING_BYTES_MAX:
            _, lost = self._pending.popleft()
            self._pending_bytes -= len(lost)
            self._left_out += len(lost)
        if self._turn is None:
            self._turn = self._loop.call_later(WRITE_S, self._write_pending)

    def resize(self, size: Size) -> None:
        if size == self._size:
            return
        self._write_pending()
        self._size = size
        self._write(cast.resized(self._loop.time() - self._began, size))

    def close(self) -> None:
        """Write the rest. Nothing is recorded afterwards."""
        self._write_pending()
        rest = b""
        for stream in self._streams:
            rest = stream.feed(rest) + stream.finish()
        self._write_text(self._loop.time() - self._began, self._text.feed(rest, is_last=True))
        self._end()

    def _write_pending(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        if self._left_out:
            self._skip()
        while self._pending:
            at_s, output = self._pending.popleft()
            self._write_text(at_s, self._text.feed(self._masked(bytes(output))))
        self._pending_bytes = 0

    def _skip(self) -> None:
        """Resume after a gap at the next word, because half a secret would not be recognised."""
        self._streams = self._new_streams()
        self._text = cast.Text()
        self._is_within_line = True
        at_s = self._pending[0][0] if self._pending else self._loop.time() - self._began
        self._write(cast.marker(at_s, f"{self._left_out} bytes left out"))
        self._left_out = 0

    def _masked(self, output: bytes) -> bytes:
        if self._is_within_line:
            _, end, output = output.partition(b"\n")
            self._is_within_line = not end
        for stream in self._streams:
            output = stream.feed(output)
        return output

    def _write_text(self, at_s: float, text: str) -> None:
        if text:
            self._write(cast.output(at_s, text))

    def _write(self, line: bytes) -> None:
        """Write one line. A full file becomes the older file and replaces the previous older file."""
        try:
            if self._file >= 0 and self._written + len(line) > self._place.bytes_max // 2:
                os.close(self._file)
                self._file = -1
                self._rename()
                self._file = self._create()
            if self._file >= 0:
                write_all(self._file, line)
            self._written += len(line)
        except OSError:  # for instance a full disk: the session matters more than its recording
            self._end()

    def _rename(self) -> None:
        directory, name = self._place.directory, self._place.session_id
        os.rename(name + CAST, name + OLDER_CAST, src_dir_fd=directory, dst_dir_fd=directory)

    def _create(self) -> int:
        name = self._place.session_id + CAST
        file = os.open(name, _CREATE, 0o600, dir_fd=self._place.directory)
        line = cast.header(self._size, self._began_unix_s, self._place.title)
        try:
            write_all(file, line)
        except OSError:
            os.close(file)
            raise
        self._written = len(line)
        return file

    def _end(self) -> None:
        file, self._file = self._file, -1
        self._pending.clear()
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        if file >= 0:
            with suppress(OSError):
                os.close(file)
