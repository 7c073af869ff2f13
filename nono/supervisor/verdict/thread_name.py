"""Find the thread whose name a path leads to, if it belongs to the caller."""

from __future__ import annotations

import re

_NUMBER = rb"[1-9][0-9]{0,9}"
_COMM = re.compile(
    rb"/proc/(?:thread-self|(?P<process>self|%b)/task/(?P<thread>%b))/comm" % (_NUMBER, _NUMBER)
)


def thread_named(path: bytes, process: int, thread: int) -> int | None:
    """Return the thread whose comm an absolute path names directly, without detours.

    `process`, `thread`: The caller, as /proc numbers it.

    Returns None for any other path, or one of another process. The kernel decides whether the thread exists
    in that process.
    """
    found = _COMM.fullmatch(path)
    if found is None:
        return None
    if found["thread"] is None:
        return thread
    return int(found["thread"]) if found["process"] in (b"self", b"%d" % process) else None
