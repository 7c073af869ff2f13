"""Which thread's name a path leads to, provided that it is one of its caller's."""

from __future__ import annotations

import re

_NUMBER = rb"[1-9][0-9]{0,9}"
_COMM = re.compile(
    rb"/proc/(?:thread-self|(?P<process>self|%b)/task/(?P<thread>%b))/comm" % (_NUMBER, _NUMBER)
)


def thread_named(path: bytes, process: int, thread: int) -> int | None:
    """The thread whose comm an absolute path names, if its caller spelled it without any detour.

    process, thread: the caller, as /proc numbers it. None: something else, or of another process. Whether
    the thread exists, and is one of that process, is for the kernel to say.
    """
    found = _COMM.fullmatch(path)
    if found is None:
        return None
    if found["thread"] is None:
        return thread
    return int(found["thread"]) if found["process"] in (b"self", b"%d" % process) else None
