"""nono.proxy.exchange.tally: what a request counts for under a limit of tokens."""

from __future__ import annotations

import pytest

from nono.policy.schema.route_rules import UsageLimits
from nono.proxy.exchange.tally import Tally
from nono.proxy.usage.ledger import UsageLimiter
from nono.proxy.usage.meter import Usage
from nono.proxy.usage.prices import ModelPrices

REPORTED = Usage("m", 3, 4)


class Limiter(UsageLimiter):
    """What a tally adds."""

    def __init__(self) -> None:
        super().__init__(UsageLimits(), ModelPrices("", {}))
        self.added: list[Usage | None] = []

    def add(self, usage: Usage | None, *, is_final: bool = True) -> None:
        self.added.append(usage)


def counted(*, is_sent: bool, status: int | None, usage: Usage | None) -> list[Usage | None]:
    limiter, released = Limiter(), list[int]()
    tally = Tally(limiter, lambda: released.append(1))
    if is_sent:
        tally.sent()
    if status is not None:
        tally.answered(status)
    tally.settle(usage)
    tally.settle(REPORTED)  # does nothing any more
    assert released == [1]
    return limiter.added


@pytest.mark.parametrize(
    ("is_sent", "status", "is_counted"),
    [
        pytest.param(False, None, False, id="never sent"),
        pytest.param(True, None, True, id="never answered"),
        pytest.param(True, 200, True, id="answered"),
        pytest.param(True, 429, False, id="failed"),
        pytest.param(True, 504, True, id="given up by a gateway"),
        pytest.param(True, 524, True, id="given up by Cloudflare"),
    ],
)
def test_a_request_whose_usage_is_unknown_counts_unless_it_used_nothing(
    is_sent: bool, status: int | None, is_counted: bool
) -> None:
    assert counted(is_sent=is_sent, status=status, usage=None) == ([None] if is_counted else [])


@pytest.mark.parametrize("status", [200, 429, 504])
def test_what_a_response_reports_is_counted_whatever_its_status(status: int) -> None:
    assert counted(is_sent=True, status=status, usage=REPORTED) == [REPORTED]
