"""Open directories that a command closed to their owner, so that undo sees what it did in them."""

from __future__ import annotations

import os
import stat

from nono.kernel import open_path
from nono.kernel.uapi.open import AT_FDCWD, RESOLVE_NO_SYMLINKS

SEEN = 0o500  # rights needed to list a directory and examine its contents
_FLAGS = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def let_owner_in(name: str, parent: int = AT_FDCWD) -> bool:
    """Give the owner all rights on a directory that is closed to them. Returns False if it was open.

    Raises OSError, ELOOP if the path contains a link. Another user's directory is left alone.
    """
    place = open_path.open_at(parent, os.fsencode(name), _FLAGS, RESOLVE_NO_SYMLINKS)
    try:
        status = os.fstat(place)
        if status.st_mode & SEEN == SEEN or status.st_uid != os.geteuid():
            return False
        # fchmod(2) rejects an O_PATH descriptor, and any other needs the missing right.
        os.chmod(open_path.path_to(place), stat.S_IMODE(status.st_mode) | stat.S_IRWXU)
        return True
    finally:
        os.close(place)
