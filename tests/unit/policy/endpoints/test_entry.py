"""nono.policy.endpoints.entry: rules as somebody writes them, and those that can match no request."""

from __future__ import annotations

import pytest

from nono.errors import UsageError
from nono.policy.endpoints.entry import parse_allow_endpoint, rules_beside
from nono.policy.endpoints.policy import EndpointPolicy, EndpointRule


def test_a_rule_of_the_command_line_is_split_at_its_first_two_colons() -> None:
    assert parse_allow_endpoint("api:GET:/v1/a:b") == ("api", EndpointRule("GET", "/v1/a:b"))


@pytest.mark.parametrize("text", ["", "api", "api:GET", ":GET:/v1", "api::/v1", "api:GET:"])
def test_a_rule_with_an_empty_part_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="three parts"):
        parse_allow_endpoint(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [("api:GET:v1", "must start with '/'"), ("api:GET:https://a.test/v1", "must start with '/'")],
)
def test_a_rule_whose_path_is_not_absolute_is_refused(text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        parse_allow_endpoint(text)


@pytest.mark.parametrize(
    ("path", "is_beside"),
    [
        ("/v1", False),
        ("/v1/chat", False),
        ("/v10", True),
        ("/chat", True),
        ("/*/chat", False),
        ("/v1*", False),
    ],
)
def test_a_rule_outside_the_base_path_matches_no_request(path: str, is_beside: bool) -> None:
    rule = EndpointRule("GET", path)
    for policy in (
        EndpointPolicy(deny=(rule,)),
        EndpointPolicy(approve=(rule,)),
        EndpointPolicy(allow=(rule,)),
    ):
        assert rules_beside(policy, "/v1") == ([rule] if is_beside else [])
