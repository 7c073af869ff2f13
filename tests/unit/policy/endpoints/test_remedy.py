"""What would allow a request that endpoint rules deny."""

from __future__ import annotations

import pytest

from nono.policy.endpoints.policy import EndpointPolicy, EndpointRule
from nono.policy.endpoints.remedy import host_option, remedy, service_option

OPTION = service_option("svc", "GET", "/other")
DENIES = EndpointPolicy(
    "allow", deny=(EndpointRule("GET", "/other"),), origin="the profile", is_explicit=True
)
ALLOWS = EndpointPolicy("deny", allow=(EndpointRule("GET", "/ok"),), origin="the profile")


@pytest.mark.parametrize(
    ("policy", "path", "expected"),
    [
        pytest.param(ALLOWS, "/other", OPTION, id="a list of what is allowed"),
        pytest.param(
            ALLOWS._replace(is_explicit=True),
            "/other",
            "add a rule for GET /other to the profile",
            id="an endpoint_policy, to which no option adds",
        ),
        pytest.param(
            DENIES,
            "/other",
            "remove endpoint_policy.deny[GET /other] from the profile",
            id="a rule that denies",
        ),
        pytest.param(ALLOWS, "/*", None, id="a path that would be a pattern"),
    ],
)
def test_the_change_that_allows_a_request_is_named(
    policy: EndpointPolicy, path: str, expected: str | None
) -> None:
    verdict = policy.judge("GET", path)
    assert verdict.decision == "deny"
    assert remedy(policy, verdict, "GET", path, OPTION) == expected


def test_an_option_is_one_word_whatever_path_the_command_chose() -> None:
    assert service_option("svc", "GET", "/a b;c") == "--allow-endpoint 'svc:GET:/a b;c'"
    assert host_option("https://a.test:8443", "/it's") == """--allow-domain 'https://a.test:8443/it'"'"'s'"""
