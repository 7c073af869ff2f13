"""Write profiles and groups as the lines and the JSON that `nono profile` prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nono.cli.text.wrap_text import COLUMNS, described, outline, wrapped
from nono.errors import NonoError
from nono.policy.builtin.shipped import Group
from nono.policy.export.diff import changes
from nono.policy.path_expansion import PathContext
from nono.policy.profile.catalog import BUILT_IN, OVERRIDING, Listed
from nono.printable import printable

ACCESSES = ("read", "write", "readwrite")
ANY_PLATFORM = "cross-platform"


def listed_json(listed: Listed) -> dict[str, Any]:
    named = {"name": listed.name, "source": listed.source, "pack": None}
    if listed.error is not None:
        return {**named, "error": listed.error}
    return {**named, "description": listed.description, "extends": list(listed.extends)}


def catalog_lines(listed: Sequence[Listed], directory: str) -> list[str]:
    shipped = [each for each in listed if each.source == BUILT_IN]
    users = [each for each in listed if each.source != BUILT_IN]
    lines = ["Built-in:", *described((each.name, _about(each)) for each in shipped)]
    lines += ["", *wrapped(f"User ({directory}):"), *described((each.name, _about(each)) for each in users)]
    return lines if users else [*lines, "  none; `nono profile init NAME` writes one"]


def _about(listed: Listed) -> str:
    if listed.error is not None:
        return f"[error: {' '.join(listed.error.split())}]"
    about = listed.description or ""
    if listed.extends:
        about += f" (extends {', '.join(listed.extends)})"
    if listed.source == OVERRIDING:
        about += " (overrides the built-in one)"
    return about.strip()


def profile_lines(document: Mapping[str, Any]) -> list[str]:
    """Return a document of nono.policy.export.dump as lines, without its empty fields."""
    head = {name: value for name, value in document.items() if not isinstance(value, Mapping)}
    lines = outline(head)
    for name, section in document.items():
        inner = outline(section, "  ") if isinstance(section, Mapping) else []
        lines += ["", f"{name}:", *inner] if inner else []
    return lines


def difference_lines(compared: Mapping[str, Any]) -> list[str]:
    """Return a comparison of nono.policy.export.diff as lines.

    Added (+) and removed (-) entries are listed below their field, changed values beside it.
    """
    lines, above = [], None
    for path, sign, text in changes(compared):
        if sign and path != above:
            lines += wrapped(f"{path}:")
        lines += wrapped(text, f"  {sign} ", "    ") if sign else wrapped(f"{path}: {text}", "", "  ")
        above = path if sign else None
    return lines or ["Nothing differs."]


def group_json(group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "description": group.description,
        "platform": group.platform or ANY_PLATFORM,
        "required": group.required,
        "allow": {access: len(getattr(group, access)) for access in ACCESSES},
        "deny": {"access": len(group.deny), "commands": len(group.commands), "unlink": group.unlink},
    }


def group_list_lines(groups: Iterable[Group]) -> list[str]:
    lines = []
    for group in groups:
        lines += ["", group.name, *wrapped(group.description, "  "), *wrapped(_size(group), "  ")]
    return lines[1:]


def _size(group: Group) -> str:
    counts = {
        **{f"{access} %d": len(getattr(group, access)) for access in ACCESSES},
        "deny %d": len(group.deny),
        "commands %d": len(group.commands),
    }
    parts = [text % count for text, count in counts.items() if count]
    parts += ["cannot be excluded"] if group.required else []
    parts += [f"{group.platform} only"] if group.platform else []
    return ", ".join(parts)


def group_detail(group: Group, path_context: PathContext) -> dict[str, Any]:
    """Return a group as JSON, each path as written and as expanded here (null if it has no value here)."""

    def entries(texts: Sequence[str]) -> list[dict[str, str | None]]:
        return [{"raw": text, "expanded": _expanded(text, path_context)} for text in texts]

    return {
        **group_json(group),
        "allow": {access: entries(getattr(group, access)) for access in ACCESSES},
        "deny": {"access": entries(group.deny), "commands": list(group.commands), "unlink": group.unlink},
        "symlink_pairs": {},  # macOS only, whose paths are not shipped
    }


def _expanded(text: str, path_context: PathContext) -> str | None:
    try:
        return path_context.of_group(text)
    except NonoError:
        return None


def group_lines(group: Group, detail: Mapping[str, Any]) -> list[str]:
    lines = [group.name, *wrapped(group.description, "  ")]
    lines.append(f"  platform: {detail['platform']}")
    lines += ["  required: it cannot be excluded"] if group.required else []
    listed = {**detail["allow"], "deny": detail["deny"]["access"]}
    for title, entries in listed.items():
        lines += [f"  {title}:", *(line for entry in entries for line in _entry(entry))] if entries else []
    if group.commands:
        lines += ["  commands that are known to be dangerous:", *wrapped(", ".join(group.commands), "    ")]
    lines += ["  unlink: no deletion (macOS only)"] if group.unlink else []
    return lines


def _entry(entry: Mapping[str, str | None]) -> list[str]:
    raw, expanded = entry["raw"], entry["expanded"]
    if raw == expanded:
        return [f"    {raw}"]
    note = "(its variable has no value here)" if expanded is None else f"({expanded})"
    line = f"    {raw}  {printable(note)}"
    return [line] if len(line) <= COLUMNS else [f"    {raw}", f"      {printable(note)}"]
