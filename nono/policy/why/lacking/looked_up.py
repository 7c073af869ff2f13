"""Tell which program env(1) finds for a script, where the first one on PATH may not be started."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from posixpath import basename


def name_looked_up(head: bytes) -> str | None:
    """Return the name that a script has env(1) look up; None: it has none, or a path.

    head: As much of the file as the kernel reads of its first line.
    """
    words = head[2:].split(b"\n", 1)[0].split()
    if not head.startswith(b"#!") or not words or basename(words[0]) != b"env":
        return None
    # What stands before the name: options such as -S, and variables.
    rest = (word for word in words[1:] if not word.startswith(b"-") and b"=" not in word)
    name = next(rest, b"").decode("utf-8", "surrogateescape")
    return name if name and "/" not in name else None


def passed_over(found: Iterable[str], may_start: Callable[[str], bool]) -> tuple[str, str] | None:
    """Return the program that is first on PATH, and the one that is started in its place.

    None if the first one is started, or none at all, which the kernel says.

    found: The programs of that name, in the order of PATH.
    """
    programs = list(found)
    taken = next(filter(may_start, programs), None)
    return None if taken is None or taken == programs[0] else (programs[0], taken)
