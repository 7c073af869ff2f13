"""Decide which files beside the records were left by a killed supervisor."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable

# Files that nono writes into the sessions directory besides records.
_OF_SESSION = re.compile(r"(?P<id>[A-Za-z0-9_-]{1,64})\.(?:sock|key|stop|asks)", re.ASCII)
_OF_HOOK = re.compile(r"(?P<id>[0-9a-f]{16})", re.ASCII)  # a directory
_OF_PROCESS = re.compile(
    r"intercept-(?P<pid>[0-9]+)-(?P<id>[\w-]+)|proxy-(?P<proxy>[0-9]+)-[0-9a-f]+\.env", re.ASCII
)
_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{16}\.tmp", re.ASCII | re.DOTALL)


def left_behind(
    names: Iterable[str],
    living: Collection[str],
    is_alive: Callable[[int], bool],
    is_old: Callable[[str], bool],
) -> list[str]:
    """Return the names that are no longer used. Files that nono did not write are never returned.

    living: Ids of sessions that have not ended, as far as known.
    is_alive: Tells whether a process has that number.
    is_old: Tells whether nothing was written under a name for long. Required of every name: a session that is
      about to begin has no record yet, and a proxy in another container has no process here.
    """
    return [name for name in names if not _is_used(name, living, is_alive) and is_old(name)]


def _is_used(name: str, living: Collection[str], is_alive: Callable[[int], bool]) -> bool:
    if (of := _OF_SESSION.fullmatch(name) or _OF_HOOK.fullmatch(name)) is not None:
        return of["id"] in living
    if (of := _OF_PROCESS.fullmatch(name)) is not None:
        pid = of["pid"] or of["proxy"]
        return of["id"] in living or (len(pid) < 10 and is_alive(int(pid)))
    return _UNFINISHED.fullmatch(name) is None
