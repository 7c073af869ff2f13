"""Build the sections of nono-config(5) and nono-profile(5) from the schemas that nono reads with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nono.cli.help.page import Entry, Section
from nono.policy.export.json_schema import schema
from nono.settings.user_config import UserConfig

CONFIG: Mapping[str, Mapping[str, str]] = {
    "ui": {
        "theme": "colour theme; accepted, and nothing uses it yet",
        "detach_sequence": "keys that leave a session: ctrl-x, esc, tab, enter, space or single characters",
        "notify": "show a desktop notification when a question waits",
    },
    "rollback": {
        "max_sessions": "sessions whose changes are kept",
        "max_storage_gb": "GB that they may take",
        "max_snapshots": "snapshots of one run, the first and the last included",
        "stale_grace_hours": "hours before nono rollback cleanup drops a run whose supervisor was killed",
    },
    "updates": {"check": "look for newer versions"},
    "redaction": {
        "add_flags": "further options whose values are secret, such as --pin",
        "add_headers": "further headers whose values are secret",
        "add_query_keys": "further query parameters whose values are secret",
        "add_env_names": "further variables whose values are secret",
        "remove_flags": "options that are not secret after all",
        "remove_headers": "headers that are not secret after all",
        "remove_query_keys": "query parameters that are not secret after all",
        "remove_env_names": "variables that are not secret after all",
        "unsafe_redaction_overrides": "must be true for the lists that remove names",
    },
    "audit": {
        "session_max_mb": "MiB of one audit log; then nono refuses what needs a record",
        "anchors": "who vouches for the log during a run: rfc3161:URL or key:REF",
        "anchor_every_minutes": "minutes between two anchors",
        "anchor_required": "start nothing before the first anchor is there",
        "otlp": "URL of an OpenTelemetry collector that gets each record",
    },
    "sessions": {
        "screen_recording": "record what terminals show, for nono logs --screen",
        "screen_recording_mb": "MiB of one recording; the oldest part is dropped",
    },
}


def config_sections() -> Iterator[Section]:
    """Yield a section for each table of config.toml."""
    for name, values in UserConfig()._asdict().items():
        texts = CONFIG.get(name, {})
        entries = (
            Entry((key,), texts.get(key, key), default=_shown(value))
            for key, value in values._asdict().items()
        )
        yield Section(f"[{name}]", tuple(entries))


def profile_sections() -> Iterator[Section]:
    """Yield a section for the profile itself, then one for each kind of object in it."""
    document = schema()
    definitions = document["$defs"]
    yield Section("Top level", tuple(_fields(document)))
    for name, found in definitions.items():
        if name not in ("When", "Fragment", "Profile") and found.get("properties"):
            yield Section(_spaced(name), tuple(_fields(found)))


def _fields(found: Mapping[str, Any]) -> Iterator[Entry]:
    for name, rules in found["properties"].items():
        if not rules.get("deprecated"):
            text = str(rules.get("description", "")).removesuffix(".")
            yield Entry((name,), text, kind_of(rules), values=tuple(map(str, _possible(rules))))


def kind_of(rules: Mapping[str, Any]) -> str:
    """Return in a few words what a field holds, such as a string, a list of strings or an object."""
    for key in ("anyOf", "allOf"):
        found = dict.fromkeys(filter(None, map(kind_of, rules.get(key, ()))))
        if found:
            return " or ".join(kind for kind in found if kind != "null") or "null"
    if "$ref" in rules:
        return _spaced(rules["$ref"].rpartition("/")[2])
    if "enum" in rules:
        return "string"
    kind = rules.get("type", "")
    if kind == "array":
        inner = kind_of(rules["items"]) if isinstance(rules.get("items"), dict) else ""
        return f"list of {inner}" if inner else "list"
    if kind == "object" and isinstance(rules.get("additionalProperties"), dict):
        inner = kind_of(rules["additionalProperties"])
        return f"object of {inner}" if inner else "object"
    return kind if isinstance(kind, str) else " or ".join(each for each in kind if each != "null")


def _possible(rules: Mapping[str, Any]) -> list[Any]:
    if "enum" in rules:
        return [each for each in rules["enum"] if each is not None]
    return [each for key in ("anyOf", "allOf") for inner in rules.get(key, ()) for each in _possible(inner)]


def _spaced(name: str) -> str:
    """Return the name of a class as words, such as TlsIntercept as "tls intercept"."""
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()


def _shown(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case tuple():
            return "[]"
    return str(value)
