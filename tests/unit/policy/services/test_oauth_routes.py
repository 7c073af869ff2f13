"""Routes of captured logins."""

from __future__ import annotations

import pytest

from nono.errors import ConfigError
from nono.policy.schema.routes import (
    OriginUpgrade,
    PolicyEntry,
    ProviderEntry,
    ProviderRoute,
    ResponseFieldEntry,
    RuleEntry,
    TokenEndpointEntry,
)
from nono.policy.services.oauth_routes import oauth_routes, provider_problems, route_problems

ENDPOINT = TokenEndpointEntry(
    "https://auth.example:8443",
    "/oauth/token",
    (ResponseFieldEntry("data.access_token"), ResponseFieldEntry("id_token", "jwt")),
    request_nonce_fields=("refresh_token",),
)
PROVIDER = ProviderEntry("oauth_capture", (ENDPOINT,), ("https://api.example",))
ROUTE = ProviderRoute("login", "p", env_var="LOGIN", base_url_env_var="LOGIN_URL")


def test_a_route_allows_everything_of_its_one_api_host() -> None:
    (route,) = oauth_routes([ROUTE], {"p": PROVIDER}, "web")
    assert (route.name, route.consumer, route.provider.consumer) == ("login", "proxy.login", "oauth.p")
    assert (str(route.upstream), route.env_var, route.base_url_env_vars) == (
        "https://api.example",
        "LOGIN",
        ("LOGIN_URL",),
    )
    assert route.endpoints.judge("POST", "/v1/x").decision == "allow"


def test_a_token_endpoint_keeps_port_and_paths_of_fields() -> None:
    (endpoint,) = oauth_routes([ROUTE], {"p": PROVIDER}, "web")[0].provider.token_endpoints
    assert (endpoint.upstream.port, endpoint.path) == (8443, "/oauth/token")
    assert [field.path for field in endpoint.response_fields] == [("data", "access_token"), ("id_token",)]
    assert endpoint.request_nonce_fields == (("refresh_token",),)


def test_each_of_several_api_hosts_has_a_route() -> None:
    provider = PROVIDER._replace(api_hosts=("https://a.example", "https://b.example"))
    route = ROUTE._replace(upgrades=(OriginUpgrade("https://b.example", "/ws"),))
    routes = oauth_routes([route], {"p": provider}, "web")
    assert [(each.name, each.upstream.host) for each in routes] == [
        ("login_0", "a.example"),
        ("login_1", "b.example"),
    ]
    assert [len(each.upgrades) for each in routes] == [0, 1]
    assert [each.base_url_env_vars for each in routes] == [("LOGIN_URL",), ()]


def test_a_policy_of_the_route_is_explicit() -> None:
    policy = PolicyEntry(allow=(RuleEntry("GET", "/a"),))
    (route,) = oauth_routes([ROUTE._replace(endpoint_policy=policy)], {"p": PROVIDER}, "web")
    assert route.endpoints.is_explicit
    assert route.endpoints.judge("GET", "/b").decision == "deny"


def test_two_providers_with_one_token_endpoint_are_refused() -> None:
    other = ProviderRoute("other", "q")
    with pytest.raises(ConfigError, match=r"'p' and 'q' both get their tokens at https://auth\.example:8443"):
        oauth_routes([ROUTE, other], {"p": PROVIDER, "q": PROVIDER}, "web")
    elsewhere = PROVIDER._replace(token_endpoints=(ENDPOINT._replace(path="/oauth/other"),))
    assert len(oauth_routes([ROUTE, other], {"p": PROVIDER, "q": elsewhere}, "web")) == 2


@pytest.mark.parametrize(
    ("routes", "sentence"),
    [
        ([ROUTE._replace(provider="q")], "unknown provider 'q'"),
        ([ROUTE, ROUTE], "two routes are named 'login'"),
        (
            [ROUTE._replace(upgrades=(OriginUpgrade("https://x.example", "/ws"),))],
            "not one of the provider's",
        ),
    ],
)
def test_routes_that_do_not_fit_together_are_refused(routes: list[ProviderRoute], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        oauth_routes(routes, {"p": PROVIDER}, "web")


@pytest.mark.parametrize(
    ("provider", "field"),
    [
        (PROVIDER._replace(token_endpoints=()), "token_endpoints"),
        (PROVIDER._replace(api_hosts=()), "api_hosts"),
        (PROVIDER._replace(api_hosts=("http://localhost",)), "api_hosts.0"),
        (PROVIDER._replace(api_hosts=("https://a.example/v1",)), "api_hosts.0"),
        (PROVIDER._replace(api_hosts=("https://*.example",)), "api_hosts.0"),
        (
            PROVIDER._replace(token_endpoints=(ENDPOINT._replace(host="auth.example"),)),
            "token_endpoints.0.host",
        ),
        (PROVIDER._replace(token_endpoints=(ENDPOINT._replace(path="/a?b"),)), "token_endpoints.0.path"),
        (
            PROVIDER._replace(token_endpoints=(ENDPOINT._replace(response_fields=()),)),
            "token_endpoints.0.response_fields",
        ),
        (
            PROVIDER._replace(
                token_endpoints=(ENDPOINT._replace(response_fields=(ResponseFieldEntry("a..b"),)),)
            ),
            "token_endpoints.0.response_fields.0.path",
        ),
    ],
)
def test_a_mistake_in_a_provider_names_its_field(provider: ProviderEntry, field: str) -> None:
    assert list(provider_problems(PROVIDER)) == []
    assert [each for each, _ in provider_problems(provider)] == [field]


@pytest.mark.parametrize(
    ("route", "field"),
    [
        (ROUTE._replace(name="a/b"), "name"),
        (ROUTE._replace(env_var="PATH"), "env_var"),
        (ROUTE._replace(base_url_env_var="A-B"), "base_url_env_var"),
        (ROUTE._replace(upgrades=(OriginUpgrade("https://x", "*"),)), "upgrades.0.path"),
        (ROUTE._replace(upgrades=(OriginUpgrade("x", "/a"),)), "upgrades.0.origin"),
        (ROUTE._replace(endpoint_policy=PolicyEntry(deny=(RuleEntry("*", "a"),))), "endpoint_policy.deny.0"),
    ],
)
def test_a_mistake_in_a_route_names_its_field(route: ProviderRoute, field: str) -> None:
    assert list(route_problems(ROUTE)) == []
    assert [each for each, _ in route_problems(route)] == [field]
