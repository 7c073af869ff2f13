"""Say which files and directories the command line of an MCP server has run as code."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from posixpath import basename, isabs, join, splitext

_OF_SCRIPTS = frozenset(f".{each}" for each in "py pyz js mjs cjs jsx ts mts cts tsx sh rb php jar".split())  # noqa: SIM905 - a list of words reads better
# Of uv, npm, pnpm and bun: their value is the directory in which a program is looked for.
_OF_DIRECTORIES = frozenset(("--directory", "--project", "--prefix", "--dir", "--cwd", "-C"))
# Of uvx, pipx, npx and node: their value is a package or a module, which may be a path.
_OF_PACKAGES = frozenset(
    ("--from", "--with", "--with-editable", "--spec", "--package", "-p", "--require", "-r", "--import")
)
_OF_FILE = re.compile(r".*\bfile:(?://)?")
# Their first operand is a program, or a directory of one. That of others may be what a server is to read.
_RUNNERS = re.compile(r"(python|pypy)[0-9.]*|node|deno|bunx?|npx|npm|pnpm|pnpx|yarn|uvx?|pipx")
_ACTIONS = frozenset(("run", "exec", "dlx", "x", "tool"))


def programs(words: Sequence[str], workdir: str) -> Iterator[str]:
    """Yield the program of a command line, if it is a path, and what its arguments have run as code."""
    if "/" in words[0]:
        yield join(workdir, words[0])
    operands = [word for word in words[1:] if not word.startswith("-") and word not in _ACTIONS]
    if _RUNNERS.fullmatch(basename(words[0])):
        yield from filter(isabs, map(_path, operands[:1]))
    for before, word in pairwise(words):
        option, _, value = word.partition("=") if word.startswith("--") else (before, "", word)
        if option in _OF_DIRECTORIES:
            yield join(workdir, value)
        for path in filter(isabs, map(_path, value.split(","))):
            if option in _OF_PACKAGES or _is_code(path):
                yield path


def _path(package: str) -> str:
    """Return the path in the name of a package, as in `server@file:///srv/server` or `/srv/server[http]`."""
    return _OF_FILE.sub("", package).partition("[")[0]


def _is_code(path: str) -> bool:
    return splitext(path)[1] in _OF_SCRIPTS or (os.path.isfile(path) and os.access(path, os.X_OK))
