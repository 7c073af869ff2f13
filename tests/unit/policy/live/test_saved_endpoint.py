"""nono.policy.live.saved_endpoint: where a profile gets a rule for an endpoint."""

from __future__ import annotations

from typing import Any

import pytest

from nono.errors import ConfigError
from nono.policy.live.saved_endpoint import with_endpoint

USER = {"method": "GET", "path": "/user"}
ISSUES = {"method": "POST", "path": "/repos/*/*/issues"}
TARGET = "gh:POST:/repos/*/*/issues"


def profile(**service: Any) -> dict[str, Any]:
    return {"network": {"custom_credentials": {"gh": {"upstream": "https://gh.test", **service}}}}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {}),
        ({"endpoint_rules": [USER]}, {"endpoint_rules": [USER, ISSUES]}),
        ({"endpoint_rules": [ISSUES]}, {"endpoint_rules": [ISSUES]}),
        ({"endpoint_policy": {}}, {"endpoint_policy": {"allow": [ISSUES]}}),
        ({"endpoint_policy": {"default": "allow"}}, {"endpoint_policy": {"default": "allow"}}),
        (
            {"endpoint_policy": {"default": {"decision": "approve"}, "allow": [USER]}},
            {"endpoint_policy": {"default": {"decision": "approve"}, "allow": [USER, ISSUES]}},
        ),
    ],
    ids=["everything", "a list", "in the list", "a policy", "a lenient policy", "a policy that asks"],
)
def test_an_allowed_endpoint_joins_what_its_service_allows(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    assert with_endpoint(profile(**before), "allow", TARGET) == profile(**after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"endpoint_policy": {"default": "allow", "deny": [ISSUES]}}),
        (
            {"endpoint_rules": [USER]},
            {"endpoint_policy": {"default": "deny", "allow": [USER], "deny": [ISSUES]}},
        ),
        ({"endpoint_policy": {"deny": [ISSUES]}}, {"endpoint_policy": {"deny": [ISSUES]}}),
    ],
    ids=["everything", "a list", "denied"],
)
def test_a_denied_endpoint_is_denied_by_a_policy(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert with_endpoint(profile(**before), "deny", TARGET) == profile(**after)


@pytest.mark.parametrize("field", ["deny", "approve"])
def test_a_rule_that_another_one_beats_is_not_saved(field: str) -> None:
    other = {"method": "*", "path": "/repos/**"}
    with pytest.raises(ConfigError, match=f"endpoint_policy.{field}.* which comes first"):
        with_endpoint(profile(endpoint_policy={field: [other]}), "allow", TARGET)


def test_a_route_of_a_login_has_rules_as_well() -> None:
    document = {"credential_routes": [{"name": "gh", "provider": "p"}]}
    changed = with_endpoint(document, "deny", "gh:DELETE:/x")
    policy = {"default": "allow", "deny": [{"method": "DELETE", "path": "/x"}]}
    assert changed == {"credential_routes": [{"name": "gh", "provider": "p", "endpoint_policy": policy}]}


def test_a_service_of_another_profile_is_not_written() -> None:
    with pytest.raises(ConfigError, match="no service 'gh' of its own"):
        with_endpoint({"network": {}}, "allow", TARGET)


def test_the_profile_is_left_as_it_was() -> None:
    before = profile(endpoint_rules=[USER])
    with_endpoint(before, "deny", TARGET)
    assert before == profile(endpoint_rules=[USER])
