"""Look at the profiles of MCP servers before the command starts that may use them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from posixpath import basename, isabs, join, splitext

from nono import paths
from nono.errors import ConfigError
from nono.launch.mcp.place import workdir_of
from nono.policy.capability import Grant
from nono.policy.files.grants import at_every_mount, covering
from nono.policy.files.links import links_on_the_way
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.path_expansion import canonical_as_far, is_within
from nono.policy.profile.store import load
from nono.policy.resolve import Resolved
from nono.policy.schema.profile import Profile

_OF_SCRIPTS = frozenset(
    (
        ".py",
        ".pyz",
        ".js",
        ".mjs",
        ".cjs",
        ".jsx",
        ".ts",
        ".mts",
        ".cts",
        ".tsx",
        ".sh",
        ".rb",
        ".php",
        ".jar",
    )
)
# Of uv, npm, pnpm, bun and pipx: their value is the directory in which a program is looked for.
_OF_DIRECTORIES = frozenset(
    ("--directory", "--project", "--prefix", "--dir", "--cwd", "-C", "--from", "--with-editable", "--spec")
)
# Their first operand is a program, or a directory of one. That of others may be what a server is to read.
_RUNNERS = re.compile(r"python[0-9.]*|node|deno|bunx?|npx|npm|pnpm|pnpx|yarn|uvx?|pipx")
_ACTIONS = frozenset(("run", "exec", "dlx", "x", "tool"))


def refuse_unfit(resolved: Resolved, environ: Mapping[str, str]) -> None:
    """Raise ConfigError for a server that cannot be started, or that the command could make another.

    Raises ProfileError like load().
    """
    fs = HostFilesystem()
    written = [grant for grant in at_every_mount(resolved.capabilities.grants, fs) if grant.access.writes]
    for server in resolved.mcp_servers:
        loaded = load(server.name, environ, long_lived=True)
        profile = loaded.profile
        binary = program_of(server.name, profile)
        if profile.network.mcp_servers:
            raise ConfigError(
                f"{server.origin}: profile '{server.name}' has mcp_servers, and a server has none of its own."
            )
        workdir = workdir_of(server.name, environ)
        context = resolved.path_context._replace(workdir=workdir)
        words = [context.expand_built_in(word) for word in (binary, *profile.command_args)]
        trees = (*loaded.files, *_programs(words, workdir), workdir)
        found = [each for path in trees for each in _reached(path, written, fs)]
        # Others have their directories below this one.
        found += [path for path in _places(_caches(environ), fs) if covering(written, path)]
        if found:
            raise ConfigError(
                f"{server.origin}: the command may write {found[0]}, and so decide what the server is.",
                hint="keep it outside the grants",
            )


def program_of(name: str, profile: Profile) -> str:
    """Return the program of a server's profile. Raises ConfigError if it names none."""
    if profile.binary is None:
        raise ConfigError(
            f"profile '{name}' names no program to start.",
            hint='"binary": "npx", for instance, with its arguments in "command_args"',
        )
    return profile.binary


def _programs(words: list[str], workdir: str) -> Iterator[str]:
    """Yield the program of a command line, if it is a path, and what its arguments have run as code."""
    if "/" in words[0]:
        yield join(workdir, words[0])
    operands = [word for word in words[1:] if not word.startswith("-") and word not in _ACTIONS][:1]
    if _RUNNERS.fullmatch(basename(words[0])):
        yield from filter(isabs, operands)
    for before, word in pairwise(words):
        option, _, value = word.partition("=") if word.startswith("--") else (before, "", word)
        if option in _OF_DIRECTORIES or (isabs(value) and _is_code(value)):
            yield join(workdir, value)


def _is_code(path: str) -> bool:
    return splitext(path)[1] in _OF_SCRIPTS or (os.path.isfile(path) and os.access(path, os.X_OK))


def _caches(environ: Mapping[str, str]) -> str:
    """Return the directory of the caches of runs, where npx and uvx keep what they start."""
    return join(paths.xdg(environ, "XDG_CACHE_HOME", ".cache"), paths.CACHES)


def _reached(path: str, written: list[Grant], fs: HostFilesystem) -> Iterator[str]:
    """Yield what the command may write of a file or a tree, and of the way there."""
    for place in _places(path, fs):
        if covering(written, place):
            yield place
    tree = canonical_as_far(path, fs)
    yield from (grant.path for grant in written if is_within(grant.path, tree))


def _places(path: str, fs: HostFilesystem) -> Iterator[str]:
    yield from (canonical_as_far(path, fs), *links_on_the_way(path, fs))
