"""Define the record of what undo keeps of one run, and decide which records are dropped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

from nono.named_tuple import NamedTuple
from nono.undo.model import left_out
from nono.undo.model.left_out import LeftOut


class Info(NamedTuple):
    """One run."""

    session_id: str
    started: str  # RFC 3339, local time
    started_unix_ms: int
    command: tuple[str, ...]  # redacted
    tracked_paths: tuple[str, ...]
    left_out: LeftOut
    name: str | None = None
    ended: str | None = None  # None: it is running, or nono did not see its end
    ended_unix_ms: int | None = None
    exit_code: int | None = None
    snapshot_count: int = 0
    changed: int | None = None  # number of paths that the run changed
    notes: tuple[str, ...] = ()  # what a person must know before a restore


def to_json(info: Info) -> bytes:
    document: dict[str, Any] = {**info._asdict(), "left_out": left_out.to_document(info.left_out)}
    document["sha256"] = _digest(document)
    return (json.dumps(document, indent=2) + "\n").encode("ascii")


def _digest(document: dict[str, Any]) -> str:
    return sha256(json.dumps(document, sort_keys=True).encode("ascii")).hexdigest()


def parse(content: bytes) -> Info:
    """Parse the output of to_json(). Raises ValueError that names the wrong field."""
    try:
        document = json.loads(content)
        if document.pop("sha256") != _digest(document):
            raise ValueError("the record of the session is damaged")
        values = {name: document[name] for name in Info._fields}
        values["left_out"] = left_out.from_document(document["left_out"])
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not the record of a session: {error}") from error
    for name in ("command", "tracked_paths", "notes"):
        if not isinstance(values[name], list) or not all(isinstance(each, str) for each in values[name]):
            raise ValueError(f"{name}: not a list of strings")
        values[name] = tuple(values[name])
    for name, kind in (
        ("session_id", str),
        ("started", str),
        ("started_unix_ms", int),
        ("snapshot_count", int),
    ):
        if not isinstance(values[name], kind):
            raise ValueError(f"{name}: {values[name]!r}")
    for name, kind in (
        ("name", str),
        ("ended", str),
        ("ended_unix_ms", int),
        ("exit_code", int),
        ("changed", int),
    ):
        if not isinstance(values[name], kind | None):
            raise ValueError(f"{name}: {values[name]!r}")
    return Info(**values)


class Weighed(NamedTuple):
    """One session, as seen by a sweep."""

    session_id: str
    started_unix_ms: int
    size_bytes: int
    has_changes: bool  # or may have some: its end was not seen
    is_running: bool
    is_complete: bool = True  # its baseline is
    has_end: bool = True  # or else its supervisor was killed, unless it runs


def outdated(kept: Iterable[Weighed], sessions_max: int, bytes_max: int) -> list[Weighed]:
    """Return the sessions to drop so that no more than the limits are kept, in order.

    Runs without changes are dropped first, then the oldest. Running sessions and the newest are never
    dropped.
    """
    every = sorted(kept, key=lambda each: each.started_unix_ms)
    total, count = sum(each.size_bytes for each in every), len(every)
    dropped: list[Weighed] = []
    candidates = [each for each in every[:-1] if not each.is_running]
    for each in sorted(candidates, key=lambda each: (each.has_changes, each.started_unix_ms)):
        if count <= sessions_max and total <= bytes_max:
            break
        dropped.append(each)
        count, total = count - 1, total - each.size_bytes
    return dropped


def stale(kept: Sequence[Weighed], hours: int, now_unix_ms: int) -> list[Weighed]:
    """Return those whose supervisor was killed, and that were started longer ago."""
    limit = now_unix_ms - hours * 3_600_000
    return [each for each in kept if not (each.has_end or each.is_running) and each.started_unix_ms < limit]


def older_than(kept: Sequence[Weighed], days: int, now_unix_ms: int) -> list[Weighed]:
    limit = now_unix_ms - days * 86_400_000
    return [each for each in kept if not each.is_running and each.started_unix_ms < limit]


def overlap(one: Iterable[str], other: Iterable[str]) -> bool:
    """Return True if a directory of one is within a directory of the other, either way round."""
    pairs = ((left.rstrip("/") + "/", right.rstrip("/") + "/") for left in one for right in other)
    return any(left.startswith(right) or right.startswith(left) for left, right in pairs)
