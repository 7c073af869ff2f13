"""Collects the messages of the program from its code: what it says, what it advises, and how it ends."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple  # noqa: TID251 - nobody waits for the start of a build

ROOT = Path(__file__).parents[2]
GAP = "…"  # in the place of what is known at run time only
# The errors that end nono with `nono: MESSAGE`, and the exit codes that they have.
STATUS = {
    "NonoError": 1, "UsageError": 2, "ConfigError": 1, "ProfileError": 1, "SandboxError": 1,
    "CredentialError": 1, "CredentialNotFound": 1, "CredentialUnavailable": 1, "LaunchError": 126,
    "ArgumentTypeError": 2, "ContradictionError": 1, "MissingPathError": 1, "invalid": 2,
}  # fmt: skip
_MAY_RAISE = re.compile(rf"\b(?:{'|'.join(STATUS)})\(")  # few modules do, and parsing all takes seconds
# What is put before a message; argparse and invalid() say which option is meant.
_BEFORE = {
    "SandboxError": "Sandbox initialization failed: ",
    "ArgumentTypeError": f"{GAP}: ",
    "invalid": f"{GAP}: ",
}
# Put together from what was found, each with its place.
_FOUND = {
    "Profile parse error: …": "nono profile validate FILE",
    "Manifest parse error: …": "",
    "Manifest read error at …": "",
    "…: '…': expected a duration like 24h, 15m or 1d, up to a year": "",
}
_HINTS_MAX = 2
_DEPTH_MAX = 6  # of names that stand for others
_LETTERS_LEAST = 4  # of a message that can be looked for


class Message(NamedTuple):
    """One message. `…` stands for what is known at run time only."""

    text: str
    hint: str
    status: int

    @property
    def pattern(self) -> re.Pattern[str]:
        """Return what the line that is printed matches, from its beginning."""
        return re.compile(".*".join(map(re.escape, self.text.split(GAP))), re.DOTALL)


def messages() -> list[Message]:
    """Return every message, by its first words."""
    found = {text: Message(text, hint, 1) for text, hint in _FOUND.items()}
    found |= {each.text: each for path in sorted(ROOT.glob("nono/**/*.py")) for each in _in(path)}
    return sorted(found.values(), key=lambda each: each.text.lower().lstrip("'-…"))


def page() -> str:
    """Return the list as a page."""
    lines = [
        "# Messages",
        "",
        f"What nono says when it refuses or fails, after `nono: `. `{GAP}` stands for a name or a reason.",
        "What is behind those that people meet is in [Troubleshooting](../troubleshooting.md).",
        "",
        "| message | hint | exit code |",
        "|---|---|---|",
    ]
    lines += (f"| {_cell(each.text)} | {_cell(each.hint)} | {each.status} |" for each in messages())
    return "\n".join([*lines, ""])


def _in(path: Path) -> Iterator[Message]:
    source = path.read_text(encoding="utf-8")
    if not _MAY_RAISE.search(source):
        return
    nodes = list(ast.walk(ast.parse(source)))
    names: dict[str, list[ast.expr]] = {}
    for node in nodes:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    names.setdefault(target.id, []).append(node.value)
    for node in nodes:
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name not in STATUS:
            continue
        hint = next((each.value for each in node.keywords if each.arg == "hint"), None)
        is_named = name == "invalid"  # with the option before the message, and without a full stop
        for text in _texts(node.args[1 if is_named else 0], names):
            whole = _BEFORE.get(name, "") + text + ("." if is_named else "")
            if sum(map(str.isalpha, whole)) >= _LETTERS_LEAST:
                yield Message(whole, "" if hint is None else _advice(_texts(hint, names)), STATUS[name])


def _advice(texts: Sequence[str]) -> str:
    """Return the hint; one that is chosen among many at run time is left out."""
    told = [text for text in dict.fromkeys(texts) if any(map(str.isalpha, text))]
    return " or ".join(told) if len(told) <= _HINTS_MAX else ""


def _texts(node: ast.expr, names: Mapping[str, Sequence[ast.expr]], depth: int = 0) -> list[str]:
    """Return what an expression may come to."""
    if depth > _DEPTH_MAX:
        return [GAP]
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.Constant(value=None):
            return [""]
        case ast.JoinedStr(values=values):
            return [_squeezed("".join(_texts(each, names, depth + 1)[0] for each in values))]
        case ast.IfExp(body=body, orelse=orelse):
            return [*_texts(body, names, depth + 1), *_texts(orelse, names, depth + 1)]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            rights = _texts(right, names, depth + 1)
            return [_squeezed(a + b) for a in _texts(left, names, depth + 1) for b in rights]
        case ast.Name(id=name) if name in names:
            return [text for each in names[name] for text in _texts(each, names, depth + 1)]
        case ast.FormattedValue(value=ast.Name(id=name)) if name.isupper() and name in names:
            return _texts(names[name][0], names, depth + 1)
    return [GAP]


def _squeezed(text: str) -> str:
    return re.sub(f"{GAP}+", GAP, text)


def _cell(text: str) -> str:
    """Escape what Markdown or HTML would take for its own."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", " ")
    return "".join(f"\\{c}" if c in "*_[]`|" else c for c in escaped)
