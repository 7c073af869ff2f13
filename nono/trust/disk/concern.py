"""Find out, in a few system calls and with few imports, whether a trust policy concerns a run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from posixpath import dirname, join, lexists

from nono import paths
from nono.digests import sha256

FILE = "trust-policy.json"


def root_of(directory: str, environ: Mapping[str, str]) -> str | None:
    """Return the root of the project around `directory` if a trust policy concerns it, else None.

    A project whose policy was seen earlier counts even if the policy is gone.
    """
    remembers = lexists(memory_directory(environ))
    candidates = [*_upwards(directory, environ)]
    for candidate in candidates:
        if lexists(join(candidate, FILE)) or (remembers and lexists(memory_path(candidate, environ))):
            return candidate
    return candidates[0] if lexists(user_policy(environ)) else None


def user_policy(environ: Mapping[str, str]) -> str:
    return join(paths.config_dir(environ), FILE)


def memory_directory(environ: Mapping[str, str]) -> str:
    """Return the directory of approvals, below the state root, which no sandbox can access."""
    return join(paths.state_root(environ), "trust")


def memory_path(root: str, environ: Mapping[str, str]) -> str:
    """Return the file that records a project, whose root must be canonical."""
    return join(memory_directory(environ), f"{sha256(os.fsencode(root)).hexdigest()}.json")


def _upwards(directory: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield `directory` and the parents that only this user can write to, up to below the home directory.

    Otherwise other users could place a policy above this user's work.
    """
    home = os.path.realpath(paths.home(environ))
    current = os.path.realpath(directory)
    while True:
        yield current
        above = dirname(current)
        if home in (current, above) or above in ("/", current):
            return
        try:
            found = os.stat(above)
        except OSError:
            return
        if found.st_uid != os.geteuid() or found.st_mode & 0o002:
            return
        current = above
