"""Keeps what the command may write out of the places where this process looks for modules.

A supervisor imports some of its own code, and of the libraries it uses, while the command runs already.
"""

import os
import sys
from collections.abc import Iterable
from posixpath import join

from nono.policy.capability import Grant
from nono.policy.filesystem import HostFilesystem
from nono.policy.grants import covering
from nono.policy.places import Filesystem, canonical_as_far, inside, parent_resolved


def withdraw(grants: Iterable[Grant]) -> None:
    """Take the directories off sys.path in which the command could lay a module.

    Mostly the working directory, which an empty entry of PYTHONPATH means. Where nono itself was found, or
    Python, stays: without it nothing could be imported.
    """
    written = [grant for grant in grants if grant.access.writes]
    fs = HostFilesystem()
    sys.path[:] = [entry for entry in sys.path if _is_own(entry) or not _is_within_reach(entry, written, fs)]


def _is_own(entry: str) -> bool:
    roots = (sys.prefix, sys.base_prefix)
    return entry == _NONO_IN or any(inside(entry, root) for root in roots)


def _is_within_reach(entry: str, written: list[Grant], fs: Filesystem) -> bool:
    path = join(os.getcwd(), entry)
    for spelled in (canonical_as_far(path, fs), parent_resolved(path, fs)):
        if covering(written, spelled) or any(inside(grant.path, spelled) for grant in written):
            return True
    return False


_NONO_IN = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
