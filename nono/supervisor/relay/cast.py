"""Write and read terminal output as asciicast v2: a header, and one line for each event."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator

from nono.sessions.wire import Size

_CONTROLS = re.compile("[\x7f-\x9f]")  # json escapes the other controls; these can command a terminal too


def header(size: Size, started_unix_s: int, title: str) -> bytes:
    return _line(
        {
            "version": 2,
            "width": size.columns,
            "height": size.rows,
            "timestamp": started_unix_s,
            "title": title,
            "env": {"TERM": "xterm-256color"},
        }
    )


def output(at_s: float, text: str) -> bytes:
    return _line([round(at_s, 3), "o", text])


def resized(at_s: float, size: Size) -> bytes:
    return _line([round(at_s, 3), "r", f"{size.columns}x{size.rows}"])


def marker(at_s: float, label: str) -> bytes:
    return _line([round(at_s, 3), "m", label])


def whole(files: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    """Yield one recording from the files of one session, oldest first: one header, then every event.

    A truncated line is left out.
    """
    has_header = False
    for lines in files:
        for line in lines:
            is_header = line.startswith(b"{")
            if line.endswith(b"\n") and not (is_header and has_header):
                has_header = has_header or is_header
                yield line


class Text:
    """Decodes output to text. Characters may be split; invalid bytes become U+FFFD."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, piece: bytes, *, is_last: bool = False) -> str:
        return self._decoder.decode(piece, is_last)


def _line(content: object) -> bytes:
    text = json.dumps(content, ensure_ascii=False, separators=(", ", ": "))
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text).encode("utf-8") + b"\n"
