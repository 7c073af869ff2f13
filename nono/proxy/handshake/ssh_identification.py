"""Recognise the SSH 2 identification string in a client's first bytes (RFC 4253 section 4.2)."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

PORT = 22  # RFC 4253 section 4.1; SSH on other ports needs network.raw_tunnels

_MAX_BYTES = 255  # with the line end
# RFC 4253 allows no blanks or hyphens in softwareversion, yet some clients use hyphens; comments are free.
_LINE = rb"SSH-2\.0-[!-~]+(?: [ -~]*)?\r?\n"
_START = b"SSH-2.0-"


def parse(begun: bytes) -> Literal["more", "ssh", "other"]:
    """Classify the bytes received so far. Only a server may send other lines before its identification."""
    line, end, _ = begun.partition(b"\n")
    if end:
        is_ssh = len(line) < _MAX_BYTES and re.fullmatch(_LINE, line + end) is not None
        return "ssh" if is_ssh else "other"
    is_start = begun[: len(_START)] == _START[: len(begun)] and len(begun) < _MAX_BYTES
    return "more" if is_start else "other"
