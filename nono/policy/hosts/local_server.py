"""Judge to whom a key goes that is sent to this machine in the clear, by the users of whoever listens."""

from __future__ import annotations

from collections.abc import Set

ROOT = 0
# Of people: UID_MIN of login.defs(5), and the last one of systemd-homed. Others are system accounts, those of
# containers with ids of their own, and 65534.
FIRST_PERSON, LAST_PERSON = 1000, 60513


def refused_server(uids: Set[int], own_uid: int) -> str | None:
    """Return why nothing is sent to a server that these users may have; None if it may be.

    uids: Empty: that is unknown.
    own_uid: Root's nono sends a key to anybody's server: in a container the users are programs.
    """
    if own_uid == ROOT:
        return None
    other = next((uid for uid in sorted(uids - {own_uid}) if FIRST_PERSON <= uid <= LAST_PERSON), None)
    if other is None:
        return None
    return f"the server there is another user's (uid {other}): nothing is sent to it"
