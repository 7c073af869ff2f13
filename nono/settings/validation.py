"""Turn a parsed config.toml into a UserConfig, or into one line for each mistake.

Only this module of the settings imports pydantic. Flags override variables, which override the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError, create_model
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from nono.policy.suggestions import did_you_mean
from nono.settings.keys import parse_keys
from nono.settings.user_config import ALIASES, REDACTION_ALIASES, UNREDACTED, UserConfig

SCREEN_RECORDING_MB_MAX = 1024
_EXPECTED = {
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "string_type": "expected a string",
    "tuple_type": "expected a list",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
}


class MistakesError(ValueError):
    """Mistakes in the settings; each of `lines` begins with a key path."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def validate(file: Mapping[str, Any], environment: Mapping[str, Any]) -> UserConfig:
    """Validate the settings; `environment` overrides `file`, and both are documents.

    Raises MistakesError that names every mistake.
    """
    document, mistakes = _renamed(file)

    class Layered(BaseSettings):
        model_config = SettingsConfigDict(extra="forbid")

        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: Any, **__: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return tuple(InitSettingsSource(settings_cls, dict(layer)) for layer in (environment, document))

    sections: Any = {name: (type(default), default) for name, default in UserConfig._field_defaults.items()}
    mistakes += [f"{name}: expected a table" for name, value in document.items() if _is_no_table(name, value)]
    if mistakes:
        raise MistakesError(mistakes)
    try:
        settings = create_model("Settings", __base__=Layered, **sections)()
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise MistakesError([_line(each["loc"], each["type"]) for each in found]) from None
    config = UserConfig(*(getattr(settings, name) for name in UserConfig._fields))
    if mistakes := list(_mistaken_values(config)):
        raise MistakesError(mistakes)
    return config


def _renamed(file: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    both = [(old, new) for old, new in ALIASES.items() if {old, new} <= file.keys()]
    mistakes = [f"{old}: another name of {new}, which is given too" for old, new in both]
    document = {ALIASES.get(name, name): value for name, value in file.items()}
    if isinstance(names := document.get("redaction"), Mapping):
        document["redaction"], found = _renamed_redaction(names)
        mistakes += found
    return document, mistakes


def _renamed_redaction(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    names, mistakes = dict(given), list[str]()
    for old in REDACTION_ALIASES.keys() & given.keys():
        value = names.pop(old)
        both = [new for new in REDACTION_ALIASES[old] if new in given]
        if not isinstance(value, list):
            mistakes.append(f"redaction.{old}: expected a list")
        elif old == UNREDACTED and value and given.get("unsafe_redaction_overrides") is not True:
            mistakes.append(f"redaction.{old}: needs unsafe_redaction_overrides = true beside it")
        mistakes += [f"redaction.{old}: another name of {new}, which is given too" for new in both]
        names |= dict.fromkeys(REDACTION_ALIASES[old], value)
    return names, sorted(mistakes)


def _is_no_table(name: str, value: Any) -> bool:
    return name in UserConfig._fields and not isinstance(value, Mapping)


def _line(location: tuple[int | str, ...], kind: str) -> str:
    path = ".".join(map(str, location))
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        section = getattr(UserConfig(), str(location[0])) if len(location) > 1 else UserConfig()
        hint = did_you_mean(str(location[-1]), section._fields)
        return f"{path}: no such key" + (f" ({hint})" if hint else "")
    return f"{path}: {_EXPECTED.get(kind, kind.replace('_', ' '))}"


def _mistaken_values(config: UserConfig) -> Iterator[str]:
    try:
        parse_keys(config.ui.detach_sequence)
    except ValueError as error:
        yield f"ui.detach_sequence: {error}"
    for name, value in config.rollback._asdict().items():
        if not 0 <= value < float("inf"):
            yield f"rollback.{name}: {value} is not a number from 0 on"
    if config.audit.session_max_mb < 1:
        yield f"audit.session_max_mb: {config.audit.session_max_mb} is not a number from 1 on"
    if not 1 <= config.sessions.screen_recording_mb <= SCREEN_RECORDING_MB_MAX:
        yield (
            f"sessions.screen_recording_mb: {config.sessions.screen_recording_mb} is not a number"
            f" from 1 to {SCREEN_RECORDING_MB_MAX}"
        )
    names = config.redaction
    if names.removals and not names.unsafe_redaction_overrides:
        for name in names.removals:
            yield f"redaction.{name}: needs unsafe_redaction_overrides = true beside it"
    for field, value in names._asdict().items():
        if isinstance(value, tuple) and any(not name.strip() or not name.isprintable() for name in value):
            yield f"redaction.{field}: a name is empty or holds control characters"
