"""How requests ended is kept until it can be recorded, within a bound, and by its first reason."""

from __future__ import annotations

from typing import cast

import anyio
import pytest

from nono.audit.event import Event
from nono.proxy.exchange import course
from nono.proxy.exchange.course import Course, Outcomes
from nono.proxy.verdict.verdict import Entry

ENTRY = Entry("reverse", "alpha", 443, "GET")


def test_while_nothing_can_be_recorded_only_the_last_ends_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "KEPT_MAX", 200)
    recorded, is_full = list[Event](), True

    def record(event: Event) -> None:
        if is_full:
            raise OSError("disk full")
        recorded.append(event)

    async def main() -> None:
        nonlocal is_full
        outcomes = Outcomes(record)
        for number in range(300):
            Course(outcomes.add, ENTRY, number).end()
        is_full = False
        for _ in range(2):  # the second has nothing to record
            outcomes.flush()

    anyio.run(main)
    [event] = recorded
    assert [row[0] for row in cast(list[list[int]], event["requests"])] == [*range(100, 300)]


def test_a_request_fails_for_the_reason_that_came_first() -> None:
    ended = Course(lambda _: None, ENTRY, 1)
    ended.failed("reset", "the upstream reset\r\nthe connection")
    ended.failed("client", "the client went away")
    assert (ended.failure, ended.reason) == ("reset", "the upstream reset the connection")
