"""Settings of the proxy: what activates it, what contradicts what, and how flags are laid over a profile."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nono.errors import ConfigError, UsageError
from nono.policy.capability import NetworkMode
from nono.policy.hosts.host_filter import Refuse
from nono.policy.hosts.proxy_settings import (
    ProxySettings,
    UpstreamProxySettings,
    parse_bypass,
    parse_duration,
    parse_upstream_proxy,
)
from nono.policy.resolve import Resolved
from nono.policy.schema.profile import Meta, Network, Profile, TlsIntercept
from nono.policy.schema.routes import ProviderEntry, ProviderRoute, UpstreamProxyEntry
from nono.policy.schema.routes import ResponseFieldEntry as Field
from nono.policy.schema.routes import TokenEndpointEntry as Endpoint

Resolve = Callable[..., Resolved]

LOGIN = Profile(
    credential_providers={
        "p": ProviderEntry(
            "oauth_capture",
            (Endpoint("https://auth.x.example", "/token", (Field("access_token"),)),),
            ("https://api.x.example",),
        )
    },
    credential_routes=(ProviderRoute("login", "p"),),
)


def settings(resolved: Resolved) -> ProxySettings:
    assert resolved.proxy is not None
    return resolved.proxy


@pytest.mark.parametrize(
    ("profile", "flags"),
    [
        (None, {"network_profile": "minimal"}),
        (None, {"allow_domain": ("x.example",)}),
        (None, {"allow_domain": ("https://x.example/path",)}),
        (None, {"deny_domain": ("x.example",)}),
        (None, {"credential": ("openai",)}),
        (None, {"upstream_proxy": "corp:3128"}),
        (Profile(network=Network(upstream_proxy="corp:3128")), {}),
        (LOGIN, {}),
    ],
    ids=["profile", "domain", "path", "deny", "credential", "upstream", "upstream in profile", "logins"],
)
def test_what_needs_the_proxy_starts_it(
    run: Resolve, profile: Profile | None, flags: dict[str, object]
) -> None:
    resolved = run(profile, **flags)
    assert resolved.capabilities.network is NetworkMode.PROXY
    assert settings(resolved).ca_validity_s == 86_400


@pytest.mark.parametrize("flags", [{}, {"env_credential": "x"}])
def test_what_does_not_need_the_proxy_does_not_start_it(run: Resolve, flags: dict[str, object]) -> None:
    resolved = run(**flags)
    assert resolved.capabilities.network is NetworkMode.ALLOWED
    assert resolved.proxy is None


@pytest.mark.parametrize(
    ("profile", "flags", "named"),
    [
        (None, {"credential": ("openai",)}, "--credential"),
        (None, {"network_profile": "minimal"}, "--network-profile"),
        (None, {"allow_domain": ("x.example",)}, "--allow-domain"),
        (None, {"allow_domain": ("https://x.example/path",)}, "--allow-domain"),
        (None, {"upstream_proxy": "corp:3128"}, "--upstream-proxy"),
        (Profile(network=Network(upstream_proxy="corp:3128")), {}, "--upstream-proxy"),
        (LOGIN, {}, "credential_routes"),
    ],
)
def test_a_blocked_network_contradicts_what_needs_the_proxy(
    run: Resolve, profile: Profile | None, flags: dict[str, object], named: str
) -> None:
    if profile is None:
        with pytest.raises(ConfigError, match=f"--block-net and {named} are contradictory"):
            run(profile, block_net=True, **flags)
    blocking = (profile or Profile())._replace(
        network=(profile or Profile()).network._replace(block=True), meta=Meta(name="web")
    )
    with pytest.raises(ConfigError, match=r"asked for by profile web, network\.block"):
        run(blocking, **flags)


@pytest.mark.parametrize(
    "profile",
    [
        Profile(network=Network(network_profile="developer")),
        Profile(network=Network(allow_domain=("x.example",))),
        Profile(network=Network(deny_domain=("x.example",))),
        Profile(network=Network(credentials=("openai",))),
        Profile(network=Network(upstream_proxy="corp:3128")),
        LOGIN,
    ],
)
def test_the_flag_that_blocks_beats_the_profile(run: Resolve, profile: Profile) -> None:
    assert run(profile).capabilities.network is NetworkMode.PROXY
    blocked = run(profile, block_net=True)
    assert blocked.capabilities.network is NetworkMode.BLOCKED
    assert (blocked.proxy, blocked.host_filter, blocked.services) == (None, None, ())


@pytest.mark.parametrize(
    "flags",
    [
        {"block_net": True},
        {"network_profile": "minimal"},
        {"allow_domain": ("x.example",)},
        {"deny_domain": ("x.example",)},
        {"credential": ("openai",)},
        {"allow_endpoint": ("openai:GET:/v1",)},
        {"upstream_proxy": "corp:3128"},
        {"upstream_bypass": ("x.example",)},
    ],
    ids=lambda flags: next(iter(flags)),
)
def test_an_open_network_contradicts_every_option_of_the_proxy(
    run: Resolve, flags: dict[str, object]
) -> None:
    with pytest.raises(ConfigError, match="--allow-net"):
        run(allow_net=True, **flags)


def test_an_open_network_drops_what_the_profile_says_of_it(run: Resolve) -> None:
    network = Network(credentials=("openai",), upstream_proxy="corp:3128", upstream_bypass=("a.example",))
    resolved = run(LOGIN._replace(network=network), allow_net=True)
    assert resolved.capabilities.network is NetworkMode.ALLOWED
    assert (resolved.proxy, resolved.services, resolved.oauth_routes) == (None, (), ())


def test_blocking_with_denied_hosts_is_a_proxy_that_refuses_all(run: Resolve) -> None:
    strict = run(Profile(network=Network(block=True, deny_domain=("x.example",))))
    assert strict.capabilities.network is NetworkMode.PROXY
    assert strict.host_filter is not None
    assert isinstance(strict.host_filter.judge_name("any.example", 443), Refuse)
    assert run(block_net=True, deny_domain=("x.example",)).capabilities.network is NetworkMode.BLOCKED


def test_a_bypass_needs_an_upstream_proxy(run: Resolve) -> None:
    with pytest.raises(ConfigError, match="--upstream-bypass needs an upstream proxy"):
        run(upstream_bypass=("x.example",))
    with pytest.raises(ConfigError, match="no upstream proxy to bypass"):
        run(Profile(network=Network(upstream_bypass=("x.example",), allow_domain=("y.example",))))
    assert settings(run(upstream_proxy="corp:3128", upstream_bypass=("x.example",))).upstream_bypass


@pytest.mark.parametrize(
    ("field", "value"),
    [("upstream_bypass", ("x.example",)), ("allow_http2", True)],
    ids=lambda each: str(each),
)
def test_a_profile_is_told_of_what_it_says_of_a_proxy_that_it_lacks(
    run: Resolve, field: str, value: object
) -> None:
    profile = Profile(network=Network(**{field: value}))  # type: ignore[arg-type]  # a field's value
    does_nothing = f"network.{field} does nothing: nothing asks for a proxy."
    assert [each for each in run(profile).warnings if each.endswith(does_nothing)]
    upstream = {"upstream_proxy": "corp:3128"} if field == "upstream_bypass" else {}
    for wish in ({"allow_domain": ("y.example",), **upstream}, {"block_net": True}, {"allow_net": True}):
        assert not [each for each in run(profile, **wish).warnings if "does nothing" in each]


@pytest.mark.parametrize(
    ("flag", "value"),
    [("proxy_ca_validity", "3"), ("record_flows", "flows"), ("allow_http2", True)],
    ids=lambda value: str(value),
)
def test_a_setting_of_the_proxy_needs_one(run: Resolve, flag: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"--{flag.replace('_', '-')} is for a run with a proxy"):
        run(**{flag: value})
    run(allow_domain=("x.example",), **{flag: value})


@pytest.mark.parametrize("days", ["0", "366", "-1", "1.5", "x", "", "٣", "1000", " 1"])
def test_certificates_are_valid_for_one_to_365_days(run: Resolve, days: str) -> None:
    with pytest.raises(UsageError, match=r"--proxy-ca-validity .*1 to 365"):
        run(allow_domain=("x.example",), proxy_ca_validity=days)
    assert settings(run(allow_domain=("x.example",), proxy_ca_validity="365")).ca_validity_s == 365 * 86_400


def test_the_flag_wins_over_the_profile(run: Resolve) -> None:
    intercept = TlsIntercept(ca_validity="2h", leaf_validity="15m", ca_env_vars=("MY_CA", "MY_CA"))
    profile = Profile(network=Network(allow_domain=("x.example",), tls_intercept=intercept))
    of_profile = settings(run(profile))
    assert (of_profile.ca_validity_s, of_profile.leaf_validity_s) == (7200, 900)
    assert of_profile.ca_env_vars == ("MY_CA",)
    assert settings(run(profile, proxy_ca_validity="1")).ca_validity_s == 86_400


def test_http2_is_asked_for_by_flag_or_profile(run: Resolve) -> None:
    profile = Profile(network=Network(allow_domain=("x.example",), allow_http2=True))
    assert settings(run(profile)).allow_http2
    assert settings(run(allow_domain=("x.example",), allow_http2=True)).allow_http2
    assert not settings(run(allow_domain=("x.example",))).allow_http2


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("15m", 900), ("24h", 86_400), ("1d", 86_400), ("45", 45)]
)
def test_a_duration_has_a_unit_or_is_seconds(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["0", "0s", "-1s", "1.5h", "1w", "", "h", "366d", "9999999999", "1 h", "٣s"])
def test_another_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("corp:3128", ("corp", 3128)),
        ("http://Corp.Example.:8080/", ("corp.example", 8080)),
        ("[::1]:80", ("::1", 80)),
    ],
)
def test_an_upstream_proxy_is_a_host_and_a_port(text: str, expected: tuple[str, int]) -> None:
    assert parse_upstream_proxy(text) == expected


@pytest.mark.parametrize(
    "text", ["corp", "corp:0", "u:p@corp:1", "https://corp:1", "::1", "a b:1", "*:1", ""]
)
def test_another_upstream_proxy_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_upstream_proxy(text)


def test_the_password_of_an_upstream_proxy_is_a_reference(run: Resolve) -> None:
    network = Network(upstream_proxy=UpstreamProxyEntry("corp:3128", "env://CORP_PROXY"))
    assert settings(run(Profile(network=network))).upstream_proxy == ("corp", 3128, "env://CORP_PROXY")


def test_a_proxy_of_the_command_line_drops_the_profiles_bypass_list(run: Resolve) -> None:
    profile = Profile(network=Network(upstream_proxy="corp:3128", upstream_bypass=("a.example",)))
    both = settings(run(profile, upstream_bypass=("*.b.example",)))
    assert [str(rule) for rule in both.upstream_bypass] == ["a.example", "*.b.example"]
    own = settings(run(profile, upstream_proxy="other:1", upstream_bypass=("*.b.example",)))
    assert own.upstream_proxy == ("other", 1, None)
    assert [str(rule) for rule in own.upstream_bypass] == ["*.b.example"]


def test_a_bypass_is_spelled_as_the_filter_spells_hosts() -> None:
    assert parse_bypass("*.B.example.").matches("a.b.example", 443)
    assert not parse_bypass("*.b.example").matches("b.example", 443)
    with pytest.raises(ValueError, match="leave nothing"):
        parse_bypass("*")
    with pytest.raises(ValueError, match="is not a host"):
        parse_bypass("a*")


@pytest.mark.parametrize(
    ("auth", "variable", "file"),
    [
        (None, None, None),
        ("env://CORP_LOGIN", "CORP_LOGIN", None),
        ("file:///home/ada/corp", None, "/home/ada/corp"),
        ("keyring://corp", None, None),
    ],
)
def test_the_variable_or_file_with_the_password_of_an_upstream_proxy_is_named(
    auth: str | None, variable: str | None, file: str | None
) -> None:
    settings = UpstreamProxySettings("proxy.example", 3128, auth)
    assert (settings.source_variable, settings.source_file) == (variable, file)


@pytest.mark.parametrize("text", ["ada:s3cret@corp:3128", "http://ada:s3cret@corp:3128/"])
def test_a_password_typed_into_an_upstream_proxy_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="a password has no place here") as refused:
        parse_upstream_proxy(text)
    assert "s3cret" not in str(refused.value)
    assert parse_upstream_proxy("http://corp:3128/") == ("corp", 3128)
