"""Where nono keeps its own files: the XDG base directories, computed from an environment."""

from __future__ import annotations

from collections.abc import Mapping
from posixpath import isabs, join

from nono.errors import NonoError


def home(environ: Mapping[str, str]) -> str:
    """The absolute home directory. NonoError when HOME is unset or relative: grants hang on it."""
    value = environ.get("HOME", "")
    if not isabs(value):
        raise NonoError("Environment variable 'HOME' validation failed: it must be set to an absolute path.")
    return value.rstrip("/") or "/"


def xdg(environ: Mapping[str, str], variable: str, default: str) -> str:
    """An XDG base directory. A relative value is invalid and ignored (XDG base directory spec 0.8)."""
    value = environ.get(variable, "")
    return value.rstrip("/") if isabs(value) else join(home(environ), default)


def config_dir(environ: Mapping[str, str]) -> str:
    return join(xdg(environ, "XDG_CONFIG_HOME", ".config"), "nono")


def state_root(environ: Mapping[str, str]) -> str:
    """Audit logs, sessions and the embedded credential store; no sandbox may be granted any part of it."""
    return join(xdg(environ, "XDG_STATE_HOME", ".local/state"), "nono")


def protected_roots(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The state root of today and the one of earlier releases (spec: sandbox state is out of reach)."""
    return (state_root(environ), join(home(environ), ".nono"))
