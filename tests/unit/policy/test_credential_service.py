"""Credential services: built in, custom, unknown."""

from __future__ import annotations

import pytest

from nono.errors import ConfigError
from nono.policy import builtin
from nono.policy.credential_service import CredentialService, parse_upstream, problems_of, resolve_services
from nono.policy.places import Places
from nono.policy.profile import CustomCredential

PLACES = Places("/home/ada", "/w", "/w", {"HOME": "/home/ada"})
CUSTOM = CustomCredential(upstream="https://api.corp.example/v2/", credential_key="corp_key")


def services(*names: str, **custom: CustomCredential) -> dict[str, CredentialService]:
    built_in = builtin.network_policy().services
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
    ],
)
def test_a_built_in_service_sets_the_variables_sdks_read(
    name: str, variable: str, base_url: str, header: str
) -> None:
    service = services(name)[name]
    assert variable in service.env_vars
    assert base_url in service.base_url_env_vars
    assert service.inject_header == header


def test_every_built_in_variable_is_a_valid_destination() -> None:
    for name in builtin.network_policy().services:
        service = services(name)[name]
        assert all(v.replace("_", "").isalnum() for v in (*service.env_vars, *service.base_url_env_vars))


def test_an_unknown_service_names_the_available_ones_and_the_nearest() -> None:
    with pytest.raises(ConfigError) as error:
        services("opnai")
    assert "Unknown credential service 'opnai'. Available: [anthropic, gemini" in error.value.message
    assert error.value.hint == "did you mean 'openai'?"


def test_a_custom_service_has_derived_variables_and_format() -> None:
    service = services("corp", corp=CUSTOM)["corp"]
    assert (service.env_vars, service.base_url_env_vars) == (("CORP_KEY",), ("CORP_BASE_URL",))
    assert service.credential_format == "Bearer {}"
    assert str(service.upstream) == "https://api.corp.example/v2"


def test_another_header_takes_the_bare_key() -> None:
    custom = CustomCredential("https://x.example", "env://CORP_KEY", inject_header="X-Key")
    service = services("corp", corp=custom)["corp"]
    assert (service.credential_format, service.env_vars) == ("{}", ("CORP_KEY",))
    assert service.source_variable == "CORP_KEY"


def test_a_profiles_entry_replaces_the_built_in_service() -> None:
    assert services("openai", openai=CUSTOM)["openai"].upstream.host == "api.corp.example"


def test_a_tls_ca_is_expanded() -> None:
    custom = CustomCredential("https://x.example", "corp", tls_ca="$HOME/ca.pem")
    assert services("corp", corp=custom)["corp"].tls_ca == "/home/ada/ca.pem"


def test_two_services_may_not_share_a_variable() -> None:
    assert len(services("openai", "anthropic", "openai")) == 2
    with pytest.raises(ConfigError, match="both set"):
        services("gemini", "google-ai")


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
        *("https://*.x.example", "https://x.example:0", "https://x.example/%2e", "https://x.example/a b"),
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
