"""Extract the data of server-sent events as they stream past, in memory independent of their size."""

from __future__ import annotations


class EventData:
    """Extracts the data of server-sent events (HTML Living Standard section 9.2.6) without buffering lines.

    A lone carriage return, which no provider sends, is not recognised as a line end.
    """

    def __init__(self) -> None:
        self._start = b""  # the beginning of a line whose field is not known yet
        self._is_data: bool | None = None
        self.is_broken = False  # as AwsEventStream may be
        self._in_event = False  # inside an event that has data

    def feed(self, piece: bytes) -> list[bytes | None]:
        """Return the parts of data in order; None marks the end of an event that had data."""
        parts: list[bytes | None] = []
        for number, part in enumerate(piece.split(b"\n")):
            if number and self._end_of_line() and self._in_event:
                self._in_event = False
                parts.append(None)
            if part and (content := self._data_in(part)):
                self._in_event = True
                parts.append(content)
        return parts

    def _data_in(self, part: bytes) -> bytes:
        if self._is_data is None:
            part = self._start + part
            if b"data:".startswith(part) or part == b"\r":
                self._start = b"" if part == b"data:" else part
                self._is_data = True if part == b"data:" else None
                return b""
            self._is_data = part.startswith(b"data:")
            self._start, part = b"", part[len(b"data:") :]
        return part if self._is_data else b""

    def _end_of_line(self) -> bool:
        """Return True if the line was the blank one that ends an event."""
        blank = self._is_data is None and self._start in (b"", b"\r")
        self._start, self._is_data = b"", None
        return blank
