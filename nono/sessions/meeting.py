"""Open the socket of a session and its key, both beside the record, where no sandbox has access."""

from __future__ import annotations

import os
import stat
import struct
from _socket import AF_UNIX, SO_PEERCRED, SOL_SOCKET, socket  # socket itself makes enums: 1.5 ms of a start
from contextlib import suppress

from nono.named_tuple import NamedTuple
from nono.sessions.processes import seccomp_filters
from nono.sessions.registry import KEY, SOCKET, Registry

BACKLOG = 8
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


class Meeting(NamedTuple):
    """The non-blocking listener, and the key that a viewer must present."""

    listener: socket
    key: str


def listen(registry: Registry, session_id: str) -> Meeting:
    """Listen at the socket of a session. Raises OSError."""
    key = os.urandom(16).hex()
    registry.put(session_id + KEY, key.encode("ascii"))
    name = session_id + SOCKET
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.stat(name, dir_fd=registry.fd, follow_symlinks=False).st_mode):
            registry.remove(name)
    listener = socket(AF_UNIX)
    try:
        listener.setblocking(False)
        listener.bind(_path(registry, session_id))
        os.chmod(name, 0o600, dir_fd=registry.fd)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return Meeting(listener, key)


def connect(registry: Registry, session_id: str) -> Meeting:
    """Connect to the socket of a session. Raises OSError if nothing listens there."""
    key = registry.read(session_id + KEY)
    if key is None:
        raise FileNotFoundError(2, "no key to the session", session_id)
    connection = socket(AF_UNIX)
    try:
        connection.connect(_path(registry, session_id))
    except OSError:
        connection.close()
        raise
    return Meeting(connection, key.decode("ascii", "replace"))


def _path(registry: Registry, session_id: str) -> str:
    # This fits into sun_path (108 bytes), however long the path of the directory is.
    return f"/proc/self/fd/{registry.fd}/{session_id}{SOCKET}"


def is_own(connection: socket) -> bool:
    """Check that the peer has this user and user namespace, and runs under no further seccomp filter.

    A command would be refused without the key anyway; this check keeps it from occupying slots of others.
    """
    sent = connection.getsockopt(SOL_SOCKET, SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(sent)
    try:
        is_ours = uid == os.geteuid() and os.path.samefile(f"/proc/{pid}/ns/user", "/proc/self/ns/user")
        return is_ours and seccomp_filters(pid) <= seccomp_filters(os.getpid())
    except OSError:  # gone, or another user's
        return False
