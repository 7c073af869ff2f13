"""A slow client is timed by what it is in the middle of."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nono.proxy.client import time_limits
from nono.proxy.client.time_limits import TimeLimits

HEAD_S, IDLE_S = 30.0, 120.0


class Recorder:
    """Keeps what was set last; None: no limit."""

    def __init__(self, expired: Callable[[], None]) -> None:
        self.moves = list[float | None]()

    def set(self, seconds: float) -> None:
        self.moves.append(seconds)

    def lift(self) -> None:
        self.moves.append(None)


def moves(monkeypatch: pytest.MonkeyPatch, act: Callable[[TimeLimits], object]) -> list[float | None]:
    """Return the seconds of each limit that `act` sets; None: it lifts it."""
    recorder = Recorder(lambda: None)
    monkeypatch.setattr(time_limits, "Deadline", lambda expired: recorder)
    act(TimeLimits(HEAD_S, IDLE_S, lambda: None))
    return recorder.moves


def test_bytes_of_a_head_do_not_extend_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    def act(limits: TimeLimits) -> None:
        for _ in range(3):
            limits.between_requests(in_head=True)

    assert moves(monkeypatch, act) == [HEAD_S]


def test_bytes_of_a_body_extend_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    def act(limits: TimeLimits) -> None:
        for _ in range(3):
            limits.during_request(awaits_client=True)

    assert moves(monkeypatch, act) == [IDLE_S] * 3


def test_an_upstream_has_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert moves(monkeypatch, lambda limits: limits.during_request(awaits_client=False)) == [None]


@pytest.mark.parametrize(
    "between",
    [
        lambda limits: limits.between_requests(in_head=False),
        lambda limits: limits.during_request(awaits_client=False),
        lambda limits: limits.idle(),
    ],
    ids=["a pause", "an exchange", "an unread response"],
)
def test_each_head_has_a_limit_of_its_own(
    between: Callable[[TimeLimits], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(limits: TimeLimits) -> None:
        limits.between_requests(in_head=True)
        between(limits)
        limits.between_requests(in_head=True)

    first, _, second = moves(monkeypatch, act)
    assert (first, second) == (HEAD_S, HEAD_S)


def test_a_client_that_is_left_has_the_time_that_its_output_names(monkeypatch: pytest.MonkeyPatch) -> None:
    assert moves(monkeypatch, lambda limits: limits.closing(2.0)) == [2.0]
