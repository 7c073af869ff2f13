"""Match globs against the segments of a canonical path without backtracking.

``*`` is any text within one segment; ``**``, as a whole segment, is any number of segments, including none;
``?`` is one character or one percent-encoded octet, ``[a-c]`` and ``[!a]`` one of a set, ``{x,y}`` one of two
texts, and a backslash takes the next character literally. ``?name=`` is refused: it was meant as a query. The
text between two stars has a fixed length, so its first match is as good as any other, and the time is linear
in the length of the path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice

from nono.named_tuple import NamedTuple
from nono.policy.endpoints.path_readings import ESCAPE, OCTET, segments_of

MAX_LENGTH = 1024  # characters of a pattern
MAX_BRANCHES = 64  # expansions of its braces

_LITERAL = r"[A-Za-z0-9._~!$&'()*+,;=:@-]"  # pchar without escapes, RFC 3986 section 3.3
_UNRESERVED = r"[A-Za-z0-9._~-]"
_NEVER_SENT = (0x00, 0x0A, 0x0D, 0x2F, 0x5C)  # requests with these escaped are refused before any rule
_QUERY = re.compile(r"\?[A-Za-z0-9_.~%-]+=", re.ASCII)  # in a pattern: what somebody meant as a query
_MARKS = frozenset("*?[{}\\")  # not read as themselves in a pattern


class _Chunk(NamedTuple):
    """The text between two stars of one segment."""

    regex: re.Pattern[str]  # without a quantifier
    length: int


class _Segment(NamedTuple):
    """One segment of a pattern."""

    chunks: tuple[_Chunk, ...]

    def matches(self, text: str) -> bool:
        first, last = self.chunks[0], self.chunks[-1]
        if len(self.chunks) == 1:
            return first.regex.fullmatch(text) is not None
        at, end = first.length, len(text) - last.length
        if at > end or first.regex.match(text) is None or last.regex.match(text, end) is None:
            return False
        for chunk in self.chunks[1:-1]:
            found = chunk.regex.search(text, at, end)
            if found is None:
                return False
            at = found.end()
        return True


Run = tuple[_Segment, ...]  # the segments between two "**"


def is_literal(path: str) -> bool:
    """Return True if a path, taken as a pattern, matches that path alone."""
    return _MARKS.isdisjoint(path)


class PathGlob(NamedTuple):
    """A compiled pattern."""

    branches: tuple[tuple[Run, ...], ...]

    def matches(self, segments: Sequence[str]) -> bool:
        """Return True if the pattern matches a path split by `path_readings`."""
        return any(_fits(runs, segments) for runs in self.branches)


def compile_glob(pattern: str, *, ignores_case: bool = False) -> PathGlob:
    """Compile a pattern. Raises ValueError for one that is malformed or could never match.

    ignores_case: of the letters of ASCII.
    """
    if not pattern.startswith("/"):
        raise ValueError("a path pattern begins with '/'")
    if len(pattern) > MAX_LENGTH:
        raise ValueError(f"a path pattern is at most {MAX_LENGTH} characters long")
    if (query := _QUERY.search(pattern)) is not None:
        path = pattern[: query.start()]
        raise ValueError(f"'?' stands for one character; rules see no query, so write {path!a} for any query")
    texts = list(islice(_expanded(pattern), MAX_BRANCHES + 1))
    if len(texts) > MAX_BRANCHES:
        raise ValueError(f"its braces stand for more than {MAX_BRANCHES} patterns")
    # With re.ASCII, octets above 0x7F, which are non-ASCII letters here, are not folded.
    flags = re.DOTALL | (re.IGNORECASE | re.ASCII if ignores_case else 0)
    return PathGlob(tuple(_runs(text, flags) for text in texts))


def _fits(runs: tuple[Run, ...], segments: Sequence[str]) -> bool:
    first, last = runs[0], runs[-1]
    if len(runs) == 1:
        return len(first) == len(segments) and _stands_at(first, segments, 0)
    at, end = len(first), len(segments) - len(last)
    if at > end or not _stands_at(first, segments, 0) or not _stands_at(last, segments, end):
        return False
    for run in runs[1:-1]:
        starts = range(at, end - len(run) + 1)
        found = next((start for start in starts if _stands_at(run, segments, start)), None)
        if found is None:
            return False
        at = found + len(run)
    return True


def _stands_at(run: Run, segments: Sequence[str], start: int) -> bool:
    return all(part.matches(segments[start + offset]) for offset, part in enumerate(run))


def _expanded(text: str) -> Iterator[str]:
    """Yield `text` for each choice of its braces, including nested ones."""
    opening = _find(text, "{")
    if opening is None:
        if _find(text, "}") is not None:
            raise ValueError("'}' closes no brace")
        yield text
        return
    choices, start, depth, at = [], opening + 1, 0, opening + 1
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == "{":
            depth += 1
        elif text[at] in ",}" and depth == 0:
            choices.append(text[start:at])
            start = at + 1
            if text[at] == "}":
                break
        elif text[at] == "}":
            depth -= 1
        at += 1
    else:
        raise ValueError("'{' is not closed")
    for choice in choices:
        yield from _expanded(text[:opening] + choice + text[at + 1 :])


def _find(text: str, wanted: str) -> int | None:
    """Return the position of the first `wanted` that is not escaped by a backslash."""
    at = 0
    while at < len(text):
        if text[at] == wanted:
            return at
        at += 2 if text[at] == "\\" else 1
    return None


def _runs(text: str, flags: int) -> tuple[Run, ...]:
    runs: list[Run] = []
    run: list[_Segment] = []
    for part in segments_of(text):
        if part == "**":
            runs.append(tuple(run))
            run = []
        else:
            run.append(_segment(part, flags))
    return (*runs, tuple(run))


def _segment(text: str, flags: int) -> _Segment:
    if text in ("", ".", ".."):
        raise ValueError("no request that is let through has an empty segment or a dot segment in its path")
    chunks: list[list[str]] = [[]]
    at = 0
    while at < len(text):
        if text.startswith("**", at):
            raise ValueError("'**' stands for whole segments, as in /a/**/b")
        if text[at] == "*":
            chunks.append([])
            at += 1
        else:
            piece, at = _piece(text, at)
            chunks[-1].append(piece)
    return _Segment(tuple(_Chunk(re.compile("".join(chunk), flags), len(chunk)) for chunk in chunks))


def _piece(text: str, at: int) -> tuple[str, int]:
    """Return the regular expression for the character at `at`, and the position of the next."""
    match text[at]:
        case "?":
            return ".", at + 1
        case "[":
            return _set(text, at)
        case "\\":
            return re.escape(_literal(text[at + 1 : at + 2])), at + 2
        case "%":
            return re.escape(_octet(text[at : at + 3])), at + 3
        case character:
            return re.escape(_literal(character)), at + 1


def _set(text: str, at: int) -> tuple[str, int]:
    end = text.find("]", at + 1)
    inner = text[at + 1 : end]
    is_negated = inner[:1] in ("!", "^")
    members = inner[1:] if is_negated else inner
    if end < 0 or not members:
        raise ValueError("a set of characters is written like [abc] or [!a-c]")
    spans = [(part[0], part[-1]) for part in re.findall(r".-.|.", members, re.DOTALL)]
    for first, last in spans:
        if _literal(first) > _literal(last):
            raise ValueError(f"the set [{inner}] holds a range that runs backwards")
    each = "".join(f"{re.escape(first)}-{re.escape(last)}" for first, last in spans)
    return f"[{'^' if is_negated else ''}{each}]", end + 1


def _literal(character: str) -> str:
    if re.fullmatch(_LITERAL, character, re.ASCII):
        return character
    if not character:
        raise ValueError("a backslash ends it")
    escape = "".join(f"%{octet:02X}" for octet in character.encode("utf-8", "surrogatepass"))
    raise ValueError(f"{character!a} is never sent unescaped in a path, but as {escape}")


def _octet(text: str) -> str:
    found = ESCAPE.fullmatch(text)
    if found is None:
        raise ValueError("'%' is followed by two hexadecimal digits, and is itself written %25")
    octet = int(found[1], 16)
    if octet in _NEVER_SENT:
        raise ValueError(f"no request that is let through has {text} in its path")
    if re.fullmatch(_UNRESERVED, chr(octet), re.ASCII):
        raise ValueError(f"{text} is judged and sent as {chr(octet)!r}: write that")
    return chr(OCTET + octet)
