"""Parse JSON with comments and trailing commas into values that know their position.

RFC 8259, with `//` and `/* */` comments wherever white space is allowed, and a comma after the last member.
Existing libraries report neither the position of a value nor duplicate keys, and a person looking for a
mistake needs both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from json import loads
from math import isinf
from typing import Any, NoReturn

from nono.named_tuple import NamedTuple

MAX_DEPTH = 64
MAX_FLAWS = 100  # nobody reads more, and finding the line of each is slow
MAX_NUMBER = 40  # characters; no field accepts a number this long

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]++|//[^\n]*+|/\*(?:[^*]|\*(?!/))*+\*/)*+")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?(?![\w.])", re.ASCII)
_WORD = re.compile(r"[^\s\[\]{},:\"/]++")
_WORDS = {"true": True, "false": False, "null": None}


class Node(NamedTuple):
    """A value of a document. Objects and lists hold nodes."""

    value: dict[str, Node] | list[Node] | str | int | float | bool | None
    start: int  # offset of its first character
    key: int  # offset of its key; its own if it has none
    path: Path  # keys and positions leading to it

    def plain(self) -> Any:
        """Return the value as json.loads would."""
        if isinstance(self.value, dict):
            return {name: node.plain() for name, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def nearest(self, path: Path) -> Node:
        """Return the node at `path`, or the last existing node on the way there."""
        node = self
        for step in path:
            if isinstance(node.value, dict) and step in node.value:
                node = node.value[str(step)]
            elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
            else:
                break
        return node


class Flaw(NamedTuple):
    """A reason why a text is not JSON."""

    at: int  # offset
    path: Path
    what: str


def parse(text: str) -> tuple[Node | None, list[Flaw]]:
    """Return the document and every flaw that could be skipped; None for the document after a fatal one."""
    reader = _Reader(text)
    try:
        root = reader.document()
    except _UnreadableError as error:
        return None, [*reader.flaws, error.flaw]
    return root, reader.flaws


def line_and_column(text: str, at: int) -> tuple[int, int]:
    """Return the line and column of an offset, both from 1; columns count characters."""
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


class _UnreadableError(Exception):
    def __init__(self, flaw: Flaw) -> None:
        self.flaw = flaw


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.flaws: list[Flaw] = []

    def document(self) -> Node:
        self._blank(())
        root = self._value((), self.at)
        self._blank(())
        if self.at < len(self.text):
            self._give_up((), "unexpected text after the end of the document")
        return root

    def _value(self, path: Path, key: int) -> Node:
        start = self.at
        match self.text[start : start + 1]:
            case "{" | "[" if len(path) >= MAX_DEPTH:
                self._give_up(path, f"nested deeper than {MAX_DEPTH} levels")
            case "{":
                return Node(self._object(path), start, key, path)
            case "[":
                return Node(self._list(path), start, key, path)
            case '"':
                return Node(self._string(path), start, key, path)
        return Node(self._number_or_word(path), start, key, path)

    def _object(self, path: Path) -> dict[str, Node]:
        members: dict[str, Node] = {}
        for _ in self._items(path, "}"):
            at = self.at
            name = self._key(path)
            self._blank(path)
            if not self._take(":"):
                self._give_up((*path, name), "expected ':' behind the key")
            self._blank(path)
            node = self._value((*path, name), at)
            if name in members:
                line, _ = line_and_column(self.text, members[name].key)
                self._note(at, (*path, name), f"duplicate field '{name}', first given in line {line}")
            else:
                members[name] = node
        return members

    def _list(self, path: Path) -> list[Node]:
        entries: list[Node] = []
        for position in self._items(path, "]"):
            entries.append(self._value((*path, position), self.at))
        return entries

    def _items(self, path: Path, end: str) -> Iterator[int]:
        """Stop before each item in turn, and after `end` at last."""
        opening = self.at
        self.at += 1
        position = 0
        self._blank(path)
        while not self._take(end):
            if self.at >= len(self.text):
                line, column = line_and_column(self.text, opening)
                self._give_up(path, f"expected '{end}' for what begins in line {line}, column {column}")
            yield position
            position += 1
            behind = self.at
            self._blank(path)
            if not self._take(",") and self.text[self.at : self.at + 1] not in (end, ""):
                if self.text[self.at] in "]}:":
                    self._give_up(path, f"expected ',' or '{end}'")
                self._note(behind, path, "expected ',' between two items")
            self._blank(path)

    def _key(self, path: Path) -> str:
        if self.text[self.at] == '"':
            return self._string(path)
        word = _WORD.match(self.text, self.at)
        if word is None:
            self._give_up(path, "expected a key in double quotes")
        self.at = word.end()
        name = word[0].strip("'")
        self._note(word.start(), (*path, name), "expected the key in double quotes")
        return name

    def _string(self, path: Path) -> str:
        found = _STRING.match(self.text, self.at)
        if found is None:
            return self._broken_string(path)
        self.at = found.end()
        text = found[0][1:-1]
        if "\\" in text:
            text = loads(found[0])
            if any("\ud800" <= character <= "\udfff" for character in text):
                self._note(found.start(), path, "half of a surrogate pair is not a character")
                text = ""
        return text

    def _broken_string(self, path: Path) -> str:
        """Note a flaw and skip the string, if it ends in its line."""
        end = re.compile(r'"(?:[^"\\\n]|\\[^\n])*+"').match(self.text, self.at)
        if end is None:
            self._give_up(path, "a string has no closing quote in its line")
        self._note(self.at, path, r"a string holds a control character, or a '\' that escapes nothing")
        self.at = end.end()
        return end[0][1:-1]

    def _number_or_word(self, path: Path) -> int | float | bool | None:
        start = self.at
        number = _NUMBER.match(self.text, start)
        if number is not None:
            self.at = number.end()
            text = number[0]
            if len(text) <= MAX_NUMBER and not isinf(value := float(text)):
                return value if set(text) & set(".eE") else int(text)
            self._note(start, path, "the number is out of range")
            return None
        word = _WORD.match(self.text, start)
        if word is None:
            self._give_up(path, "expected a value" if self.text.strip() else "the file is empty")
        self.at = word.end()
        if word[0] not in _WORDS:
            known = {"True": "true", "False": "false", "None": "null"}
            hint = f" (did you mean {known[word[0]]}?)" if word[0] in known else ""
            quoted = "" if hint else ": text needs double quotes"
            self._note(start, path, f"unexpected {_short(word[0])}{hint}{quoted}")
        return _WORDS.get(word[0])

    def _blank(self, path: Path) -> None:
        found = _BLANK.match(self.text, self.at)
        assert found is not None  # it also matches the empty string
        self.at = found.end()
        if self.text.startswith("/*", self.at):
            self._give_up(path, "a comment has no end: expected '*/'")

    def _take(self, mark: str) -> bool:
        is_there = self.text.startswith(mark, self.at)
        self.at += len(mark) if is_there else 0
        return is_there

    def _note(self, at: int, path: Path, what: str) -> None:
        self.flaws.append(Flaw(at, path, what))
        if len(self.flaws) == MAX_FLAWS:
            self._give_up(path, f"that was the {MAX_FLAWS}th mistake; the rest was not read")

    def _give_up(self, path: Path, what: str) -> NoReturn:
        raise _UnreadableError(Flaw(self.at, path, what))


def _short(text: str) -> str:
    return text if len(text) <= 30 else f"{text[:30]}..."
