"""Judge to whom a key goes that is sent to this machine in the clear, by the users of whoever listens."""

from __future__ import annotations

from collections.abc import Callable, Set

ROOT = 0
# Of people: UID_MIN of login.defs(5), and the last one of systemd-homed. What is below them, and up to
# LAST_OF_SYSTEM, are system accounts, among them nobody and those that systemd makes for a service.
FIRST_PERSON, LAST_PERSON = 1000, 60513
LAST_OF_SYSTEM = 65535


def refused_server(uids: Set[int], own_uid: int, owner_of: Callable[[int], int | None]) -> str | None:
    """Return why nothing is sent to a server that these users may have; None if it may be.

    uids: Empty: that is unknown.
    own_uid: Root's nono sends a key to anybody's server: in a container the users are programs.
    owner_of: Says whose an id above LAST_OF_SYSTEM is, a container's or one of a directory of users.
    """
    if own_uid == ROOT:
        return None
    for uid in sorted(uids - {own_uid}):
        owner = owner_of(uid) if uid > LAST_OF_SYSTEM else uid
        if owner is not None and owner != own_uid and _is_person(owner):
            return f"the server there is another user's (uid {owner}): nothing is sent to it"
    return None


def _is_person(uid: int) -> bool:
    return FIRST_PERSON <= uid <= LAST_PERSON or uid > LAST_OF_SYSTEM
