"""`nono run` behind a corporate proxy: every way out goes through it, and its password stays outside."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping

import pytest

from support.clients.run import Stage, let_through, refused_by_proxy, service, stage
from support.nono_run import Ended
from support.servers.connect_proxy import connect_proxy
from support.servers.http1 import HttpUpstream, Received, upstream
from support.servers.squid import PASSWORD, SQUID, USER, Squid, squid

pytestmark = [
    pytest.mark.skipif(SQUID is None, reason="squid is not installed"),
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]

HOST = "api.far.test"  # a name that nobody but squid knows
REAL_KEY = "sk-canary-of-far"
CORPORATE = f"{USER}:{PASSWORD}"


@pytest.fixture(scope="module")
def made() -> Iterator[Stage]:
    with stage() as made:
        yield made


@pytest.fixture(scope="module")
def behind() -> Iterator[Squid]:
    with squid({HOST: "127.0.0.1", "other.far.test": "127.0.0.1"}, password=True) as behind:
        yield behind


@pytest.fixture
def server(made: Stage) -> Iterator[HttpUpstream]:
    with upstream(tls=made.authority.server_context(HOST, "other.far.test")) as server:
        yield server


def far(made: Stage, port: int) -> dict[str, str]:
    """Return a service at HOST."""
    entry = service(port, "REAL", made.authority, env_var="FAR_KEY")
    return {**entry, "upstream": f"https://{HOST}:{port}"}


def run(
    made: Stage, behind: Squid, script: str, network: Mapping[str, object], *, auth: bool = True
) -> Ended:
    proxy = {"address": behind.address, "auth": "env://CORPORATE"} if auth else behind.address
    return made.nono(
        ["sh", "-c", script],
        network={"upstream_proxy": proxy, **network},
        environment={"REAL": REAL_KEY, "CORPORATE": CORPORATE},
    )


WITH_PHANTOM = 'curl -sS -H "Authorization: Bearer $FAR_KEY"'


@pytest.mark.parametrize("way", ["intercepted", "reverse"])
def test_a_key_is_injected_behind_it(made: Stage, behind: Squid, server: HttpUpstream, way: str) -> None:
    url = f"https://{HOST}:{server.port}/x" if way == "intercepted" else "$FAR_BASE_URL/x"
    network = {"credentials": ["far"], "custom_credentials": {"far": far(made, server.port)}}
    asked = len(behind.asked())
    ended = run(made, behind, f"{WITH_PHANTOM} {url}", network)
    assert (ended.exit_code, ended.stdout) == (0, "ok"), ended.stderr
    assert [request.value(b"authorization") for request in server.requests] == [f"Bearer {REAL_KEY}".encode()]
    assert behind.asked()[asked:] == [("CONNECT", f"{HOST}:{server.port}", 200)]


def test_without_its_password_nothing_gets_out(made: Stage, behind: Squid, server: HttpUpstream) -> None:
    network = {"credentials": ["far"], "custom_credentials": {"far": far(made, server.port)}}
    ended = run(made, behind, f"{WITH_PHANTOM} -i $FAR_BASE_URL/x", network, auth=False)
    assert " 502 " in ended.stdout.splitlines()[0]
    assert "it wants a user and a password" in ended.stdout
    assert ("external_proxy_rejected", "far") in refused_by_proxy(ended)
    assert server.connections == []


def test_a_tunnel_leads_through_it_to_a_granted_host_only(
    made: Stage, behind: Squid, server: HttpUpstream
) -> None:
    get = f"curl -sS --cacert {made.authority.ca_file}"
    script = f"{get} https://{HOST}:{server.port}/; {get} https://other.far.test:{server.port}/"
    asked = len(behind.asked())
    ended = run(made, behind, script, {"allow_domain": [HOST]})
    assert ended.stdout == "ok"
    assert "403" in ended.stderr
    assert let_through(ended) == [("external", HOST)]
    assert refused_by_proxy(ended) == [("host_denied", "other.far.test")]
    assert behind.asked()[asked:] == [("CONNECT", f"{HOST}:{server.port}", 200)]


def test_an_access_token_is_fetched_through_it(made: Stage, behind: Squid) -> None:
    def answer(request: Received) -> None:
        request.read_body()
        if request.target == b"/token":
            token = json.dumps({"access_token": "at-canary", "expires_in": 3600}).encode()
            request.connection.respond(200, token, [("Content-Type", "application/json")])
        else:
            request.connection.respond()

    with upstream(answer, made.authority.server_context(HOST)) as server:
        entry = {key: value for key, value in far(made, server.port).items() if key != "credential_key"}
        entry |= {"env_var": "FAR_KEY"}
        auth = {
            "token_url": f"https://{HOST}:{server.port}/token",
            "client_id": "env://REAL",
            "client_secret": "env://REAL",
        }
        network = {"credentials": ["far"], "custom_credentials": {"far": {**entry, "auth": auth}}}
        asked = len(behind.asked())
        ended = run(made, behind, f"{WITH_PHANTOM} -i $FAR_BASE_URL/x", network)
        # The token endpoint's certificate is nobody's that the system knows: what counts is who was asked.
        assert ("CONNECT", f"{HOST}:{server.port}", 200) in behind.asked()[asked:], ended.stdout


def test_http2_goes_through_it(made: Stage, behind: Squid, server: HttpUpstream) -> None:
    network = {
        "credentials": ["far"],
        "custom_credentials": {"far": far(made, server.port)},
        "allow_http2": True,
    }
    asked = len(behind.asked())
    url = f"https://{HOST}:{server.port}/x"
    ended = run(made, behind, f"{WITH_PHANTOM} --http2 -w '%{{http_version}}' {url}", network)
    assert (ended.exit_code, ended.stdout) == (0, "ok2"), ended.stderr
    assert behind.asked()[asked:] == [("CONNECT", f"{HOST}:{server.port}", 200)]


def test_a_bypassed_host_is_dialled_from_here(made: Stage, behind: Squid) -> None:
    """Here nobody knows the name, so it is not reached; behind the proxy it would have been."""
    network = {"allow_domain": [HOST], "upstream_bypass": ["*.far.test"]}
    ended = run(made, behind, f"curl -sS https://{HOST}/", network)
    assert "502" in ended.stderr
    refused = [event for event in ended.denied if event["target"] == HOST]
    assert [(event["mode"], event["reason"]) for event in refused] == [
        ("connect", f"no address was found for {HOST}")
    ]
    assert let_through(ended) == []


def test_its_address_is_not_for_the_command(made: Stage, behind: Squid) -> None:
    script = f"curl -sS -x http://{behind.address} http://{HOST}/; curl -sS -i $HTTP_PROXY/; curl -sS http://localhost:{behind.port}/"
    ended = run(made, behind, script, {"allow_domain": [HOST, f"localhost:{behind.port}"]})
    assert ("network.proxy_only", "127.0.0.1") in [
        (event.get("rule"), event["target"]) for event in ended.denied
    ]
    assert ("upstream proxy", "localhost") in [(event.get("rule"), event["target"]) for event in ended.denied]
    assert let_through(ended) == []


def test_its_password_is_nowhere_that_the_command_can_see(made: Stage, behind: Squid) -> None:
    ended = run(made, behind, "env; curl -sSi http://unknown.far.test/", {"allow_domain": ["*.far.test"]})
    assert "HTTPS_PROXY=" in ended.stdout
    assert "CORPORATE" not in ended.stdout
    assert PASSWORD not in ended.stdout + ended.stderr + json.dumps(ended.events)


def test_a_password_that_is_not_there_is_told_before_the_start(made: Stage) -> None:
    proxy = {"address": "127.0.0.1:3128", "auth": "env://NOWHERE"}
    ended = made.nono(["true"], network={"upstream_proxy": proxy}, environment={})
    assert ended.exit_code != 0
    assert "the password of the upstream proxy 127.0.0.1:3128" in ended.stderr


def test_a_password_in_a_file_that_the_command_may_read_is_refused(made: Stage) -> None:
    file = made.project / "password"
    file.write_text(CORPORATE)
    file.chmod(0o600)
    made.runner.give(file)
    proxy = {"address": "127.0.0.1:3128", "auth": f"file://{file}"}
    ended = made.nono(["true"], network={"upstream_proxy": proxy}, environment={})
    assert ended.exit_code != 0
    assert "the command would hold the key itself" in ended.stderr


def test_the_flag_takes_the_place_of_the_profiles(made: Stage) -> None:
    with upstream() as server, connect_proxy({f"{HOST}:{server.port}": server.port}) as ours:
        ended = made.runner.run(
            ["curl", "-sS", f"http://{HOST}:{server.port}/"],
            profile={"network": {"allow_domain": [HOST], "upstream_proxy": "127.0.0.1:1"}},
            flags=[f"--upstream-proxy=127.0.0.1:{ours.port}"],
        )
        assert ended.stdout == "ok", ended.stderr
        assert ours.targets == [f"{HOST}:{server.port}"]
