"""Tell whether another user could change a file that decides about runs."""

from __future__ import annotations

import os

from nono.policy.host_filesystem import directories_from, inode, way_to


def changed_by_others(path: str) -> str | None:
    """Return how another user could change a file, or exchange it or a link that leads to it; None if not."""
    # Imported here: few runs have a file whose owner is judged.
    from nono.policy.ownership import changeable, exchangeable

    euid = os.geteuid()
    if inode("/").uid not in (0, euid):
        return None  # a user namespace without root, where owners are not told apart
    try:
        reason = changeable(inode(path), euid)
        for place in way_to(path):
            reason = reason or exchangeable(directories_from(os.path.dirname(place)), euid)
    except OSError:
        return None  # a pipe, which is gone by now
    return reason
