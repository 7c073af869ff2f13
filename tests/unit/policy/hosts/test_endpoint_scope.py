"""Hosts of which some paths only are allowed, from flags and from a profile."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nono.errors import ConfigError, UsageError
from nono.policy.capability import NetworkMode
from nono.policy.hosts.endpoint_scope import split_url
from nono.policy.hosts.host_filter import Allow, HostFilter, Refuse
from nono.policy.resolve import Resolved
from nono.policy.schema.profile import Meta, Network, Profile
from nono.policy.schema.routes import DomainEntry, RuleEntry

Resolve = Callable[..., Resolved]


def decision(resolved: Resolved, host: str, method: str, path: str) -> str:
    (scope,) = [scope for scope in resolved.scopes if scope.covers(host)]
    return scope.endpoints.judge(method, path).decision


def hosts(resolved: Resolved) -> HostFilter:
    assert resolved.host_filter is not None
    return resolved.host_filter


def profile(*entries: str | DomainEntry) -> Profile:
    return Profile(meta=Meta(name="web"), network=Network(allow_domain=entries))


def test_a_url_with_a_path_allows_only_that_path(run: Resolve) -> None:
    resolved = run(allow_domain=("https://api.x.example/v1/**",))
    assert resolved.capabilities.network is NetworkMode.PROXY
    assert decision(resolved, "api.x.example", "POST", "/v1/a/b") == "allow"
    assert decision(resolved, "api.x.example", "POST", "/v2") == "deny"
    assert isinstance(hosts(resolved).judge_name("api.x.example", 443), Allow)
    assert isinstance(hosts(resolved).judge_name("other.example", 443), Refuse)


@pytest.mark.parametrize("entry", ["api.x.example", "https://api.x.example", "https://api.x.example/"])
def test_an_entry_without_a_path_is_the_whole_host(run: Resolve, entry: str) -> None:
    resolved = run(allow_domain=(entry,))
    assert resolved.scopes == ()
    assert isinstance(hosts(resolved).judge_name("api.x.example", 443), Allow)


@pytest.mark.parametrize(
    ("entry", "host", "port", "scheme"),
    [
        ("https://x.example/p", "x.example", 443, "https"),
        ("https://x.example:8443/p", "x.example", 8443, "https"),
        ("HTTP://X.example./p", "x.example", 80, "http"),
        ("https://[::1]:8443/p", "::1", 8443, "https"),
        ("https://*.x.example/p", "*.x.example", 443, "https"),
    ],
)
def test_the_port_and_scheme_of_a_url_count(
    run: Resolve, entry: str, host: str, port: int, scheme: str
) -> None:
    resolved = run(allow_domain=(entry,))
    (scope,) = resolved.scopes
    assert (scope.host, scope.port, scope.scheme) == (host, port, scheme)
    concrete = host.replace("*", "a")
    assert isinstance(hosts(resolved).judge_name(concrete, port), Allow)
    assert isinstance(hosts(resolved).judge_name(concrete, port + 1), Refuse)


def test_a_host_with_a_port_is_no_url(run: Resolve) -> None:
    resolved = run(allow_domain=("x.example:443",))
    assert resolved.scopes == ()
    assert isinstance(hosts(resolved).judge_name("x.example", 443), Allow)
    assert isinstance(hosts(resolved).judge_name("x.example", 80), Refuse)


def test_several_urls_of_one_host_add_up(run: Resolve) -> None:
    resolved = run(allow_domain=("https://x.example/a", "https://X.example:443/b", "https://y.example/c"))
    assert [scope.host for scope in resolved.scopes] == ["x.example", "y.example"]
    assert decision(resolved, "x.example", "GET", "/a") == "allow"
    assert decision(resolved, "x.example", "GET", "/b") == "allow"
    assert decision(resolved, "x.example", "GET", "/c") == "deny"


def test_profile_and_command_line_add_up(run: Resolve) -> None:
    entry = DomainEntry("x.example", (RuleEntry("GET", "/a"),))
    resolved = run(profile(entry), allow_domain=("https://x.example/b",))
    (scope,) = resolved.scopes
    assert scope.origin == "profile web, network.allow_domain"
    assert decision(resolved, "x.example", "GET", "/a") == "allow"
    assert decision(resolved, "x.example", "POST", "/a") == "deny"
    assert decision(resolved, "x.example", "POST", "/b") == "allow"


def test_a_profiles_entry_without_endpoints_is_the_whole_host(run: Resolve) -> None:
    resolved = run(profile(DomainEntry("x.example")))
    assert resolved.scopes == ()
    assert isinstance(hosts(resolved).judge_name("x.example", 443), Allow)


def test_a_profile_entry_is_plain_http_only_on_loopback(run: Resolve) -> None:
    rules = (RuleEntry("GET", "/a"),)
    entries = (DomainEntry("x.example:8443", rules), DomainEntry("localhost:3000", rules))
    assert [str(scope) for scope in run(profile(*entries)).scopes] == [
        "https://x.example:8443",
        "http://localhost:3000",
    ]


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("https://x.example/a?b=c", "a query or a fragment"),
        ("https://x.example?b", "a query or a fragment"),
        ("https://x.example/a#b", "a query or a fragment"),
        ("https://u:p@x.example/a", "user info"),
        ("ftp://u:p@x.example/a", "user info"),
        ("ftp://x.example/a", "only http and https"),
        ("https://*/a", "every host"),
        ("https:///a", "is not a host"),
        ("https://127.1/a", "is not a host"),
        ("https://x.example/a/../b", "dot segment"),
        ("https://x.example//a", "empty segment"),
    ],
)
def test_a_url_that_no_rule_can_hold_is_refused(run: Resolve, entry: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as refused:
        run(allow_domain=(entry,))
    assert "u:p" not in refused.value.message


def test_a_denial_of_one_path_is_refused(run: Resolve) -> None:
    with pytest.raises(UsageError, match="a path can be allowed, and not refused here"):
        run(deny_domain=("https://x.example/a",))
    assert isinstance(hosts(run(deny_domain=("https://x.example/",))).judge_name("x.example", 443), Refuse)


def test_a_denied_host_stays_denied_whatever_path_is_allowed(run: Resolve) -> None:
    resolved = run(allow_domain=("https://x.example/a",), deny_domain=("x.example",))
    assert isinstance(hosts(resolved).judge_name("x.example", 443), Refuse)


def test_text_without_two_slashes_is_no_url() -> None:
    assert split_url("x.example:443", "") is None
    assert split_url("http://x.example/", "") == ("http", "x.example", "")


@pytest.mark.parametrize(
    ("domain", "scheme", "port"),
    [
        ("api.x.example", "https", 443),
        ("http://api.x.example", "http", 80),
        ("localhost:8080", "http", 8080),
        ("https://localhost:8443", "https", 8443),
        ("https://api.x.example/", "https", 443),
    ],
)
def test_an_entry_with_endpoints_may_say_its_scheme(
    run: Resolve, domain: str, scheme: str, port: int
) -> None:
    resolved = run(profile(DomainEntry(domain, (RuleEntry("GET", "/a"),))))
    assert [(scope.scheme, scope.port) for scope in resolved.scopes] == [(scheme, port)]


@pytest.mark.parametrize(
    "domain", ["https://api.x.example/v1", "ftp://api.x.example", "https://u@api.x.example"]
)
def test_an_entry_with_endpoints_is_a_bare_host(run: Resolve, domain: str) -> None:
    with pytest.raises(ConfigError):
        run(profile(DomainEntry(domain, (RuleEntry("GET", "/a"),))))
