"""Remove a login that the command made from a placeholder, if it is where the agent keeps its own logins."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from posixpath import basename, dirname

from nono.credentials.logins.agent_files import AGENT_FILES, MAX_FILE_BYTES
from nono.disk.descriptor import DIRECTORY_FLAGS, read_at_most
from nono.launch.session import Session
from nono.policy.resolve import Resolved


@contextmanager
def left_logins_removed(resolved: Resolved, session: Session, phantoms: Collection[str]) -> Iterator[None]:
    """Remove by the end of the block each file that the command created and that holds one of `phantoms`."""
    absent = _absent_logins(resolved, session.environ)
    try:
        yield
    finally:
        for path in absent:
            if _is_removed(path, [phantom.encode() for phantom in phantoms]):
                session.warn(
                    f"{path}, which the command made, held a placeholder of this run and was removed: "
                    "outside it is of no use"
                )


def _absent_logins(resolved: Resolved, environ: Mapping[str, str]) -> Sequence[str]:
    """Return the files of agents' logins that are not there and that the command could make.

    What is there is masked; what is not cannot be.
    """
    absent = {each.path for each in resolved.capabilities.masking.absent if each.is_creatable}
    paths = (os.path.realpath(agent.outside(environ)) for agent in AGENT_FILES.values() if agent.is_mounted)
    return [path for path in paths if path in absent]


def _is_removed(path: str, phantoms: Sequence[bytes]) -> bool:
    # By one directory, so that the file that is read is the one that is removed.
    with suppress(OSError):
        directory = os.open(dirname(path), DIRECTORY_FLAGS)
        try:
            content = _content(directory, basename(path))
            if any(phantom in content for phantom in phantoms):
                os.unlink(basename(path), dir_fd=directory)
                return True
        finally:
            os.close(directory)
    return False


def _content(directory: int, name: str) -> bytes:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    file = os.open(name, flags, dir_fd=directory)
    try:
        return read_at_most(file, MAX_FILE_BYTES)
    finally:
        os.close(file)
