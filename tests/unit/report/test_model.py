"""nono.report.model: sums of usage."""

from __future__ import annotations

import pytest

from nono.proxy.usage.ledger import UsageTotal
from nono.report.model import cost_of, united


def used(cost_usd: float | None) -> UsageTotal:
    return UsageTotal("openai", "gpt", 1, 10, 2, 3, cost_usd)


@pytest.mark.parametrize(
    ("first", "second", "together"), [(1.5, 2.0, 3.5), (1.5, None, 1.5), (None, 2.0, 2.0), (None, None, None)]
)
def test_an_unknown_price_is_neither_nothing_nor_everything(
    first: float | None, second: float | None, together: float | None
) -> None:
    both = united(used(first), used(second))
    assert (both.responses, both.input_tokens, both.cached_input_tokens, both.output_tokens) == (2, 20, 4, 6)
    assert both.cost_usd == together
    assert cost_of((used(first), used(second))) == together
