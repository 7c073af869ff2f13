"""A connection may always owe one window; what it owes beyond that is taken from a budget, and given back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.proxy.exchange.held import HeldBytes
from nono.proxy.http2.owed import Owed
from nono.proxy.http2.protocol.frames import FrameError

OWN, IN_ALL = 100, 50


@pytest.mark.parametrize(("count", "passes"), [(OWN + IN_ALL, True), (OWN + IN_ALL + 1, False)])
def test_a_connection_may_owe_one_window_and_the_budget(count: int, passes: bool) -> None:
    owed = Owed(OWN, HeldBytes(IN_ALL))
    if passes:
        owed.add(1, count)
    else:
        with pytest.raises(FrameError):
            owed.add(1, count)


def test_a_budget_that_another_connection_uses_up_leaves_one_window() -> None:
    budget = HeldBytes(IN_ALL)
    first, second = Owed(OWN, budget), Owed(OWN, budget)
    first.add(1, OWN + IN_ALL)
    second.add(1, OWN)
    with pytest.raises(FrameError):
        second.add(1, 1)


def test_no_more_is_paid_than_was_owed() -> None:
    owed = Owed(OWN, HeldBytes(IN_ALL))
    owed.add(1, 3)
    owed.add(3, 2)
    assert (owed.pay(1, 2), owed.pay(1, 2), owed.pay(1, 2), owed.pay_all(3), len(owed)) == (2, 1, 0, 2, 0)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(-80, 80)), max_size=40), st.booleans())
def test_the_budget_lacks_what_is_owed_beyond_the_window(steps: list[tuple[int, int]], closes: bool) -> None:
    budget = HeldBytes(10_000)
    owed, total = Owed(OWN, budget), 0
    for stream_id, count in steps:
        if count > 0:
            owed.add(stream_id, count)
            total += count
        else:
            total -= owed.pay(stream_id, -count)
        assert budget.free == 10_000 - max(0, total - OWN)
    if closes:
        owed.close()
    else:
        for stream_id in (1, 2, 3):
            owed.pay_all(stream_id)
    assert (budget.free, len(owed)) == (10_000, 0)
