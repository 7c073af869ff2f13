"""A log read back: whole records, a torn tail, and each way to change a line."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from nono.audit.chain import ChainState, Encoded, Encoder, record_line
from nono.audit.event import Event, network
from nono.audit.reading import Damage, Reading

EVENTS: list[Event] = [
    {"type": "session_started", "started": "2026-01-02T03:04:05Z", "command": ["true"]},
    network(mode="connect", decision="deny", target="x.test", port=443, reason='a "quoted"\t\x1f reason\x7f'),
    {"type": "masked", "path": "/home/\udcff/ä", "origin": "group:keys"},
    {"type": "session_ended", "ended": "2026-01-02T03:04:06Z", "exit_code": 0},
]


def written(events: list[Event]) -> list[bytes]:
    state, lines, encoder = ChainState(), [], Encoder()
    for event in events:
        line, state = record_line(state, encoder.encoded(event))
        lines.append(line)
    return lines


LINES = written(EVENTS)


def damage_of(lines: list[bytes]) -> Damage | None:
    reading = Reading(lines)
    for _ in reading:
        pass
    return reading.damage


def test_a_log_reads_back_as_it_was_written() -> None:
    reading = Reading(LINES)
    read = [dict(record.event) for record in reading]
    assert read == EVENTS
    assert (reading.damage, reading.torn, reading.state.sequence) == (None, b"", len(LINES))


def test_a_record_has_its_place_in_the_chain() -> None:
    first, *_, last = Reading(LINES)
    assert (first.sequence, last.sequence) == (0, 3)
    assert last.chain_hash == json.loads(LINES[3])["chain_hash"]
    assert json.loads(last.event_json) == EVENTS[3]


def test_a_torn_record_at_the_end_is_told_from_damage() -> None:
    reading = Reading([*LINES[:2], LINES[2][:-1]])
    assert len([*reading]) == 2
    assert (reading.damage, reading.torn) == (None, LINES[2][:-1])


def test_a_torn_record_before_another_is_damage() -> None:
    assert damage_of([*LINES[:2], LINES[2][:-1], LINES[3]]) == Damage(
        2, "does not end where the next record begins"
    )


@pytest.mark.parametrize("event", [[], "text", 5, None])
def test_a_record_whose_event_is_no_object_is_damage(event: object) -> None:
    line, _ = record_line(ChainState(), Encoded.of(json.dumps(event).encode()))
    assert damage_of([line]) is not None


def changed(line: bytes, old: bytes, new: bytes) -> bytes:
    assert old in line
    return line.replace(old, new, 1)


CHANGES: dict[str, tuple[Callable[[list[bytes]], list[bytes]], int, str]] = {
    "a number": (lambda x: [x[0], changed(x[1], b'"sequence":1', b'"sequence":2'), *x[2:]], 1, "number"),
    "the link to the one before": (
        lambda x: [x[0], changed(x[1], b'"prev_chain":"', b'"prev_chain":"0'), *x[2:]], 1, "follow"
    ),
    "the hashed event": (lambda x: [changed(x[0], b'[\\"true', b'[\\"fals'), *x[1:]], 0, "that differs"),
    "the event that people read": (
        lambda x: [x[0], changed(x[1], b'"event":{"type":"network"', b'"event":{"type":"nothing"'), *x[2:]],
        1, "not spelled",
    ),
    "a hash of the event": (
        lambda x: [changed(x[0], b'leaf_hash":"', b'leaf_hash":"0'), *x[1:]], 0, "event that differs"
    ),
    "the last chain hash": (
        lambda x: [*x[:3], changed(x[3], json.loads(x[3])["chain_hash"].encode(), b"0" * 64)], 3, "chain hash"
    ),
    "the name of a key": (lambda x: [changed(x[0], b'"event":{', b'"Event":{'), *x[1:]], 0, "spelled"),
    "a blank": (lambda x: [changed(x[0], b'"sequence":0', b'"sequence": 0'), *x[1:]], 0, "spelled"),
    "a key twice": (lambda x: [changed(x[0], b"}\n", b',"event":{}}\n'), *x[1:]], 0, "spelled"),
    "a record taken out": (lambda x: [x[0], *x[2:]], 1, "number 2 where 1"),
    "two records swapped": (lambda x: [x[0], x[2], x[1], x[3]], 1, "number 2 where 1"),
    "a record put in": (lambda x: [x[0], x[0], *x[1:]], 1, "number 0 where 1"),
    "an empty line": (lambda x: [x[0], b"\n", *x[1:]], 1, "cannot be parsed"),
    "deep nesting": (lambda x: [x[0], b"[" * 100_000 + b"\n", *x[1:]], 1, "cannot be parsed"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "number", "reason"), CHANGES.values(), ids=CHANGES)
def test_a_changed_log_is_damaged_at_the_changed_record(
    change: Callable[[list[bytes]], list[bytes]], number: int, reason: str
) -> None:
    found = damage_of(change(LINES))
    assert found is not None
    assert found.number == number
    assert reason in found.reason
