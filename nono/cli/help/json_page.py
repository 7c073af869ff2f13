"""Build the page that documents the output of --json, command by command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nono.cli.help.markdown import escaped
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
    about = f"{shape.title}. {kind}: [JSON Schema]({folder}/{shape.file})."
    yield from (f"## nono {shape.command}", "", about, "")
    for fields in _objects(shape.schema):
        if (words := fields.get("description")) is not None:
            yield from (f"{words[0].upper()}{words[1:]}:", "")
        yield from ("| field | type | meaning |", "|---|---|---|", *_rows(fields), "")


def _objects(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the objects that may be printed."""
    if "anyOf" in schema:
        for each in schema["anyOf"]:
            yield from _objects(each)
    else:
        yield schema.get("items", schema)


def _rows(found: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for name, rules in found["properties"].items():
        inner = _inner(rules)
        words = rules.get("description") or ("" if inner is None else inner.get("description", ""))
        told = [escaped(words) if words else ""]
        told += [f"one of {', '.join(_possible(rules))}"] if _possible(rules) else []
        told += [] if name in found.get("required", ()) else ["may be missing"]
        yield f"| `{above}{name}` | {_kind(rules)} | {'; '.join(filter(None, told))} |"
        if inner is not None:
            yield from _rows(inner, f"{above}{name}{'[]' if _kind(rules).startswith('list') else ''}.")


def _kind(rules: Mapping[str, Any]) -> str:
    if "const" in rules:
        return "integer"
    kinds = (rules.get("type", ()), *(each.get("type") for each in rules.get("anyOf", ())))
    is_null = any(each == "null" or (isinstance(each, list) and "null" in each) for each in kinds)
    kind = kind_of(rules)
    return f"{kind} or null" if is_null and kind not in ("", "null") else kind


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
