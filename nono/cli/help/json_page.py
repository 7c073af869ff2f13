"""The page on what --json prints, with a part for each command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nono.cli.help.markdown import table
from nono.cli.help.page import Entry, Section
from nono.cli.help.settings import kind_of
from nono.cli.shapes.table import SHAPES, Shape

_INTRO = """# JSON

Every command that lists or reports prints JSON with `--json`, on standard output and nothing else there. Each
object says in `format` which version of its shape it has; in an array each of its objects does, and with `-f`
or `--watch` each line. A field may be added without another version, so pass over those that you do not know.
A field that is renamed, removed or means something else makes another one.

The JSON Schema of each shape is linked below; an installed nono has them in `share/nono/schemas` beside its
`bin`.
"""


def json_page(folder: str) -> str:
    """Return the page as Markdown. folder: where it finds the schemas, relative to itself."""
    return "\n".join([_INTRO, *(line for shape in SHAPES for line in _part(shape, folder))])


def _part(shape: Shape, folder: str) -> Iterator[str]:
    kind = "An array" if shape.schema.get("type") == "array" else "An object"
    yield from (
        f"## nono {shape.command}",
        "",
        f"{shape.title}. {kind}: [JSON Schema]({folder}/{shape.file}).",
        "",
    )
    for fields in _objects(shape.schema):
        if (words := fields.get("description")) is not None:
            yield from (f"{words[0].upper()}{words[1:]}:", "")
        yield from table(Section("", tuple(_entries(fields))))
        yield ""


def _objects(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the objects that may be printed."""
    if "anyOf" in schema:
        for each in schema["anyOf"]:
            yield from _objects(each)
    else:
        yield schema.get("items", schema)


def _entries(found: Mapping[str, Any], above: str = "") -> Iterator[Entry]:
    for name, rules in found["properties"].items():
        words = [str(rules.get("description", ""))]
        if name not in found.get("required", ()):
            words.append("left out where it does not apply")
        inner = _inner(rules)
        kind = "integer" if "const" in rules else kind_of(rules)
        yield Entry((f"{above}{name}",), "; ".join(filter(None, words)), kind, values=_possible(rules))
        if inner is not None:
            yield from _entries(inner, f"{above}{name}{'[]' if kind.startswith('list') else ''}.")


def _inner(rules: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the object with named fields that a field holds, itself or in a list; None if it holds none."""
    if "properties" in rules:
        return rules
    for each in (*rules.get("anyOf", ()), rules.get("items")):
        if isinstance(each, dict) and (found := _inner(each)) is not None:
            return found
    return None


def _possible(rules: Mapping[str, Any]) -> tuple[str, ...]:
    found = [rules, *rules.get("anyOf", ())]
    return tuple(str(value) for each in found for value in each.get("enum", ()) if value is not None)
