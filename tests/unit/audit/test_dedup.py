"""A flood of one refusal is a handful of lines, and no refusal goes uncounted."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.audit import event
from nono.audit.dedup import DedupRecorder
from nono.audit.event import SEVERAL, Event
from nono.audit.windows import Deduplicator, Repeated


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


def test_repeats_of_a_refusal_are_written_when_the_window_ends() -> None:
    written: list[Event] = []
    clock = Clock()
    recorder = DedupRecorder(written.append, clock)
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
    recorder = DedupRecorder(written.append, Clock())
    recorder(denied("a", 443))
    recorder(denied("a", 80))
    assert len(written) == 2


def test_opens_are_deduplicated_whether_they_were_granted_or_not() -> None:
    written: list[Event] = []
    recorder = DedupRecorder(written.append, Clock())
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
    recorder = DedupRecorder(written.append, Clock())
    for thread in range(5000):
        recorder(event.UnaskedDecision(event.Unasked(f"/{thread}", "Write", "why", True)))
    recorder.drain()
    assert len(written) < 1100
    last = cast(dict[str, Any], written[-1]["entry"])
    assert (last["request"]["path"], last["decision"]) == (SEVERAL, "Granted")


def test_what_is_allowed_is_never_deduplicated() -> None:
    written: list[Event] = []
    recorder = DedupRecorder(written.append, Clock())
    for _ in range(3):
        recorder(event.network(mode="connect", decision="allow", target="a"))
        recorder(event.session_ended(0))
    assert len(written) == 6


def test_a_refusal_that_cannot_be_written_is_not_swallowed() -> None:
    def full(_: Event) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        DedupRecorder(full, Clock())(denied("a"))


def allowed(target: str) -> Event:
    return event.network(mode="connect", decision="allow", target=target, port=443, reason="why")


def test_no_scan_of_granted_ports_hides_whom_the_command_reached() -> None:
    written: list[Event] = []
    clock = Clock()
    recorder = DedupRecorder(written.append, clock)
    for second in range(3):  # a window does not become longer either
        clock.now_s = second
        for number in range(1024):
            recorder.dedup(allowed(f"10.{second}.0.{number}"))
        for _ in range(2):
            recorder.dedup(allowed("after the scan"))
    recorder.drain()
    targets = [str(fields_of(each)["target"]) for each in written]
    assert SEVERAL not in targets
    assert targets.count("after the scan") == 3 * 2
    assert counted(written) == 3 * (1024 + 2)


def test_a_scan_takes_no_more_once_the_log_takes_nothing() -> None:
    """What is named beyond the kinds that are kept apart is no exception."""
    written: list[Event] = []
    is_full = False

    def record(recorded: Event) -> None:
        if is_full:
            raise OSError("no space")
        written.append(recorded)

    recorder = DedupRecorder(record, Clock())
    for number in range(1024):
        recorder.dedup(allowed(str(number)))
    is_full = True
    with pytest.raises(OSError, match="no space"):
        recorder.dedup(allowed("beyond"))
    is_full = False
    recorder.dedup(allowed("beyond"))
    recorder.drain()
    assert counted(written) == 1024 + 1


def test_no_repeat_passes_while_nothing_can_be_written() -> None:
    """What cannot be recorded is not carried out: the caller refuses when this raises."""
    written: list[Event] = []
    is_full = True

    def record(recorded: Event) -> None:
        if is_full:
            raise OSError("no space")
        written.append(recorded)

    recorder = DedupRecorder(record, Clock())
    for target in ("a", "a", "b", "a"):
        with pytest.raises(OSError, match="no space"):
            recorder.dedup(allowed(target))
    is_full = False
    for _ in range(3):
        recorder.dedup(allowed("a"))
    assert len(written) == 1
    is_full = True
    with pytest.raises(OSError, match="no space"):
        recorder.dedup(allowed("b"))
    with pytest.raises(OSError, match="no space"):
        recorder.dedup(allowed("a"))  # it was written in this window, when that was possible
    is_full = False
    recorder.dedup(allowed("a"))
    recorder.drain()
    assert counted(written) == 4 + 1  # the one that was refused after it was counted


def test_a_scan_ends_in_one_line_for_all_that_were_not_kept_apart() -> None:
    written: list[Event] = []
    recorder = DedupRecorder(written.append, Clock())
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
    recorder = DedupRecorder(written.append, clock)
    for target, pause_s in refusals:
        clock.now_s += pause_s
        recorder(denied(target))
    recorder.drain()
    assert counted(written) == len(refusals)


def test_the_first_refusal_of_each_key_is_recorded_at_once() -> None:
    counts: Deduplicator[str] = Deduplicator()
    assert counts.admit("a", 0.0)
    assert counts.admit("b", 0.0)


def test_a_repeat_inside_the_window_is_counted() -> None:
    counts: Deduplicator[str] = Deduplicator(window_s=1.0)
    counts.admit("a", 0.0)
    assert [counts.admit("a", 0.5) for _ in range(3)] == [False] * 3
    assert counts.flush(0.9) == []
    assert counts.flush(1.0) == [Repeated("a", 3)]
    assert counts.flush(2.0) == []


def test_a_refusal_without_repeats_is_not_told_again() -> None:
    counts: Deduplicator[str] = Deduplicator(window_s=1.0)
    counts.admit("a", 0.0)
    assert counts.flush(1.0) == []


def test_the_same_key_is_recorded_again_in_the_next_window() -> None:
    counts: Deduplicator[str] = Deduplicator(window_s=1.0)
    counts.admit("a", 0.0)
    assert not counts.admit("a", 0.999)
    assert counts.admit("a", 1.0)


def test_a_window_that_ended_unflushed_keeps_its_counts_until_asked() -> None:
    counts: Deduplicator[str] = Deduplicator(window_s=1.0)
    counts.admit("a", 0.0)
    counts.admit("a", 0.0)
    counts.admit("b", 5.0)
    assert counts.flush(5.0) == [Repeated("a", 1)]


def test_the_deadline_is_that_of_the_open_window() -> None:
    counts: Deduplicator[str] = Deduplicator(window_s=1.0)
    deadlines = [counts.deadline_s]
    counts.admit("a", 10.0)
    counts.admit("b", 10.5)
    deadlines.append(counts.deadline_s)
    counts.flush(11.0)
    assert [*deadlines, counts.deadline_s] == [None, 11.0, None]


def test_keys_beyond_the_limit_are_counted_together() -> None:
    counts: Deduplicator[int] = Deduplicator(window_s=1.0, max_keys=2)
    answers = [counts.admit(port, 0.0) for port in (1, 2, 3, 4, 1)]
    assert answers == [True, True, False, False, False]
    assert counts.flush(1.0) == [Repeated(1, 1), Repeated(None, 2)]


def test_what_is_withdrawn_is_not_counted() -> None:
    counts: Deduplicator[str] = Deduplicator(max_keys=1)
    assert counts.admit("a", 0.0)
    for key in ("a", "a", "beyond", "beyond"):
        assert not counts.admit(key, 0.0)
    counts.withdraw("a")
    counts.withdraw("beyond")
    assert counts.drain() == [Repeated("a", 1), Repeated(None, 1)]
    assert counts.admit("a", 1.0)
    counts.withdraw("a")
    assert counts.admit("a", 1.0)


def test_windows_grow_only_while_a_scan_lasts() -> None:
    counts: Deduplicator[int] = Deduplicator(window_s=1.0, max_keys=1)
    lengths = []
    now_s = 0.0
    for _ in range(12):
        counts.admit(1, now_s)
        counts.admit(2, now_s)
        lengths.append((counts.deadline_s or 0.0) - now_s)
        now_s = counts.deadline_s or 0.0
        counts.flush(now_s)
    assert lengths[:4] == [1.0, 2.0, 4.0, 8.0]
    assert max(lengths) == 256.0
    counts.admit(1, now_s)
    now_s = counts.deadline_s or 0.0
    counts.admit(1, now_s)
    assert counts.deadline_s == now_s + 1.0


def test_a_repeated_call_costs_at_most_two_records_a_second() -> None:
    counts: Deduplicator[str] = Deduplicator(window_s=1.0)
    written = 0
    for step in range(60 * 2000):
        now_s = step / 2000
        written += counts.admit("a", now_s)
        written += len(counts.flush(now_s))
    assert written <= 2 * 60


ADMITS = st.lists(st.tuples(st.integers(0, 12), st.floats(0, 3), st.booleans()), max_size=200)


@given(ADMITS, st.integers(1, 8))
def test_what_is_recorded_adds_up_to_what_happened(
    steps: list[tuple[int, float, bool]], max_keys: int
) -> None:
    counts: Deduplicator[int] = Deduplicator(window_s=1.0, max_keys=max_keys)
    now_s, recorded = 0.0, 0
    for key, pause_s, flushes in steps:
        now_s += pause_s
        recorded += counts.admit(key, now_s)
        if flushes:
            recorded += sum(repeated.repeats for repeated in counts.flush(now_s))
    recorded += sum(repeated.repeats for repeated in counts.drain())
    assert recorded == len(steps)
    assert counts.drain() == []


@given(ADMITS)
def test_with_room_for_all_keys_each_key_adds_up_by_itself(steps: list[tuple[int, float, bool]]) -> None:
    counts: Deduplicator[int] = Deduplicator(window_s=1.0)
    now_s = 0.0
    counted: dict[int | None, int] = {}
    for key, pause_s, _ in steps:
        now_s += pause_s
        if counts.admit(key, now_s):
            counted[key] = counted.get(key, 0) + 1
    for repeated in counts.drain():
        counted[repeated.key] = counted.get(repeated.key, 0) + repeated.repeats
    happened = [key for key, _, _ in steps]
    assert counted == {key: happened.count(key) for key in happened}
