"""Credential services: built in, custom, unknown."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan

import pytest
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES  # type: ignore[import-untyped]  # ships no types
from botocore.credentials import (  # type: ignore[import-untyped]  # ships no types
    AssumeRoleWithWebIdentityProvider,
    ContainerProvider,
    EnvProvider,
)

from nono.errors import ConfigError, UsageError
from nono.policy.builtin import shipped
from nono.policy.endpoints.policy import EndpointRule
from nono.policy.hosts.upstream import parse_upstream
from nono.policy.path_expansion import PathContext
from nono.policy.resolve import Resolved
from nono.policy.schema.profile import Network, Profile
from nono.policy.schema.route_rules import (
    AwsAuth,
    Capture,
    Inject,
    OAuth2Client,
    RateLimit,
    TlsIdentity,
    UpgradeRule,
    UsageLimits,
)
from nono.policy.schema.routes import (
    CaptureEntry,
    CustomCredential,
    DefaultEntry,
    PolicyEntry,
    ProxyEntry,
    RateLimitEntry,
    RuleEntry,
)
from nono.policy.services.credential_service import CredentialService, resolve_services
from nono.policy.services.custom_credential import problems_of
from unit.policy.conftest import MakeFilesystem

Resolve = Callable[..., Resolved]

PLACES = PathContext("/home/ada", "/w", "/w", {"HOME": "/home/ada"})
CUSTOM = CustomCredential(upstream="https://api.corp.example/v2/", credential_key="corp_key")


def services(*names: str, **custom: CustomCredential) -> dict[str, CredentialService]:
    built_in = shipped.network_policy().services
    found = resolve_services([(name, "--credential") for name in names], custom, built_in, PLACES)
    return {service.name: service for service in found}


@pytest.mark.parametrize(
    ("name", "variable", "base_url", "header"),
    [
        ("openai", "OPENAI_API_KEY", "OPENAI_BASE_URL", "Authorization"),
        ("anthropic", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "x-api-key"),
        ("gemini", "GEMINI_API_KEY", "GEMINI_BASE_URL", "x-goog-api-key"),
        ("gemini", "GOOGLE_API_KEY", "GEMINI_BASE_URL", "x-goog-api-key"),
        ("google-ai", "GOOGLE_API_KEY", "GOOGLE_AI_BASE_URL", "x-goog-api-key"),
        ("github", "GH_TOKEN", "GITHUB_BASE_URL", "Authorization"),
        ("gitlab", "GITLAB_TOKEN", "GITLAB_BASE_URL", "Authorization"),
        ("mistral", "MISTRAL_API_KEY", "MISTRAL_BASE_URL", "Authorization"),
        ("deepseek", "DEEPSEEK_API_KEY", "DEEPSEEK_BASE_URL", "Authorization"),
        ("xai", "XAI_API_KEY", "XAI_BASE_URL", "Authorization"),
        ("fireworks", "FIREWORKS_API_KEY", "FIREWORKS_BASE_URL", "Authorization"),
    ],
)
def test_a_built_in_service_sets_the_variables_sdks_read(
    name: str, variable: str, base_url: str, header: str
) -> None:
    service = services(name)[name]
    assert variable in service.env_vars
    assert base_url in service.base_url_env_vars
    assert service.inject.header == header


def test_every_built_in_variable_is_a_valid_destination() -> None:
    for name in shipped.network_policy().services:
        service = services(name)[name]
        assert all(v.replace("_", "").isalnum() for v in (*service.env_vars, *service.base_url_env_vars))


def test_the_error_about_an_unknown_service_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError) as error:
        services("opnai")
    assert error.value.message.startswith(
        "no credential service is called 'opnai'; there are anthropic, anthropic-token, cerebras"
    )
    assert error.value.hint == "did you mean 'openai'?"


def test_a_custom_service_has_derived_variables_and_format() -> None:
    service = services("corp", corp=CUSTOM)["corp"]
    assert (service.env_vars, service.base_url_env_vars) == (("CORP_KEY",), ("CORP_BASE_URL",))
    assert service.inject.format == "Bearer {}"
    assert str(service.upstream) == "https://api.corp.example/v2"


def test_another_header_takes_the_bare_key() -> None:
    custom = CustomCredential("https://x.example", "env://CORP_KEY", inject_header="X-Key")
    service = services("corp", corp=custom)["corp"]
    assert (service.inject.format, service.env_vars) == ("{}", ("CORP_KEY",))
    assert service.source_variables == ("CORP_KEY",)


def test_a_profiles_entry_replaces_the_built_in_service() -> None:
    assert services("openai", openai=CUSTOM)["openai"].upstream.host == "api.corp.example"


def test_a_tls_ca_is_expanded() -> None:
    custom = CustomCredential("https://x.example", "corp", tls_ca="$HOME/ca.pem")
    assert services("corp", corp=custom)["corp"].tls.ca == "/home/ada/ca.pem"


def test_two_services_may_not_share_a_variable() -> None:
    assert len(services("openai", "anthropic", "openai")) == 2
    with pytest.raises(ConfigError, match="both set"):
        services("gemini", "google-ai")


def test_an_optional_service_gives_way_to_a_required_one_with_its_variable() -> None:
    wanted = [("anthropic", "profile"), ("gemini", "profile"), ("anthropic-token", "--credential")]
    built_in = shipped.network_policy().services
    found = resolve_services(wanted, {}, built_in, PLACES, required=["anthropic-token"])
    assert [(each.name, each.is_optional) for each in found] == [("gemini", True), ("anthropic-token", False)]
    with pytest.raises(ConfigError, match="both set ANTHROPIC_BASE_URL"):
        resolve_services(wanted, {}, built_in, PLACES, required=["anthropic", "anthropic-token"])


@pytest.mark.parametrize("name", ["openai", "corp"])
def test_an_address_takes_the_place_of_the_services_own(name: str) -> None:
    named = f"{name}=http://localhost:4000/v1"
    plain, moved = services(name, corp=CUSTOM)[name], services(named, corp=CUSTOM)[name]
    assert str(moved.upstream) == "http://localhost:4000/v1"
    assert (plain.named_as, moved.named_as) == (name, named)
    assert moved._replace(upstream=plain.upstream, named_as=name) == plain


@pytest.mark.parametrize(
    ("option", "address"),
    [
        ("openai", "https://llm.corp.example"),
        ("openai=https://api.openai.com/v1", "https://api.openai.com/v1"),
    ],
)
def test_an_address_of_the_profile_stays_unless_the_option_names_another(option: str, address: str) -> None:
    wanted = [("openai=https://llm.corp.example", "profile"), (option, "--credential")]
    [service] = resolve_services(wanted, {}, shipped.network_policy().services, PLACES)
    assert (str(service.upstream), service.origin) == (address, "--credential")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://llm.corp.example", "http is for loopback only: a key would cross the network in the clear"),
        ("https://*.corp.example", "the address of one host is expected"),
        ("https://me:secret@llm.corp.example", "a user and a password have no place in it"),
        ("", "an https:// URL is expected"),
        ("localhost:11434", "an https:// URL is expected"),
    ],
)
def test_an_address_that_no_service_can_have_is_refused(address: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        services(f"openai={address}")
    assert error.value.message == f"--credential openai=URL: {message}."
    assert "openai=http://localhost:PORT for a server of this machine" in (error.value.hint or "")


@pytest.mark.parametrize("asked", ["openai=https://me:hunter2@x.example", "https://me:hunter2@x.example"])
def test_a_password_in_an_address_that_is_refused_is_not_shown(asked: str) -> None:
    with pytest.raises(ConfigError) as error:
        services(asked)
    assert "hunter2" not in f"{error.value.message} {error.value.hint}"


@pytest.mark.parametrize(
    ("name", "environ", "found"),
    [
        ("openai", {"OPENAI_BASE_URL": "https://llm.corp.example/v1"}, "OPENAI_BASE_URL"),
        ("openai", {"OPENAI_BASE_URL": "http://localhost:11434/v1"}, "OPENAI_BASE_URL"),
        ("openai", {"OPENAI_BASE_URL": "https://api.openai.com:8443/v1"}, "OPENAI_BASE_URL"),
        ("openai", {"OPENAI_BASE_URL": "not a URL"}, "OPENAI_BASE_URL"),
        ("claude-token", {"ANTHROPIC_BASE_URL": "https://llm.corp.example"}, "ANTHROPIC_BASE_URL"),
        ("gemini", {"GOOGLE_GEMINI_BASE_URL": "https://llm.corp.example"}, "GOOGLE_GEMINI_BASE_URL"),
        ("openai", {"OPENAI_API_BASE": "https://llm.corp.example/v1"}, "OPENAI_API_BASE"),
        ("gitlab", {"GITLAB_HOST": "https://gitlab.corp.example/api"}, "GITLAB_HOST"),
        ("gitlab", {"GL_HOST": "https://gitlab.corp.example"}, "GL_HOST"),
        ("github", {"GITHUB_API_URL": "https://github.corp.example/api/v3"}, "GITHUB_API_URL"),
        ("gitlab", {"GITLAB_HOST": "https://gitlab.com"}, None),
        ("gitlab", {"GITLAB_HOST": "gitlab.com"}, None),
        ("github", {"GITHUB_API_URL": "https://api.github.com"}, None),
        ("openai", {"OPENAI_BASE_URL": "https://API.openai.com/v2/"}, None),
        ("openai", {"OPENAI_BASE_URL": ""}, None),
        ("openai", {"ANTHROPIC_BASE_URL": "https://llm.corp.example"}, None),
        ("openai=https://other.example", {"OPENAI_BASE_URL": "https://llm.corp.example"}, None),
        ("corp", {"CORP_BASE_URL": "https://llm.corp.example"}, None),
    ],
)
def test_another_address_in_the_variables_of_a_services_clients_is_found(
    name: str, environ: dict[str, str], found: str | None
) -> None:
    places = PLACES._replace(environ=environ)
    built_in = shipped.network_policy().services
    [service] = resolve_services([(name, "--credential")], {"corp": CUSTOM}, built_in, places)
    assert service.elsewhere == (None if found is None else (found, environ[found]))


@pytest.mark.parametrize("host", ["gitlab.corp.example", "gitlab.corp.example:8443", "gitlab.corp.example/"])
def test_a_host_without_its_scheme_is_another_address_too(host: str) -> None:
    places = PLACES._replace(environ={"GITLAB_HOST": host})
    built_in = shipped.network_policy().services
    [service] = resolve_services([("gitlab", "--credential")], {}, built_in, places)
    assert service.elsewhere == ("GITLAB_HOST", f"https://{host.rstrip('/')}/api")


@pytest.mark.parametrize(
    "url",
    [
        "https://x.example",
        "https://x.example:8443/v1",
        "http://localhost:1",
        "http://127.0.0.1:1",
        "http://[::1]:1",
    ],
)
def test_an_upstream_is_https_or_loopback(url: str) -> None:
    assert str(parse_upstream(url)) == url


@pytest.mark.parametrize("url", ["https://me:hunter2@x.example", "https://hunter2@x.example:443/v1"])
def test_a_password_in_an_upstream_is_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="a user and a password have no place in it") as refused:
        parse_upstream(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        *("http://x.example", "http://10.0.0.1", "http://0.0.0.0", "ftp://x.example", "x.example", ""),
        *(
            "https://",
            "https://u@x.example",
            "https://x.example?q",
            "https://x.example/#f",
            "https://x.example/../a",
        ),
        *("https://*x.example", "http://*.x.example", "https://*.10.0.0.1", "https://*", "https://x//y"),
        *("https://a.*.example", "https://x.example:0", "https://x.example/%2e", "https://x.example/a b"),
    ],
)
def test_another_upstream_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_upstream(url)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("upstream", "http://x.example"),
        ("inject_header", "X Key"),
        ("credential_format", "Bearer"),
        ("credential_format", "a{}\r\nX: {}"),
        ("credential_key", "a b"),
        ("env_var", "LD_PRELOAD"),
        ("env_var", "GOOGLE-AI"),
        ("base_url_env_var", "PATH"),
    ],
)
def test_a_mistake_in_a_custom_service_names_its_field(field: str, value: str) -> None:
    good = {"upstream": "https://x.example", "credential_key": "corp", "env_var": "CORP"}
    assert not list(problems_of("corp", CustomCredential(**good)))  # type: ignore[arg-type]  # all are strings
    bad = CustomCredential(**{**good, field: value})  # type: ignore[arg-type]  # as above
    assert [name for name, _ in problems_of("corp", bad)] == [field]


def test_a_reference_that_names_no_variable_needs_env_var() -> None:
    assert [f for f, _ in problems_of("c", CustomCredential("https://x.example", "op://v/i/f"))] == [
        "env_var"
    ]


# Where a key comes from and where it stands


def problem_fields(**fields: object) -> list[str]:
    custom = CustomCredential(**{"upstream": "https://x.example", **fields})  # type: ignore[arg-type]  # fields vary
    return [field for field, _ in problems_of("corp", custom)]


AUTH = OAuth2Client("https://id.example/token", "id", "env://CLIENT_SECRET")


@pytest.mark.parametrize(
    "source", [{"credential_key": "corp"}, {"auth": AUTH}, {"aws_auth": AwsAuth(None, "eu-west-1", "s3")}]
)
def test_a_key_has_exactly_one_source(source: dict[str, object]) -> None:
    assert problem_fields(**source) == []
    assert problem_fields() == ["credential_key"]
    assert len(problem_fields(**{"credential_key": "corp", "auth": AUTH} | source)) == 1


def test_a_service_of_client_credentials_has_a_variable_for_its_phantom() -> None:
    custom = CustomCredential("https://x.example", auth=AUTH)
    service = services("my-corp", **{"my-corp": custom})["my-corp"]
    named = services("my-corp", **{"my-corp": custom._replace(env_var="CORP")})["my-corp"]
    assert (service.env_vars, named.env_vars) == (("MY_CORP_API_KEY",), ("CORP",))
    assert (service.credential_key, service.oauth2) == ("", AUTH)
    assert service.references == ("id", "env://CLIENT_SECRET")
    assert service.source_variables == ("CLIENT_SECRET",)


def test_a_signed_service_keeps_back_every_variable_by_which_botocore_finds_keys() -> None:
    signed = CustomCredential("https://x.example", aws_auth=AwsAuth(None, "eu-west-1", "s3"))
    read = {
        *(EnvProvider.ACCESS_KEY, EnvProvider.SECRET_KEY, *EnvProvider.TOKENS),
        *(ContainerProvider.ENV_VAR, ContainerProvider.ENV_VAR_FULL),
        *(ContainerProvider.ENV_VAR_AUTH_TOKEN, ContainerProvider.ENV_VAR_AUTH_TOKEN_FILE),
        AssumeRoleWithWebIdentityProvider._CONFIG_TO_ENV_VAR["web_identity_token_file"],
        *BOTOCORE_DEFAUT_SESSION_VARIABLES["profile"][1],
    }
    assert {*services("corp", corp=signed)["corp"].source_variables} == read
    stored = CustomCredential("https://x.example", "corp", env_var="CORP")
    assert services("corp", corp=stored)["corp"].source_variables == ()


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"auth": AUTH._replace(token_url="http://id.example")}, "auth.token_url"),
        ({"auth": AUTH._replace(token_url="https://*.example")}, "auth.token_url"),
        ({"auth": AUTH._replace(client_id="")}, "auth.client_id"),
        ({"auth": AUTH._replace(scope="a\nb")}, "auth.scope"),
        ({"aws_auth": AwsAuth("a b", None, None)}, "aws_auth.profile"),
        ({"aws_auth": AwsAuth(None, "EU", None)}, "aws_auth.region"),
        ({"credential_key": "cmd://a/b", "env_var": "X"}, "credential_key"),
        ({"credential_key": "op://v/i/f"}, "env_var"),
        ({"credential_key": "cmd://x"}, "env_var"),
        ({"credential_key": "corp", "inject_mode": "url_path"}, "path_pattern"),
        ({"credential_key": "corp", "inject_mode": "query_param"}, "query_param_name"),
        ({"credential_key": "corp", "path_pattern": "/bot"}, "path_pattern"),
        ({"credential_key": "corp", "path_pattern": "/{}/{}"}, "path_pattern"),
        ({"credential_key": "corp", "path_pattern": "/{}?x"}, "path_pattern"),
        ({"credential_key": "corp", "path_replacement": "x"}, "path_replacement"),
        ({"credential_key": "corp", "query_param_name": "a=b"}, "query_param_name"),
        ({"credential_key": "corp", "proxy": ProxyEntry(inject_mode="url_path")}, "proxy.path_pattern"),
        ({"credential_key": "corp", "proxy": ProxyEntry(inject_header="a b")}, "proxy.inject_header"),
        ({"credential_key": "corp", "proxy": ProxyEntry(credential_format="x")}, "proxy.credential_format"),
        ({"credential_key": "corp", "tls_client_cert": "/c"}, "tls_client_key"),
        ({"credential_key": "corp", "tls_client_key": "/k"}, "tls_client_cert"),
        ({"credential_key": "corp", "rate_limit": RateLimitEntry(-1)}, "rate_limit.requests_per_minute"),
        ({"credential_key": "corp", "rate_limit": RateLimitEntry(inf)}, "rate_limit.requests_per_minute"),
        ({"credential_key": "corp", "rate_limit": RateLimitEntry(nan)}, "rate_limit.requests_per_minute"),
        ({"credential_key": "corp", "rate_limit": RateLimitEntry(1, -1)}, "rate_limit.burst"),
        ({"credential_key": "corp", "rate_limit": RateLimitEntry(1, 1, nan)}, "rate_limit.max_delay_secs"),
        ({"credential_key": "corp", "limits": UsageLimits(requests=-1)}, "limits.requests"),
        ({"credential_key": "corp", "upgrades": (UpgradeRule("/a*?"),)}, "upgrades.0.path"),
        ({"credential_key": "corp", "upgrades": (UpgradeRule("/a/../b"),)}, "upgrades.0.path"),
        ({"credential_key": "corp", "endpoint_rules": (RuleEntry("GET", "x"),)}, "endpoint_rules.0"),
        (
            {"credential_key": "corp", "endpoint_policy": PolicyEntry(deny=(RuleEntry("*", "/a**"),))},
            "endpoint_policy.deny.0",
        ),
        (
            {"credential_key": "corp", "endpoint_policy": PolicyEntry(DefaultEntry("deny", None, 0))},
            "endpoint_policy.default.timeout_secs",
        ),
        (
            {"upstream": "https://*.x.example", "credential_key": "c", "base_url_env_var": "B"},
            "base_url_env_var",
        ),
    ],
)
def test_each_mistake_names_only_its_field(fields: dict[str, object], problem: str) -> None:
    assert problem_fields(**fields) == [problem]


def test_a_rate_limit_may_be_0_in_each_field() -> None:
    """No limit, no burst, no wait; below 0 each is refused above."""
    assert problem_fields(credential_key="corp", rate_limit=RateLimitEntry(0, 0, 0)) == []


def test_an_entry_that_uses_every_field_is_accepted() -> None:
    fields = {
        "credential_key": "corp",
        "inject_mode": "url_path",
        "path_pattern": "/bot{}/",
        "proxy": ProxyEntry(inject_mode="query_param", query_param_name="key"),
        "tls_client_cert": "/c",
        "tls_client_key": "/k",
        "rate_limit": RateLimitEntry(10, 2, 1.5),
        "limits": UsageLimits(1, 2, 3),
        "upgrades": (UpgradeRule("/v1/realtime"),),
        "endpoint_policy": PolicyEntry("allow", deny=(RuleEntry("*", "/admin/**", None, "no", 5),)),
    }
    assert problem_fields(**fields) == []
    service = services("corp", corp=CustomCredential("https://x.example", **fields))["corp"]  # type: ignore[arg-type]  # fields vary
    assert service.rate_limit == RateLimit(10, 2, 1.5)
    assert service.tls == TlsIdentity(None, "/c", "/k")
    assert service.source_files == ("/k",)
    assert (service.limits, service.tripwire) == (UsageLimits(1, 2, 3), True)
    assert service.endpoints.judge("GET", "/admin/x").reason == "no"
    assert service.endpoints.is_explicit


def test_each_accept_field_falls_back_to_its_inject_field() -> None:
    custom = CustomCredential(
        "https://x.example",
        "corp",
        inject_mode="url_path",
        path_pattern="/bot{}/",
        path_replacement="/real{}/",
        proxy=ProxyEntry(inject_mode="header", inject_header="X-Key"),
    )
    service = services("corp", corp=custom)["corp"]
    assert service.inject == Inject("url_path", "Authorization", "Bearer {}", "/bot{}/", "/real{}/")
    assert service.accept == Inject("header", "X-Key", "{}", "/bot{}/", "/real{}/")
    alike = services("corp", corp=custom._replace(proxy=None))["corp"]
    assert alike.accept == alike.inject


def test_a_path_is_replaced_by_itself_unless_something_else_is_said() -> None:
    custom = CustomCredential("https://x.example", "corp", inject_mode="url_path", path_pattern="/bot{}/")
    assert services("corp", corp=custom)["corp"].inject.path_replacement == "/bot{}/"


def test_a_wildcard_upstream_has_no_route_of_its_own() -> None:
    service = services("corp", corp=CustomCredential("https://*.x.example", "corp"))["corp"]
    assert service.base_url_env_vars == ()
    covered = [("a.x.example", 443), ("a.b.x.example", 443)]
    other = [("x.example", 443), ("a.x.example", 8443), ("ax.example", 443)]
    assert all(service.upstream.covers(*each) for each in covered)
    assert not any(service.upstream.covers(*each) for each in other)


def test_a_command_is_looked_up_by_its_name() -> None:
    custom = CustomCredential("https://x.example", "cmd://token", env_var="CORP")
    capture = CaptureEntry(("/opt/get-token", "x"), timeout_secs=9, ttl_secs=0)
    found = resolve_services([("corp", "")], {"corp": custom}, {}, PLACES, {"token": capture})
    assert found[0].capture == Capture("token", ("/opt/get-token", "x"), 9, 0)
    with pytest.raises(ConfigError, match="cmd://token has no entry in credential_capture"):
        resolve_services([("corp", "")], {"corp": custom}, {}, PLACES)


# --allow-endpoint


def test_a_rule_of_the_command_line_joins_those_of_the_profile() -> None:
    custom = CustomCredential("https://x.example", "corp", endpoint_rules=(RuleEntry("GET", "/a"),))
    rule = EndpointRule("POST", "/b")
    (service,) = resolve_services([("corp", "")], {"corp": custom}, {}, PLACES, {}, [("corp", rule)])
    decisions = [service.endpoints.judge(*asked).decision for asked in (("GET", "/a"), ("POST", "/b"))]
    assert decisions == ["allow", "allow"]
    assert service.endpoints.judge("GET", "/b").decision == "deny"
    alone = services("corp", corp=custom._replace(endpoint_rules=()))["corp"]
    assert alone.endpoints.allows_all


def test_a_flag_that_cannot_widen_an_explicit_policy_is_warned_about(run: Resolve) -> None:
    custom = CustomCredential("https://x.example", "corp", endpoint_policy=PolicyEntry())
    network = Network(custom_credentials={"corp": custom}, credentials=("corp",))
    resolved = run(Profile(network=network), allow_endpoint=("corp:GET:/a",))
    assert resolved.services[0].endpoints.judge("GET", "/a").decision == "deny"
    assert any("--allow-endpoint corp:GET:/a changes nothing" in text for text in resolved.warnings)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"allow_endpoint": ("openai:GET:/a",)}, "needs a credential service"),
        (
            {"credential": ("github",), "allow_endpoint": ("openai:GET:/a",)},
            "service 'openai' not found in active credentials",
        ),
    ],
)
def test_an_endpoint_that_cannot_be_meant_is_refused(
    run: Resolve, flags: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        run(**flags)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        *(
            (text, "expected SERVICE:METHOD:/path")
            for text in ("openai", "openai:GET", "openai::/a", ":GET:/a", "openai:GET:")
        ),
        ("openai:GET:a", "must start with '/'"),
        ("openai:G T:/a", "is not a method"),
        ("openai:GET:/a//b", "empty segment"),
    ],
)
def test_a_malformed_endpoint_is_a_usage_error(run: Resolve, text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        run(credential=("openai",), allow_endpoint=(text,))


def test_a_path_with_a_colon_is_one_path(run: Resolve) -> None:
    (service,) = run(credential=("openai",), allow_endpoint=("openai:POST:/v1/m:run",)).services
    assert service.endpoints.judge("POST", "/v1/m:run").decision == "allow"


def test_a_rule_beside_the_base_path_is_warned_about(run: Resolve) -> None:
    beside = run(credential=("openai",), allow_endpoint=("openai:POST:/chat/completions",)).warnings
    assert any("did you mean /v1/chat/completions?" in text for text in beside)
    below = run(credential=("openai",), allow_endpoint=("openai:*:/v1/chat", "openai:*:/**/x")).warnings
    assert not any("did you mean" in text for text in below)


# What the command could reach


def key_in(run: Resolve, custom: CustomCredential, **flags: object) -> Resolved:
    network = Network(custom_credentials={"corp": custom}, credentials=("corp",))
    capture = {"token": CaptureEntry(("/home/ada/work/token.sh",))}
    return run(Profile(network=network, credential_capture=capture), **flags)


@pytest.mark.parametrize(
    "custom",
    [
        CustomCredential("https://x.example", "file:///home/ada/work/key", env_var="CORP"),
        CustomCredential("https://x.example", auth=AUTH._replace(client_secret="file:///home/ada/work/key")),
        CustomCredential("https://x.example", "corp", tls_client_cert="/c", tls_client_key="./key"),
    ],
    ids=["key", "client secret", "client certificate"],
)
def test_a_file_with_a_key_may_not_lie_in_the_grants(run: Resolve, custom: CustomCredential) -> None:
    key_in(run, custom)
    with pytest.raises(ConfigError, match="its key lies in") as refused:
        key_in(run, custom, read=("/home/ada/work",))
    is_stored_elsewhere = "nono credential set corp" in (refused.value.hint or "")
    assert is_stored_elsewhere == (custom.tls_client_key is None)


@pytest.mark.parametrize(
    "variable",
    [
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_CREDENTIAL_FILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_LOGIN_CACHE_DIRECTORY",
    ],
)
def test_nor_may_one_of_aws(run: Resolve, make_fs: MakeFilesystem, variable: str) -> None:
    signed = CustomCredential("https://x.example", aws_auth=AwsAuth(None, "eu-west-1", "s3"))
    stored = CustomCredential("https://x.example", "corp")
    for place in ("/home/ada/work/aws", "~/work/aws", "./aws", "$HOME/work/aws", "${HOME}/work/aws"):
        with pytest.raises(ConfigError, match="its key lies in"):
            key_in(run, signed, environ={variable: place}, read=("/home/ada/work",))
    key_in(run, signed, environ={variable: "/home/ada/elsewhere"}, read=("/home/ada/work",))
    key_in(run, signed, environ={variable: "/dev/null"}, fs=make_fs(files=("/dev/null",)))
    key_in(run, stored, environ={variable: "/home/ada/work/aws"}, read=("/home/ada/work",))


def test_no_link_on_the_way_to_a_key_may_be_replaced(run: Resolve, make_fs: MakeFilesystem) -> None:
    fs = make_fs(
        directories=("/home/ada/secret",),
        files=("/home/ada/secret/key",),
        links={"/home/ada/keys": "/home/ada/work/keys", "/home/ada/work/keys": "/home/ada/secret"},
    )
    linked = CustomCredential("https://x.example", "file:///home/ada/keys/key", env_var="CORP")
    with pytest.raises(ConfigError, match="found by a link in /home/ada/work"):
        key_in(run, linked, fs=fs, allow=("/home/ada/work",))
    key_in(run, linked, fs=fs, read=("/home/ada/work",))
    plain = CustomCredential("https://x.example", "file:///home/ada/secret/key", env_var="CORP")
    key_in(run, plain, fs=fs, allow=("/home/ada/work",))


def test_a_program_that_fetches_a_key_may_not_be_writable(run: Resolve) -> None:
    custom = CustomCredential("https://x.example", "cmd://token", env_var="CORP")
    key_in(run, custom, read=("/home/ada/work",))
    with pytest.raises(ConfigError, match="runs outside the sandbox to fetch its key"):
        key_in(run, custom, allow=("/home/ada/work",))


@pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "OPENAI_BASE_URL"])
def test_a_variable_holds_either_a_phantom_or_a_key(run: Resolve, variable: str) -> None:
    run(env_credential_map=(("other", variable),))
    with pytest.raises(ConfigError, match="keeps from the command"):
        run(credential=("openai",), env_credential_map=(("other", variable),))


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (UsageLimits(), UsageLimits(cost_usd=5, on_limit="ask")),
        (UsageLimits(requests=9), UsageLimits(requests=9, cost_usd=5)),
        (UsageLimits(cost_usd=2), UsageLimits(cost_usd=2)),
        (UsageLimits(cost_usd=7, on_limit="ask"), UsageLimits(cost_usd=5, on_limit="ask")),
    ],
)
def test_a_limit_of_costs_takes_nothing_back_that_the_profile_limits(
    limits: UsageLimits, expected: UsageLimits
) -> None:
    custom = {"corp": CUSTOM._replace(limits=limits)}
    [service] = resolve_services([("corp", "--credential")], custom, {}, PLACES, costs=[("corp", 5)])
    assert service.limits == expected
