"""nono.proxy.child_env: the variables of the child."""

from __future__ import annotations

import pytest

from nono.proxy.child_env import ServiceVariables, base_url_variable, child_env

URL = "http://nono:tok@127.0.0.1:8080"


def test_every_proxy_variable_leads_to_the_proxy() -> None:
    variables = child_env(8080, "tok", [])
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        assert variables[name] == URL
    assert variables["NODE_USE_ENV_PROXY"] == "1"
    assert variables["NONO_PROXY_TOKEN"] == "tok"


def test_a_loopback_name_goes_to_the_proxy_once_it_is_granted_there() -> None:
    assert child_env(8080, "tok", [])["NO_PROXY"] == "localhost,127.0.0.1"
    variables = child_env(8080, "tok", [], granted={"localhost", "example.com"})
    assert variables["no_proxy"] == variables["NONO_NO_PROXY"] == variables["NO_PROXY"] == "127.0.0.1"


def test_a_service_without_its_credential_gets_a_url_and_no_phantom() -> None:
    loaded = ServiceVariables("google-ai", base_urls=("GEMINI_URL",), phantoms={"GEMINI_API_KEY": "ph"})
    missing = ServiceVariables("openai")
    variables = child_env(8080, "tok", [loaded, missing])
    assert variables["GOOGLE_AI_BASE_URL"] == variables["GEMINI_URL"] == "http://127.0.0.1:8080/google-ai"
    assert variables["GEMINI_API_KEY"] == "ph"
    assert variables["OPENAI_BASE_URL"] == "http://127.0.0.1:8080/openai"
    assert "OPENAI_API_KEY" not in variables


def test_a_phantom_is_not_in_the_repr() -> None:
    assert "secret-phantom" not in repr(ServiceVariables("a", phantoms={"A": "secret-phantom"}))


@pytest.mark.parametrize(
    ("service", "variable"),
    [("git-hub", "GIT_HUB_BASE_URL"), ("1password", "_1PASSWORD_BASE_URL"), ("/a.b/", "A_B_BASE_URL")],
)
def test_every_service_name_gives_a_name_a_shell_accepts(service: str, variable: str) -> None:
    assert base_url_variable(service) == variable


@pytest.mark.parametrize("service", ["", "/"])
def test_a_service_without_a_name_is_refused(service: str) -> None:
    with pytest.raises(ValueError, match="no variable name"):
        base_url_variable(service)
