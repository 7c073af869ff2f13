"""Compute the directories of nono's own files from an environment (XDG base directories)."""

from __future__ import annotations

from collections.abc import Mapping
from posixpath import isabs, join

from nono.errors import NonoError

CACHES = "nono/caches"  # below the caches of the person: those of runs
_ID_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
STATE_VARIABLE = "NONO_CAP_FILE"  # inside a sandbox: the file about its rules


def home(environ: Mapping[str, str]) -> str:
    """Return the home directory. Raises NonoError if HOME is unset or relative: grants depend on it."""
    value = environ.get("HOME", "")
    if not isabs(value):
        raise NonoError("Environment variable 'HOME' validation failed: it must be set to an absolute path.")
    return value.rstrip("/") or "/"


def xdg(environ: Mapping[str, str], variable: str, default: str) -> str:
    """Return an XDG base directory. A relative value is invalid and ignored (XDG base directory spec 0.8)."""
    value = environ.get(variable, "")
    return value.rstrip("/") if isabs(value) else join(home(environ), default)


def ignored(environ: Mapping[str, str]) -> list[str]:
    """Return the variables that would say where nono's files are, but for their relative value."""
    return [
        name
        for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME")
        if environ.get(name) and not isabs(environ[name])
    ]


def config_dir(environ: Mapping[str, str]) -> str:
    return join(xdg(environ, "XDG_CONFIG_HOME", ".config"), "nono")


def config_dirs(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the directories of profiles and settings: that of these variables, and that without any."""
    return (*dict.fromkeys((config_dir(environ), join(home(environ), ".config/nono"))),)


def is_inside(environ: Mapping[str, str]) -> bool:
    """Return True in a sandbox of nono's, `nono wrap` included."""
    return STATE_VARIABLE in environ or _has_state_of_a_run(environ)


def _has_state_of_a_run(environ: Mapping[str, str]) -> bool:
    return f"/{CACHES}/" in environ.get("XDG_STATE_HOME", "")


def state_root(environ: Mapping[str, str]) -> str:
    """Return the root of audit logs, sessions and the credential store. No sandbox grants access to it.

    The XDG_STATE_HOME that a run has been given is for its command. A nono inside leaves it alone: what it
    kept there, a key for instance, later runs could read. Nothing else tells one below `nono wrap`.
    """
    if _has_state_of_a_run(environ):
        return _usual_state_root(environ)
    return join(xdg(environ, "XDG_STATE_HOME", ".local/state"), "nono")


def is_session_id(text: str) -> bool:
    """Return True for what may be the id of a session, and so the name of a directory and of files."""
    return 0 < len(text) <= 64 and _ID_CHARACTERS.issuperset(text)


def _usual_state_root(environ: Mapping[str, str]) -> str:
    return join(home(environ), ".local/state/nono")


def older_root(environ: Mapping[str, str]) -> str:
    """Return the state root of earlier releases."""
    return join(home(environ), ".nono")


def protected_roots(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the state roots of this and earlier releases, which no sandbox may reach.

    One of them is that of runs without XDG_STATE_HOME: terminals and services of a person differ in it, and
    what one run keeps there (keys, ways into its session) is not for the command of another.
    """
    roots = (state_root(environ), _usual_state_root(environ), older_root(environ))
    return (*dict.fromkeys(roots),)
