"""Word the findings about a profile file, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nono.amounts import several
from nono.cli.text.wrap_text import wrapped
from nono.errors import NonoError
from nono.named_tuple import NamedTuple
from nono.policy.document.source import Located, ProfileMistakesError, read_source

SYNTAX, MEANING, INHERITANCE = "JSON syntax error", "Profile error", "Inheritance error"
# The beginning of a message, and the label that replaces it.
_LABELS = {
    "Profile parse error: ": MEANING,
    "Profile read error at ": "File read error",
    "Profile inheritance error: ": INHERITANCE,
    "Profile not found: ": "Profile not found",
}


class Report(NamedTuple):
    """The findings about a profile. Valid means that nono would start a run with it here."""

    file: str
    good: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    deprecated_keys: int = 0

    @property
    def is_valid(self) -> bool:
        return not self.errors

    def as_json(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "valid": self.is_valid,
            "errors": list(self.errors),
            "warnings": list(self.warnings),
            "deprecated_keys": self.deprecated_keys,
        }

    def lines(self) -> list[str]:
        found = (("[ok]", self.good), ("[warn]", self.warnings), ("[err]", self.errors))
        lines = [line for sign, texts in found for text in texts for line in _signed(sign, text)]
        if not self.is_valid:
            return [*lines, f"Result: invalid ({several(len(self.errors), 'error')})"]
        warnings = f" ({several(len(self.warnings), 'warning')})" if self.warnings else ""
        return [*lines, f"Result: valid{warnings}"]


def labelled(error: NonoError, raw: bytes | None, file: str) -> tuple[str, ...]:
    """Return the mistakes in a profile, each with its kind as a label.

    raw: The content of the profile's own file, if it could be read.
    """
    if isinstance(error, ProfileMistakesError):
        syntax = _syntax_mistakes(raw, file)
        return tuple(f"{SYNTAX if each in syntax else _label(each)}: {each}" for each in error.mistakes)
    hint = f" ({error.hint})" if error.hint else ""
    for begin, label in _LABELS.items():
        if error.message.startswith(begin):
            return (f"{label}: {error.message.removeprefix(begin)}{hint}",)
    return (f"Error: {error.message}{hint}",)


def _label(mistake: Located) -> str:
    return INHERITANCE if mistake.key_path.partition(".")[0] == "extends" else MEANING


def deprecations_line(count: int) -> str:
    return f"found {several(count, 'deprecated key')}; run 'nono profile guide' for the names of today"


def _syntax_mistakes(raw: bytes | None, file: str) -> frozenset[Located]:
    if raw is None:
        return frozenset()
    try:
        source = read_source(raw, file)
    except ProfileMistakesError as error:
        return frozenset(error.mistakes)
    return frozenset(source.located(source.flaws))


def _signed(sign: str, text: str) -> Iterable[str]:
    first, *more = text.splitlines() or [""]
    yield from wrapped(first, f"{sign} ", "     ")
    for line in more:
        yield from wrapped(line, "     ")
