"""Describe open questions in the text and the file that other processes read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from nono.named_tuple import NamedTuple
from nono.printable import without_middle

if TYPE_CHECKING:
    from nono.approval.request import Question

NEEDS_YOU = "needs you"  # the state of a session with open questions
ID_SHOWN = 8  # characters of an id, where a person reads it
_MORE = "..."  # the name of a line that goes on with the field before it
VALUE_MAX = 1024  # characters; of more, the middle is left out


class Listed(NamedTuple):
    """One open question, in text without control characters."""

    id: str
    kind: str  # file, endpoint, host or limit
    what: str  # on one line
    fields: tuple[tuple[str, str], ...]  # name and value
    target: str  # of the rule that would answer it (nono.policy.live.rule); "" if there is none
    asked_unix_ms: int
    expires_unix_ms: int
    writes: bool = False  # the rule that would answer it is for writing as well

    @property
    def document(self) -> Mapping[str, object]:
        """Return it as JSON values. What goes on in further lines is one value."""
        fields = dict[str, str]()
        for name, value in self.fields:
            if name == _MORE and fields:
                fields[next(reversed(fields))] += f"\n{value}"
            else:
                fields[name] = value
        return {**self._asdict(), "fields": fields}


def listed(question: Question, now_ms: int, timeout_s: float) -> Listed:
    # Imported here: whoever reads the file finds the words in it.
    from nono.approval import wording
    from nono.approval.request import FileOpen

    kind, what = wording.kind(question.request), wording.in_short(question.request)
    fields = tuple(
        (name or _MORE, without_middle(value, VALUE_MAX)) for name, value in wording.fields(question.request)
    )
    target, expires_ms = wording.target(question.request), now_ms + int(timeout_s * 1000)
    writes = isinstance(question.request, FileOpen) and question.request.access.writes
    what = without_middle(what, VALUE_MAX)
    return Listed(question.id, kind, what, fields, target, now_ms, expires_ms, writes)


def to_json(questions: Iterable[Listed]) -> bytes:
    return json.dumps([*questions]).encode("ascii")


def parse(content: bytes | None) -> tuple[Listed, ...]:
    """Parse the output of to_json(). Returns nothing for a missing or damaged file."""
    try:
        document = json.loads(content or b"[]")
        return tuple(_parsed(each) for each in document)
    except (ValueError, TypeError, RecursionError):
        return ()


def _parsed(values: Sequence[object]) -> Listed:
    question_id, kind, what, fields, target, asked, expires, writes = values
    if not isinstance(fields, list) or not isinstance(asked, int) or not isinstance(expires, int):
        raise TypeError("no question")
    pairs = tuple((str(name), str(value)) for name, value in fields)
    return Listed(str(question_id), str(kind), str(what), pairs, str(target), asked, expires, bool(writes))
