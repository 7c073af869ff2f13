"""nono.proxy.child_env: the variables of the child."""

from __future__ import annotations

import httpx
import pytest

from nono.policy.hosts.no_proxy import parse_no_proxy
from nono.proxy.child_env import (
    ServiceVariables,
    base_url_variable,
    child_env,
    java_options,
    resolver_options,
    trust_env,
)

URL = "http://nono:tok@127.0.0.1:8080"


def test_every_proxy_variable_leads_to_the_proxy() -> None:
    variables = child_env(8080, "tok", [])
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        assert variables[name] == URL
    assert variables["YARN_HTTPS_PROXY"] == URL
    assert "YARN_HTTP_PROXY" not in variables
    assert variables["NODE_USE_ENV_PROXY"] == "1"
    assert variables["NONO_PROXY_TOKEN"] == "tok"


def test_a_loopback_name_goes_to_the_proxy_once_it_is_granted_there() -> None:
    assert child_env(8080, "tok", [])["NO_PROXY"] == "localhost,127.0.0.1,::1"
    variables = child_env(8080, "tok", [], granted={"localhost", "example.com"})
    assert variables["no_proxy"] == variables["NONO_NO_PROXY"] == variables["NO_PROXY"] == "127.0.0.1,::1"


@pytest.mark.parametrize(
    ("address", "granted", "expected"),
    [
        ("127.0.0.1", {"localhost", "127.0.0.1"}, "::1,127.0.0.1:8080"),
        ("127.0.0.1", {"127.0.0.1"}, "localhost,::1,127.0.0.1:8080"),
        ("192.0.2.7", set(), "localhost,127.0.0.1,::1,192.0.2.7:8080"),
    ],
)
def test_the_base_urls_are_asked_for_without_a_tunnel_whatever_is_granted(
    address: str, granted: set[str], expected: str
) -> None:
    """Node asks for one for plain http too, and the proxy does not connect to itself."""
    variables = child_env(8080, "tok", [], granted=granted, address=address)
    assert variables["NO_PROXY"] == variables["no_proxy"] == expected
    assert "8080" not in variables["NONO_NO_PROXY"]


@pytest.mark.parametrize("address", ["127.0.0.1", "192.0.2.7", "::1"])
def test_httpx_reads_the_proxy_variables_at_every_listen_address(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """It raises InvalidURL over an entry in brackets, and with it the SDKs of OpenAI and Anthropic."""
    variables = child_env(8080, "tok", [], granted={"127.0.0.1"}, address=address)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    httpx.Client().close()
    assert variables["NO_PROXY"] == "localhost,::1" + ("" if ":" in address else f",{address}:8080")


def test_a_service_without_its_credential_gets_no_phantom() -> None:
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


@pytest.mark.parametrize(
    "variable",
    [
        *("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"),
        *("AWS_CA_BUNDLE", "CARGO_HTTP_CAINFO", "PIP_CERT", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"),
        *("NIX_SSL_CERT_FILE", "npm_config_cafile", "OWN_CA"),
    ],
)
def test_every_way_of_finding_roots_leads_to_the_bundle(variable: str) -> None:
    variables = trust_env("/run/ca.pem", "/a", None, ["OWN_CA", "SSL_CERT_FILE"], {variable: "/elsewhere"})
    assert variables[variable] == "/run/ca.pem"


@pytest.mark.parametrize("variable", ["NODE_EXTRA_CA_CERTS", "DENO_CERT"])
def test_a_client_that_adds_to_its_own_roots_gets_the_added_ones(variable: str) -> None:
    variables = trust_env("/run/ca.pem", "/run/added.pem", None, [], {variable: "/elsewhere"})
    assert variables[variable] == "/run/added.pem"


def test_the_truststore_is_added_to_the_options_of_java() -> None:
    inherited = {"JAVA_TOOL_OPTIONS": "-Xmx1g"}
    assert "JAVA_TOOL_OPTIONS" not in trust_env("/run/ca.pem", "/a", None, [], inherited)
    variables = trust_env("/run/ca.pem", "/a", "/run/ca.jks", [], inherited)
    assert variables["JAVA_TOOL_OPTIONS"].split(" ") == [
        "-Xmx1g",
        "-Djavax.net.ssl.trustStore=/run/ca.jks",
        "-Djavax.net.ssl.trustStoreType=JKS",
        "-Djavax.net.ssl.trustStorePassword=changeit",
        "-Djdk.http.auth.tunneling.disabledSchemes=",
    ]
    assert trust_env("/run/ca.pem", "/a", "/run/ca.jks", [], {})["JAVA_TOOL_OPTIONS"].startswith("-Djavax")


def test_a_truststore_whose_path_has_a_blank_is_one_option() -> None:
    options = trust_env("/b", "/a", "/a dir/t.jks", [], {})["JAVA_TOOL_OPTIONS"]
    assert options.startswith("'-Djavax.net.ssl.trustStore=/a dir/t.jks' -D")


def test_no_proxy_entries_have_the_spelling_each_reader_expects() -> None:
    entries = [parse_no_proxy(text) for text in ("*.corp.example", "Intranet", "[fd00::1]", "localhost")]
    variables = child_env(8080, "tok", [], no_proxy=entries)
    expected = "localhost,127.0.0.1,::1,.corp.example,intranet,fd00::1"
    assert variables["NO_PROXY"] == variables["no_proxy"] == expected
    assert variables["NONO_NO_PROXY"] == "localhost,127.0.0.1,::1,*.corp.example,intranet,fd00::1"


def test_the_route_of_many_hosts_has_only_a_phantom() -> None:
    wildcard = ServiceVariables(
        "many", base_urls=("MANY_URL",), is_reverse=False, phantoms={"MANY_KEY": "ph"}
    )
    variables = child_env(8080, "tok", [wildcard])
    assert variables["MANY_KEY"] == "ph"
    assert {"MANY_URL", "MANY_BASE_URL"}.isdisjoint(variables)


def test_a_proxy_on_another_address_without_a_password_is_found_too() -> None:
    variables = child_env(8080, None, [ServiceVariables("a")], address="::1")
    assert variables["HTTPS_PROXY"] == "http://[::1]:8080"
    assert variables["A_BASE_URL"] == "http://[::1]:8080/a"
    assert "NONO_PROXY_TOKEN" not in variables


def test_a_password_of_a_persons_own_is_escaped_in_the_url() -> None:
    assert child_env(8080, "a/b@c:d e", [])["HTTP_PROXY"] == "http://nono:a%2Fb%40c%3Ad%20e@127.0.0.1:8080"


def test_a_jvm_is_led_to_the_proxy_and_past_it_as_other_clients_are() -> None:
    """Java sends no token by itself, so there is none in what it prints when it starts."""
    options = java_options("127.0.0.1:8080", "localhost,::1,.corp.example", "-Xmx1g")
    assert options.startswith("-Xmx1g -Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=8080 -Dhttps.proxyHost=")
    assert options.endswith("'-Dhttp.nonProxyHosts=localhost|[::1]|*.corp.example'")


@pytest.mark.parametrize(
    ("inherited", "expected"), [("", "use-vc ndots:1"), ("ndots:2", "ndots:2 use-vc ndots:1")]
)
def test_options_of_the_resolver_are_kept(inherited: str, expected: str) -> None:
    assert resolver_options(inherited) == expected
