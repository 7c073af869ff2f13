"""nono.launch.proxy.logins: which logins a run uses beside its keys."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from nono.launch.proxy.logins import Logins
from nono.policy.endpoints.policy import ALLOW_ALL
from nono.policy.hosts.upstream import Upstream
from nono.policy.services.oauth_routes import OAuthProvider, OAuthRoute
from nono.proxy.child_env import ServiceVariables
from nono.proxy.verdict.logins.table import LoginTable

KEYED, LOGIN, OTHER = "api.openai.com", "chatgpt.com", "api.anthropic.com"


def route(name: str, host: str) -> OAuthRoute:
    upstream = Upstream("https", host, 443)
    return OAuthRoute(name, OAuthProvider(name, (), (upstream,)), upstream, None, (), ALLOW_ALL, (), "p")


def used(of_run: Logins) -> tuple[set[str], set[str], set[str]]:
    """Return the hosts that redeem tokens, the providers that capture them, and the variables' services."""
    return (
        {each.upstream.host for each in of_run.captured},
        {each.provider.name for each in of_run.table.logins},
        {each.service for each in of_run.variables},
    )


def logins(*made: str) -> Logins:
    """Return those of a profile for two providers; made: The hosts that a login exists for."""
    routes = (route("chatgpt", LOGIN), route("claude", OTHER))
    table = LoginTable(tuple(cast(Any, SimpleNamespace(provider=each.provider)) for each in routes))
    variables = tuple(ServiceVariables(each.name) for each in routes)
    return Logins(table, routes, None, variables, hosts=frozenset(made))


@pytest.mark.parametrize(
    ("made", "keyed", "asked_for", "is_used"),
    [
        pytest.param((LOGIN,), {KEYED}, set(), True, id="a login, and a key that was not asked for"),
        pytest.param((LOGIN,), {KEYED}, {KEYED}, False, id="a login, and a key that was asked for"),
        pytest.param((), {KEYED}, set(), False, id="no login, and a key"),
        pytest.param((), set(), set(), True, id="neither, so a login can be made inside"),
        pytest.param((LOGIN,), {OTHER}, {OTHER}, True, id="a login, and a key of somebody else"),
    ],
)
def test_a_login_is_used_unless_a_key_of_the_same_agent_comes_first(
    made: tuple[str, ...], keyed: set[str], asked_for: set[str], is_used: bool
) -> None:
    beside = logins(*made).beside(keyed, asked_for)
    hosts, names = ({OTHER, LOGIN}, {"claude", "chatgpt"}) if is_used else ({OTHER}, {"claude"})
    assert used(beside) == (hosts, names, names)
    assert beside.hosts == (frozenset(made) if is_used else frozenset())


@pytest.mark.parametrize(
    ("host", "is_missing", "is_replaced"),
    [(KEYED, False, True), (LOGIN, True, True), (LOGIN, False, False), (OTHER, True, False)],
)
def test_a_login_replaces_the_keys_of_its_agent_alone(host: str, is_missing: bool, is_replaced: bool) -> None:
    assert logins(LOGIN).replaces(host, is_missing=is_missing) is is_replaced
    assert not logins().replaces(host, is_missing=is_missing)
