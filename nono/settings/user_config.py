"""Define the fields of config.toml and their defaults.

They are named tuples, as in nono.policy.schema.profile, so that a run without a file never imports pydantic.
"""

from __future__ import annotations

from collections.abc import Mapping

from nono.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULT_THEME = "mocha"
THEMES = (DEFAULT_THEME, "latte", "frappe", "macchiato", "tokyo-night", "minimal")
_OTHER_NAMES = {
    "tokyo": "tokyo-night",
    "tokyonight": "tokyo-night",
    **{f"catppuccin-{name}": name for name in THEMES[:4]},
}


_STORAGE_GB_MOST = 1 << 30  # more than any disk, and still a number of bytes


class Ui(NamedTuple):
    """How nono looks, which keys detach from a session, and whether questions show on the desktop."""

    theme: str = DEFAULT_THEME
    detach_sequence: str = "ctrl-] d"  # parsed by nono.settings.keys
    notify: bool = True  # show a waiting question on the desktop


class Rollback(NamedTuple):
    """Limits on the history of changes that runs made."""

    max_sessions: int = 10
    max_storage_gb: float = 5.0
    max_snapshots: int = 2000  # of one run: before it, between its turns, after it
    stale_grace_hours: int = (
        24  # after its start `nono rollback cleanup` drops a run whose supervisor was killed
    )

    @property
    def storage_bytes_max(self) -> int:
        return int(min(self.max_storage_gb, _STORAGE_GB_MOST) * (1 << 30))


class Audit(NamedTuple):
    """Limits on the audit log, and where it is sent."""

    session_max_mb: int = 1024  # MiB for each session; above it, whatever needs a record is refused
    anchors: tuple[str, ...] = ()  # services that anchor the log during a run: rfc3161:URL or key:REF
    anchor_every_minutes: int = 10
    anchor_required: bool = False  # start nothing before the first anchor is there
    otlp: str = ""  # the URL of an OpenTelemetry collector; empty: none

    @property
    def session_max_bytes(self) -> int:
        return self.session_max_mb << 20

    @property
    def goes_outward(self) -> bool:
        """True if the log is anchored or sent, or has to be."""
        return bool(self.anchors or self.otlp or self.anchor_required)


class Sessions(NamedTuple):
    """What is kept of a session besides its record."""

    screen_recording: bool = False  # record the terminal's output, for `nono logs --screen`
    screen_recording_mb: int = 16  # MiB for each session; the oldest output is dropped

    @property
    def recorded_bytes_max(self) -> int:
        """Maximum size of a recording in bytes. 0: nothing is recorded."""
        return self.screen_recording_mb << 20 if self.screen_recording else 0


class Updates(NamedTuple):
    """Controls the check for newer versions of nono."""

    check: bool = True


class RedactionNames(NamedTuple):
    """Names that mark secrets, added to nono's own or, unsafely, removed from them."""

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
        """The names of fields that remove names."""
        return tuple(name for name, value in self._asdict().items() if name.startswith("remove_") and value)


class UserConfig(NamedTuple):
    """All settings."""

    ui: Ui = Ui()
    rollback: Rollback = Rollback()
    updates: Updates = Updates()
    redaction: RedactionNames = RedactionNames()
    audit: Audit = Audit()
    sessions: Sessions = Sessions()


ALIASES: Mapping[str, str] = {"undo": "rollback"}
# Other names of fields of RedactionNames. A usual name has one kind, so the last removes it from every kind.
UNREDACTED = "allow_unredacted_defaults"
REDACTION_ALIASES: Mapping[str, tuple[str, ...]] = {
    "extra_flags": ("add_flags",),
    "extra_headers": ("add_headers",),
    "extra_query_keys": ("add_query_keys",),
    "extra_env_vars": ("add_env_names",),
    UNREDACTED: ("remove_flags", "remove_headers", "remove_query_keys", "remove_env_names"),
}


def from_environment(environ: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the settings from variables as a document with the fields of UserConfig.

    They override the file.
    """
    said: dict[str, dict[str, Any]] = {}
    if theme := environ.get("NONO_THEME"):
        said["ui"] = {"theme": theme}
    if "NONO_NO_UPDATE_CHECK" in environ:
        said["updates"] = {"check": False}
    return said


def theme_of(name: str) -> tuple[str, str | None]:
    """Return the theme for a name, with a warning if the name is unknown."""
    lower = name.strip().lower()
    known = _OTHER_NAMES.get(lower, lower)
    if known in THEMES:
        return known, None
    # Imported here: most names are known.
    from nono.policy.suggestions import did_you_mean

    near = did_you_mean(lower, (*THEMES, *_OTHER_NAMES)) or f"there are {', '.join(THEMES)}"
    return DEFAULT_THEME, f"unknown theme '{name}', {DEFAULT_THEME} is used instead ({near})."


def as_document(config: UserConfig) -> dict[str, Any]:
    """Return `config` as JSON values."""
    return {section: value._asdict() for section, value in config._asdict().items()}


def from_document(document: Mapping[str, Any]) -> UserConfig:
    """Build the settings from a document of as_document()."""

    def section(shape: Any, fields: Mapping[str, Any]) -> Any:
        listed = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
        return shape(**listed)

    default = UserConfig()
    return UserConfig(**{name: section(type(getattr(default, name)), document[name]) for name in document})


def without_file(environ: Mapping[str, str]) -> UserConfig:
    """Return the settings when there is no config.toml."""
    config, said = UserConfig(), from_environment(environ)
    return config._replace(**{name: getattr(config, name)._replace(**each) for name, each in said.items()})
