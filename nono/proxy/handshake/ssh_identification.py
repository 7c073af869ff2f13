"""Whether the first bytes of a client are the identification string of SSH 2 (RFC 4253 section 4.2)."""

from __future__ import annotations

import re
from typing import Literal

PORT = 22  # RFC 4253 section 4.1; elsewhere a person has to say what may be spoken

_MAX_BYTES = 255  # with the line end
# softwareversion has neither blanks nor hyphens, but some in use have hyphens; comments are any text.
_LINE = re.compile(rb"SSH-2\.0-[!-~]+(?: [ -~]*)?\r?\n")
_START = b"SSH-2.0-"


def parse(begun: bytes) -> Literal["more", "ssh", "other"]:
    """A server may send other lines before its own; a client may not."""
    line, end, _ = begun.partition(b"\n")
    if end:
        is_ssh = len(line) < _MAX_BYTES and _LINE.fullmatch(line + end) is not None
        return "ssh" if is_ssh else "other"
    is_start = begun[: len(_START)] == _START[: len(begun)] and len(begun) < _MAX_BYTES
    return "more" if is_start else "other"
