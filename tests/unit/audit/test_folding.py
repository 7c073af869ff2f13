"""A flood of one refusal is a handful of lines, and no refusal goes uncounted."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.audit import event
from nono.audit.event import SEVERAL, Event
from nono.audit.folding import FoldingRecorder


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def denied(target: str, port: int = 443) -> Event:
    return event.network(mode="connect", decision="deny", target=target, port=port, reason="why")


def counted(events: list[Event]) -> int:
    return sum(int(fields.get("repeats", 1)) for fields in map(fields_of, events))


def fields_of(recorded: Event) -> dict[str, int]:
    fields = recorded["event"]
    assert isinstance(fields, dict)
    return fields


def test_the_first_refusal_is_written_at_once_and_its_repeats_when_the_window_ends() -> None:
    written: list[Event] = []
    clock = Clock()
    recorder = FoldingRecorder(written.append, clock)
    for _ in range(1000):
        recorder(denied("a"))
    assert len(written) == 1
    clock.now_s = 10.0
    recorder.flush()
    assert [fields_of(each).get("repeats") for each in written] == [None, 999]
    assert fields_of(written[1]) == fields_of(written[0]) | {
        "repeats": 999,
        "timestamp_unix_ms": fields_of(written[1])["timestamp_unix_ms"],
    }


def test_refusals_that_differ_in_one_thing_are_two_refusals() -> None:
    written: list[Event] = []
    recorder = FoldingRecorder(written.append, Clock())
    recorder(denied("a", 443))
    recorder(denied("a", 80))
    assert len(written) == 2


def test_opens_are_folded_whether_they_were_granted_or_not() -> None:
    written: list[Event] = []
    recorder = FoldingRecorder(written.append, Clock())
    granted = event.Unasked("/proc/7/task/8/comm", "Write", "the command names one of its threads", True)
    for unasked in (granted, granted, granted._replace(is_granted=False), granted):
        recorder(event.UnaskedDecision(unasked))
    recorder.drain()
    entries = [cast(dict[str, Any], each["entry"]) for each in written]
    refused = {"Denied": {"reason": granted.reason}}
    assert [(entry["decision"], entry.get("repeats")) for entry in entries] == [
        ("Granted", None),
        (refused, None),
        ("Granted", 2),
    ]


def test_granted_opens_of_too_many_files_end_in_a_line_that_says_so() -> None:
    written: list[Event] = []
    recorder = FoldingRecorder(written.append, Clock())
    for thread in range(5000):
        recorder(event.UnaskedDecision(event.Unasked(f"/{thread}", "Write", "why", True)))
    recorder.drain()
    assert len(written) < 1100
    last = cast(dict[str, Any], written[-1]["entry"])
    assert (last["request"]["path"], last["decision"]) == (SEVERAL, "Granted")


def test_what_is_allowed_is_never_folded() -> None:
    written: list[Event] = []
    recorder = FoldingRecorder(written.append, Clock())
    for _ in range(3):
        recorder(event.network(mode="connect", decision="allow", target="a"))
        recorder(event.session_ended(0))
    assert len(written) == 6


def test_a_refusal_that_cannot_be_written_is_not_swallowed() -> None:
    def full(_: Event) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        FoldingRecorder(full, Clock())(denied("a"))


def test_a_scan_ends_in_one_line_for_all_that_were_not_kept_apart() -> None:
    written: list[Event] = []
    recorder = FoldingRecorder(written.append, Clock())
    for port in range(5000):
        recorder(denied("a", port))
    recorder.drain()
    assert len(written) < 1100
    assert str(fields_of(written[-1])["target"]) == SEVERAL
    assert counted(written) == 5000


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 3)), max_size=200))
def test_every_refusal_is_counted_once(refusals: list[tuple[str, float]]) -> None:
    written: list[Event] = []
    clock = Clock()
    recorder = FoldingRecorder(written.append, clock)
    for target, pause_s in refusals:
        clock.now_s += pause_s
        recorder(denied(target))
    recorder.drain()
    assert counted(written) == len(refusals)
