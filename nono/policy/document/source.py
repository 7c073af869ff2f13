"""Represent a profile file as written, and the mistakes in it with their positions."""

from __future__ import annotations

from collections.abc import Iterable

from nono.errors import ProfileError
from nono.named_tuple import NamedTuple
from nono.policy.document.jsonc import Node, Path, line_and_column, parse

MAX_SHOWN = 30
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_UTF8_BOM = b"\xef\xbb\xbf"


class Mistake(NamedTuple):
    """A problem with the value at a path of the document."""

    path: Path
    what: str
    at_key: bool = False  # about the key rather than its value
    at: int | None = None  # the offset, if not that of key or value


class Located(NamedTuple):
    """A mistake and its position, for a person."""

    file: str
    line: int
    column: int  # both from 1
    key_path: str  # names and positions joined by dots; empty: the whole document
    what: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}"
        return f"{where}: {self.key_path}: {self.what}" if self.key_path else f"{where}: {self.what}"


class ProfileMistakesError(ProfileError):
    """A profile with mistakes; the message has one line for each."""

    def __init__(self, mistakes: Iterable[Located], what: str = "") -> None:
        self.mistakes = tuple(dict.fromkeys(mistakes))
        lines = [str(mistake) for mistake in self.mistakes[:MAX_SHOWN]]
        if len(self.mistakes) > MAX_SHOWN:
            lines.append(f"and {len(self.mistakes) - MAX_SHOWN} more mistakes")
        super().__init__(f"Profile parse error: {what}" + "\n".join(lines))


class Source(NamedTuple):
    """A file that was parsed, perhaps with flaws."""

    file: str  # its name in messages
    text: str
    root: Node
    flaws: tuple[Mistake, ...] = ()

    def located(self, mistakes: Iterable[Mistake]) -> list[Located]:
        """Return the mistakes in file order."""
        fixed = sorted((fixed_in(self.root, mistake) for mistake in mistakes), key=lambda each: each.at or 0)
        return [_located(self.file, self.text, each.at or 0, each.path, each.what) for each in fixed]


def fixed_in(root: Node, mistake: Mistake) -> Mistake:
    """Add the offset and the path in the file to a mistake now, since the nodes of `root` may move."""
    if mistake.at is not None:
        return mistake
    node = root.nearest(mistake.path)
    nodes = [root.nearest(mistake.path[:depth]) for depth in range(len(mistake.path))]
    missing = mistake.path[len(mistake.path) - sum(each is node for each in nodes) :]
    path = (*node.path, *missing) if isinstance(node.value, dict | list) else node.path
    return mistake._replace(path=path, at=node.key if mistake.at_key else node.start)


def read_source(raw: bytes, file: str) -> Source:
    """Parse a file. Raises ProfileMistakesError for bytes that are not text, or text that breaks off."""
    if raw.startswith((_UTF8_BOM, *_UTF16)):
        what = "begins with a byte order mark: save it as UTF-8 without one"
        raise ProfileMistakesError([Located(_spelled(file), 1, 1, "", what)])
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        line, column = line_and_column(before, len(before))
        mistake = Located(_spelled(file), line, column, "", f"byte 0x{raw[error.start]:02x} is not UTF-8")
        raise ProfileMistakesError([mistake], "invalid UTF-8: ") from error
    root, flaws = parse(text)
    if root is None or not isinstance(root.value, dict):
        found = [_located(file, text, *flaw) for flaw in flaws]
        if root is not None:
            found.append(_located(file, text, root.start, (), "expected an object"))
        raise ProfileMistakesError(found)
    return Source(file, text, root, tuple(Mistake(flaw.path, flaw.what, at=flaw.at) for flaw in flaws))


def _located(file: str, text: str, at: int, path: Path, what: str) -> Located:
    line, column = line_and_column(text, at)
    return Located(_spelled(file), line, column, _spelled(".".join(map(_step, path))), _spelled(what))


def _step(step: str | int) -> str:
    text = str(step)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _spelled(text: str) -> str:
    """Escape `text` into one line, so a file can neither forge another line nor control a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
