"""What would allow a request that endpoint rules deny."""

from __future__ import annotations

import shlex

import pytest

from nono.policy.endpoints.policy import EndpointPolicy, EndpointRule
from nono.policy.endpoints.remedy import host_option, remedy, service_option
from nono.policy.hosts.endpoint_scope import scopes_of
from nono.policy.why.remedy import in_hint

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
        pytest.param(ALLOWS, f"/{'a' * 1023}", OPTION, id="the longest path of a rule"),
        pytest.param(ALLOWS, f"/{'a' * 1024}", None, id="a path that no rule can have"),
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


@pytest.mark.parametrize("path", ["/x", "/x/", "/it's", "/a%3Fb", "/@scope/name", "/"])
def test_the_option_for_a_path_of_a_host_allows_that_path_where_one_is_named(path: str) -> None:
    """A URL with the path "/" names the whole host, which allows no path where others are granted."""
    granted = ("https://a.test/ok", "--allow-domain")

    def decision(*options: str) -> str:
        urls = [granted, *((url, "--allow-domain") for url in options)]
        [scope] = scopes_of(urls, ())
        return scope.endpoints.judge("GET", path).decision

    option = host_option("https://a.test", path)
    assert decision() == "deny"
    assert decision("https://a.test/") == "deny"
    if path == "/":
        assert option is None
    else:
        assert option is not None
        assert decision(*shlex.split(option)[1:]) == "allow"


@pytest.mark.parametrize(
    ("method", "is_named"), [("M-SEARCH", True), ("`--ALLOW-NET`", False), ("*", False), ("X:Y", False)]
)
def test_a_method_that_no_client_has_is_in_no_hint(method: str, is_named: bool) -> None:
    """An HTTP/2 client chooses any token, and what stands in backticks would be offered as an option."""
    for policy in (ALLOWS, ALLOWS._replace(is_explicit=True)):
        option = service_option("svc", method, "/x")
        hint = remedy(policy, policy.judge(method, "/x"), method, "/x", option)
        assert (hint is not None) == is_named
        assert hint is None or in_hint(hint) in (None, option)
