"""Tell that a failed command asks a network, in a run that has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nono.policy.why.commands.words import Started, started

_ASK_ALWAYS = frozenset(
    {
        *("curl", "wget", "ssh", "scp", "sftp", "rsync", "ftp", "dig", "nslookup", "host"),
        *("redis-cli", "mongosh"),
    }
)
# They try a Unix socket, unless they are told of a host.
_ASK_A_NAMED_HOST = frozenset(
    {
        *("psql", "pg_dump", "pg_dumpall", "pg_restore", "pg_isready", "createdb", "dropdb"),
        *("mysql", "mysqldump", "mysqladmin", "mariadb", "mariadb-dump", "mariadb-admin"),
    }
)
_INSTALLS = frozenset({"install", "i", "ci", "add", "update", "download", "sync", "lock", "require", "fetch"})
# With one of these words first. Much else that they do needs no network, and a test that fails tells nothing.
_ASK_WITH: Mapping[str, frozenset[str]] = {
    "git": frozenset({"push", "pull", "fetch", "clone", "ls-remote", "submodule"}),
    "go": frozenset({"get", "install", "download"}),
    **dict.fromkeys(
        (
            *("npm", "pnpm", "yarn", "pip", "pip3", "pipx", "uv", "poetry"),
            *("cargo", "gem", "bundle", "composer"),
        ),
        _INSTALLS,
    ),
}


def asks_a_network(argv: Sequence[str]) -> str | None:
    """Return the program of a command line that usually asks a network; None if there is none."""
    return next(
        (
            each.program
            for each in started(argv)
            if each.program in _ASK_ALWAYS
            or (each.program in _ASK_A_NAMED_HOST and _names_a_host(each))
            or not _ASK_WITH.get(each.program, frozenset()).isdisjoint(each.operands[:1])
        ),
        None,
    )


def _names_a_host(started: Started) -> bool:
    """Return True for a host in an option, a URL or a connection string; of a directory of sockets too."""
    return started.has_option("-h", "--host") or any(
        "://" in word or "host=" in word for word in started.operands
    )
