"""Which requests a limit of a route could not count, and which WebSockets it does not list."""

from __future__ import annotations

from typing import Any

import pytest

from nono.policy.schema.route_rules import RateLimit, UpgradeRule, UsageLimits
from nono.proxy.http.refusal import Refusal
from nono.proxy.verdict.refused_calls import beyond_limits
from support.proxy.thread import a_route

HOST = "api.openai.com"
TOKENS, COSTS, REQUESTS = UsageLimits(input_tokens=9), UsageLimits(cost_usd=9), UsageLimits(requests=9)
RATE = RateLimit(60, burst=1, max_delay_s=0)


def judged(method: str, path: str, *, is_websocket: bool = False, **changes: Any) -> Refusal | None:
    route = a_route(443, host=HOST, scheme="https", **changes)
    return beyond_limits("openai", route, HOST, method, path, is_websocket=is_websocket)


@pytest.mark.parametrize(
    ("changes", "rule", "word"),
    [
        pytest.param({}, None, "", id="no limit"),
        pytest.param({"limits": TOKENS}, "limits", "limit of tokens", id="tokens"),
        pytest.param({"limits": COSTS}, "limits", "limit of costs", id="costs"),
        pytest.param({"limits": REQUESTS}, "limits", "limit of requests", id="requests"),
        pytest.param({"rate_limit": RATE}, "rate_limit", "rate limit", id="a rate"),
        pytest.param({"rate_limit": RATE, "upgrades": (UpgradeRule("/v1"),)}, None, "", id="a listed path"),
        pytest.param({"upgrades": (UpgradeRule("/v1"),)}, None, "", id="a listed path, no limit"),
        pytest.param({"upgrades": (UpgradeRule("/v1/x"),)}, "upgrades", "not allowed", id="another path"),
        pytest.param({"limits": TOKENS, "upgrades": (UpgradeRule("/v1"),)}, "limits", "tokens", id="both"),
    ],
)
def test_a_websocket_is_refused_where_nobody_counts_what_a_limit_counts(
    changes: dict[str, Any], rule: str | None, word: str
) -> None:
    refused = judged("GET", "/v1", is_websocket=True, **changes)
    assert (refused and refused.rule) == rule
    if refused is not None:
        assert word in refused.error
        assert refused.status == (403 if rule == "upgrades" else 426)  # Codex tries HTTP after a 426 only
        assert ("requests only" in str(refused.hint)) is changes.get("limits", UsageLimits()).count_usage


@pytest.mark.parametrize(("limits", "limited"), [(TOKENS, "tokens"), (COSTS, "costs")])
def test_a_request_whose_tokens_nobody_can_count_is_refused_under_a_limit_of_them(
    limits: UsageLimits, limited: str
) -> None:
    refused = judged("POST", "/v1/batches", limits=limits)
    assert refused is not None
    assert (refused.status, refused.rule) == (403, "limits")
    assert f"limit of {limited}" in refused.error
    assert judged("POST", "/v1/responses", limits=limits) is None
    assert judged("POST", "/v1/batches", limits=REQUESTS) is None
