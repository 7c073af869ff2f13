"""nono.proxy.verdict.judge: which routes let a path pass in an unusual spelling."""

from __future__ import annotations

from typing import Any

import pytest

from nono.policy.endpoints.policy import EndpointPolicy, EndpointRule
from nono.policy.schema.route_rules import UpgradeRule, UsageLimits
from nono.proxy.verdict.judge import is_open
from support.proxy.thread import a_route

DENYING = EndpointPolicy(deny=(EndpointRule("*", "/admin"),))


@pytest.mark.parametrize(
    ("changes", "opens"),
    [
        pytest.param({}, True, id="no rule"),
        pytest.param({"limits": UsageLimits(requests=9)}, True, id="a limit of requests"),
        pytest.param({"limits": UsageLimits(input_tokens=9)}, False, id="a limit of tokens"),
        pytest.param({"endpoints": DENYING}, False, id="a denied endpoint"),
        pytest.param({"endpoints": EndpointPolicy(default="deny")}, False, id="denied by default"),
        pytest.param({"upgrades": (UpgradeRule("/socket"),)}, False, id="a WebSocket's path"),
        pytest.param({"upgrades": ()}, True, id="no WebSocket at all"),
    ],
)
def test_a_route_is_open_only_if_nothing_about_it_depends_on_a_path(
    changes: dict[str, Any], opens: bool
) -> None:
    assert is_open(a_route(443, scheme="https", host="api.test", **changes)) is opens
