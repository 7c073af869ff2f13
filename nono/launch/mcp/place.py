"""Say where an MCP server runs: with which variables, and in which directory."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping
from posixpath import join, realpath

from nono import paths
from nono.launch.trusted.search_path import unwritten
from nono.policy.capability import Grant
from nono.private_dir import open_private_dir

_DIRECTORY = "nono/mcp"  # below the caches of the person


def environment(environ: Mapping[str, str], grants: Iterable[Grant] = ()) -> dict[str, str]:
    """Return the environment of a server's run: the caller's, without options for other runs.

    It says that this run is in no other, so that nobody looks for one around it.

    grants: Of a command that has the server started. No program is looked for where it may write.
    """
    kept = {name: value for name, value in environ.items() if not name.startswith("NONO_")}
    return {**kept, paths.STATE_VARIABLE: "", "PATH": unwritten(kept.get("PATH", os.defpath), grants)}


def workdir_of(name: str, environ: Mapping[str, str]) -> str:
    """Return the working directory of a server.

    It is no project: a file in one may choose what `npx` or `uvx` starts, and an agent writes there. Caches
    belong to a working directory (ADR 35), so the server has its own.
    """
    return join(paths.xdg(environ, "XDG_CACHE_HOME", ".cache"), _DIRECTORY, name)


def made_workdir(name: str, environ: Mapping[str, str]) -> str:
    """Make the working directory of a server, and return it. Raises OSError.

    Also if a link below the caches leads there: a run that was granted all caches may have left it, and the
    server may write what it finds.
    """
    workdir = workdir_of(name, environ)
    caches = realpath(paths.xdg(environ, "XDG_CACHE_HOME", ".cache"))
    if realpath(workdir) != join(caches, _DIRECTORY, name):
        raise OSError(errno.ELOOP, f"a link leads from {workdir} to {realpath(workdir)}")
    os.close(open_private_dir(workdir, create=True))
    return workdir
