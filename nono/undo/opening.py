"""Opens directories that a command has closed to their owner, who is to see what it has done in them."""

from __future__ import annotations

import os
import stat

from nono.kernel import open_path
from nono.kernel.uapi.open import AT_FDCWD, RESOLVE_NO_SYMLINKS

SEEN = 0o500  # what it takes to list a directory, and to look at what it holds
_FLAGS = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def let_owner_in(name: str, parent: int = AT_FDCWD) -> bool:
    """Give the owner all rights of a directory that is closed to it. Returns False if there was no need.

    Raises OSError, ELOOP if a link is on the way. One that somebody else owns is left.
    """
    place = open_path.open_at(parent, os.fsencode(name), _FLAGS, RESOLVE_NO_SYMLINKS)
    try:
        status = os.fstat(place)
        if status.st_mode & SEEN == SEEN or status.st_uid != os.geteuid():
            return False
        # fchmod(2) takes no such descriptor, and any other needs the right that is missing.
        os.chmod(f"/proc/self/fd/{place}", stat.S_IMODE(status.st_mode) | stat.S_IRWXU)
        return True
    finally:
        os.close(place)
