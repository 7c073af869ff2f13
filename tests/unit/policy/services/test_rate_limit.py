"""The token bucket of a route."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.policy.schema.route_rules import RateLimit
from nono.policy.services.rate_limit import TokenBucket
from nono.proxy.http import refusal


def test_only_requests_beyond_the_burst_wait_their_turn() -> None:
    bucket = TokenBucket(RateLimit(60, burst=3, max_delay_s=5), now=100)
    assert [bucket.take(100) for _ in range(3)] == [0, 0, 0]
    assert bucket.take(100) == pytest.approx(1)
    assert bucket.take(100) == pytest.approx(2)


def test_a_request_that_would_wait_too_long_takes_no_turn() -> None:
    bucket = TokenBucket(RateLimit(60, burst=1, max_delay_s=2), now=0)
    assert [bucket.take(0) for _ in range(3)] == [0, pytest.approx(1), pytest.approx(2)]
    assert [bucket.take(0), bucket.take(0)] == [None, None]
    assert bucket.take(1) == pytest.approx(2)


def test_the_bucket_fills_only_up_to_its_burst() -> None:
    bucket = TokenBucket(RateLimit(60, burst=2, max_delay_s=0), now=0)
    assert [bucket.take(0), bucket.take(0), bucket.take(0)] == [0, 0, None]
    assert [bucket.take(1_000_000) for _ in range(3)] == [0, 0, None]


@pytest.mark.parametrize(("per_minute", "interval_s"), [(120, 0.5), (60, 1), (1, 60)])
def test_whoever_is_refused_learns_when_the_next_turn_comes(per_minute: int, interval_s: float) -> None:
    bucket = TokenBucket(RateLimit(per_minute, burst=1, max_delay_s=0), now=0)
    assert [bucket.take(0), bucket.take(0)] == [0, None]
    assert bucket.interval_s == pytest.approx(interval_s)
    assert bucket.take(bucket.interval_s) == pytest.approx(0)


def test_no_rate_is_no_limit() -> None:
    bucket = TokenBucket(RateLimit(0, burst=1, max_delay_s=0), now=0)
    assert [bucket.take(0) for _ in range(100)] == [0] * 100


@pytest.mark.parametrize("rate", [1e-308, 5e-324])
def test_a_rate_of_almost_none_refuses_for_a_time_that_can_be_told(rate: float) -> None:
    bucket = TokenBucket(RateLimit(rate, burst=1, max_delay_s=60), now=0)
    assert [bucket.take(0), bucket.take(0)] == [0, None]
    said = refusal.response(refusal.rate_limited("corp", bucket.interval_s))
    assert b"\r\nRetry-After: 1000000000\r\n" in said


def test_a_burst_of_none_is_one() -> None:
    bucket = TokenBucket(RateLimit(1, burst=0, max_delay_s=0), now=0)
    assert [bucket.take(0), bucket.take(0)] == [0, None]


def test_a_clock_that_is_set_back_earns_nothing() -> None:
    bucket = TokenBucket(RateLimit(60, burst=1, max_delay_s=0), now=100)
    assert [bucket.take(100), bucket.take(50), bucket.take(100.5), bucket.take(101)] == [0, None, None, 0]


@given(
    st.floats(0.1, 6_000),
    st.integers(1, 20),
    st.floats(0, 10),
    st.lists(st.floats(0, 5), min_size=1, max_size=60),
)
def test_no_more_requests_go_than_burst_and_rate_allow(
    rate: float, burst: int, max_delay_s: float, pauses: list[float]
) -> None:
    bucket = TokenBucket(RateLimit(rate, burst, max_delay_s), now=0)
    now, departures = 0.0, []
    for pause in pauses:
        now += pause
        wait_s = bucket.take(now)
        if wait_s is not None:
            assert 0 <= wait_s <= max_delay_s
            departures.append(now + wait_s)
    for first, start in enumerate(departures):
        for last in range(first, len(departures)):
            allowed = burst + (departures[last] - start) * rate / 60
            assert last - first + 1 <= allowed + 1e-6
