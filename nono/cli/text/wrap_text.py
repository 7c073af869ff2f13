"""Wrap text for a terminal of 80 columns, without breaking words that are longer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from textwrap import TextWrapper
from typing import Any

from nono.printable import printable

COLUMNS = 80
_NAME_COLUMNS = 22


def wrapped(text: str, indent: str = "", hanging: str | None = None) -> list[str]:
    """Wrap text behind indent. Further lines are indented by hanging, or by indent if that is None."""
    return TextWrapper(
        width=COLUMNS,
        initial_indent=indent,
        subsequent_indent=indent if hanging is None else hanging,
        break_long_words=False,
        break_on_hyphens=False,
    ).wrap(printable(text))


def described(entries: Iterable[tuple[str, str]]) -> list[str]:
    """List names with their descriptions; a long description continues in the same column."""
    hanging = " " * (_NAME_COLUMNS + 4)
    lines = []
    for name, text in entries:
        shown = printable(name)
        if len(shown) > _NAME_COLUMNS:
            lines += [f"  {shown}", *wrapped(text, hanging)]
        else:
            lines += wrapped(text or "-", f"  {shown:<{_NAME_COLUMNS}}  ", hanging)
    return lines


def outline(document: Mapping[str, Any], indent: str = "") -> list[str]:
    """Return a JSON document as indented lines, without its empty values."""
    lines = []
    for name, value in document.items():
        if value in (None, "", [], {}):
            continue
        if isinstance(value, Mapping):
            inner = outline(value, indent + "  ")
            lines += [f"{indent}{printable(name)}:", *inner] if inner else []
        elif isinstance(value, list) and not all(map(_is_word, value)):
            lines.append(f"{indent}{printable(name)}:")
            lines += [line for item in value for line in _item(item, indent + "  ")]
        else:
            lines += wrapped(_inline(value), f"{indent}{printable(name)}: ", indent + "  ")
    return lines


def _item(item: Any, indent: str) -> list[str]:
    if not isinstance(item, Mapping):
        return wrapped(_inline(item), f"{indent}- ", indent + "  ")
    first, *rest = outline(item, indent + "  ") or [f"{indent}  {{}}"]
    return [f"{indent}- {first.lstrip()}", *rest]


def _is_word(item: Any) -> bool:
    return not isinstance(item, (Mapping, list)) and not set(str(item)) & {" ", ","}


def _inline(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_inline, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).replace("\n", "\\n")
