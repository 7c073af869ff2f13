"""Find out in time whether an event loop can watch anything."""

from __future__ import annotations

import errno
import os
import select

from nono.errors import NonoError

# Limits that any program of the user, such as the command, can exhaust.
LIMITS = (
    "all programs of your user share /proc/sys/fs/epoll/max_user_watches; end one that uses many, or raise it"
)
NEEDED = 16  # more than an event loop needs at its start


def try_watches() -> None:
    """Raise NonoError if this user has no epoll watches left, which uvloop would report uselessly."""
    descriptors: list[int] = []
    try:
        with select.epoll() as epoll:
            for _ in range(NEEDED):
                descriptors.append(os.eventfd(0, os.EFD_CLOEXEC))
                epoll.register(descriptors[-1], 0)
    except OSError as error:
        hint = LIMITS if error.errno == errno.ENOSPC else None  # the others are told for every command
        raise NonoError(f"the event loop cannot watch a descriptor: {error.strerror}", hint=hint) from error
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
