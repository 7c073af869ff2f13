"""The shape of config.toml, and the one home of its defaults.

Named tuples, as in nono.policy.schema.profile: where there is no file, nothing imports pydantic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nono.named_tuple import NamedTuple

DEFAULT_THEME = "mocha"


class Ui(NamedTuple):
    """How nono looks, and the keys that leave a session."""

    theme: str = DEFAULT_THEME
    detach_sequence: str = "ctrl-] d"  # as nono.settings.keys reads it


class Rollback(NamedTuple):
    """How much is kept of what runs have changed."""

    max_sessions: int = 10
    max_storage_gb: float = 5.0
    max_snapshots: int = 100  # of one session
    stale_grace_hours: int = 24


class Updates(NamedTuple):
    """Whether nono looks for a newer one of itself."""

    check: bool = True


class RedactionNames(NamedTuple):
    """Names of what holds a secret, added to those that nono knows or, unsafely, taken from them."""

    add_flags: tuple[str, ...] = ()
    add_headers: tuple[str, ...] = ()
    add_query_keys: tuple[str, ...] = ()
    add_env_names: tuple[str, ...] = ()
    remove_flags: tuple[str, ...] = ()
    remove_headers: tuple[str, ...] = ()
    remove_query_keys: tuple[str, ...] = ()
    remove_env_names: tuple[str, ...] = ()
    unsafe_redaction_overrides: bool = False  # without it nothing may be removed

    @property
    def removals(self) -> tuple[str, ...]:
        """The fields that take something away."""
        return tuple(name for name, value in self._asdict().items() if name.startswith("remove_") and value)


class UserConfig(NamedTuple):
    """All of it."""

    ui: Ui = Ui()
    rollback: Rollback = Rollback()
    updates: Updates = Updates()
    redaction: RedactionNames = RedactionNames()


ALIASES: Mapping[str, str] = {"undo": "rollback"}


def from_environment(environ: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """What variables say, as a document of that shape; it goes before what the file says."""
    said: dict[str, dict[str, Any]] = {}
    if theme := environ.get("NONO_THEME"):
        said["ui"] = {"theme": theme}
    if "NONO_NO_UPDATE_CHECK" in environ:
        said["updates"] = {"check": False}
    return said


def as_document(config: UserConfig) -> dict[str, Any]:
    """config as JSON has it."""
    return {section: value._asdict() for section, value in config._asdict().items()}


def from_document(document: Mapping[str, Any]) -> UserConfig:
    """What as_document was made of."""

    def section(shape: Any, fields: Mapping[str, Any]) -> Any:
        listed = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
        return shape(**listed)

    default = UserConfig()
    return UserConfig(**{name: section(type(getattr(default, name)), document[name]) for name in document})


def without_file(environ: Mapping[str, str]) -> UserConfig:
    """The settings where there is no config.toml."""
    config, said = UserConfig(), from_environment(environ)
    return config._replace(**{name: getattr(config, name)._replace(**each) for name, each in said.items()})
