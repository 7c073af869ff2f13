"""T21: no feature changes what another one closes, and an empty list means nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from support.clients.wire import connect, get, head, play, request
from support.nono_run import NonoRun, program
from support.servers.http1 import Authority, HttpUpstream, upstream

pytestmark = pytest.mark.any_user

KEY = "sk-canary-of-the-real-key"
ENVIRONMENT = {"DEMO_KEY": KEY}


@dataclass(frozen=True, slots=True)
class Services:
    """A credential's upstream, and a plain one that nobody has granted."""

    credentialed: HttpUpstream
    plain: HttpUpstream
    ca_file: str

    def network(self, **more: object) -> dict[str, object]:
        demo = {
            "upstream": f"https://localhost:{self.credentialed.port}/v1",
            "credential_key": "env://DEMO_KEY",
            "env_var": "DEMO_KEY",
            "tls_ca": self.ca_file,
        }
        return {"network": {"credentials": ["demo"], "custom_credentials": {"demo": demo}, **more}}


@pytest.fixture
def services(sandbox: NonoRun) -> Iterator[Services]:
    ca_file = sandbox.user.home / "ca.pem"
    authority = Authority(str(ca_file))
    with upstream(tls=authority.server_context("localhost")) as credentialed, upstream() as plain:
        yield Services(credentialed, plain, str(ca_file))


WITH_KEY = (
    b"GET /demo/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer $PHANTOM\r\n\r\n"
)


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({}, id="credential alone"),
        pytest.param({"allow_domain": []}, id="empty allow list"),
        pytest.param({"allow_domain": ["example.test"]}, id="another host allowed"),
    ],
)
def test_a_credential_opens_only_its_own_route(
    more: Mapping[str, object], sandbox: NonoRun, services: Services
) -> None:
    upstream_host, plain = b"localhost:%d" % services.credentialed.port, b"localhost:%d" % services.plain.port
    scripts = [
        request(WITH_KEY),
        head(connect(upstream_host)),
        head(connect(plain)),
        request(get(b"http://" + plain + b"/", host=plain)),
        request(WITH_KEY.replace(b"$PHANTOM", KEY.encode()[::-1])),
    ]
    answers, run = play(sandbox, scripts, profile=services.network(**more), environment=ENVIRONMENT)
    # The CONNECT is answered, and what comes through it would be looked at; this client says nothing more.
    assert [answer.status for answer in answers] == [200, 200, 403, 403, 401]
    [received] = services.credentialed.requests
    assert received.values(b"authorization") == [f"Bearer {KEY}".encode()]
    assert services.plain.connections == []
    assert KEY not in run.stdout + run.stderr
    categories = sorted(str(event["denial_category"]) for event in run.denied)
    assert categories == ["authentication_failed", "host_denied", "host_denied", "intercept_handshake_failed"]


@pytest.mark.needs("listener")
def test_a_credential_does_not_open_the_way_past_the_proxy(sandbox: NonoRun, services: Services) -> None:
    ports = [services.credentialed.port, services.plain.port]
    asked = json.dumps([["tcp", "127.0.0.1", ports[0]], ["tcp6", "::ffff:127.0.0.1", ports[1]]])
    run = sandbox.run(
        program("sockets.addresses", asked), profile=services.network(), environment=ENVIRONMENT
    )
    assert set(run.outcomes().values()) == {"EACCES"}
    assert services.credentialed.connections == services.plain.connections == []
    assert run.denied_targets() == {("127.0.0.1", port) for port in ports}


def test_a_denied_host_is_denied_to_its_credential_as_well(sandbox: NonoRun, services: Services) -> None:
    profile = services.network(deny_domain=["localhost"])
    [answer], run = play(sandbox, [request(WITH_KEY)], profile=profile, environment=ENVIRONMENT)
    assert answer.status == 403
    assert services.credentialed.connections == []
    assert [event["denial_category"] for event in run.denied] == ["host_denied"]


def test_a_credential_that_cannot_be_read_injects_nothing(sandbox: NonoRun, services: Services) -> None:
    optional = services.network(credentials=[], optional_credentials=["demo"])
    [answer], run = play(sandbox, [request(WITH_KEY)], profile=optional)
    assert answer.status == 503
    assert services.credentialed.connections == []
    assert [event["denial_category"] for event in run.denied] == ["managed_credential_unavailable"]


@pytest.mark.parametrize(
    ("profile", "flags"),
    [
        pytest.param({"network": {"block": True, "credentials": ["openai"]}}, (), id="profile"),
        pytest.param({"network": {"block": True}}, ("--credential=openai",), id="credential flag"),
        pytest.param({}, ("--block-net", "--credential=openai"), id="two flags"),
        pytest.param({}, ("--block-net", "--allow-domain=localhost"), id="allowed host"),
    ],
)
def test_a_blocked_network_is_not_opened_again(
    profile: Mapping[str, object], flags: tuple[str, ...], sandbox: NonoRun
) -> None:
    run = sandbox.run(["echo", "started"], profile=profile, flags=flags)
    assert run.exit_code != 0
    assert "started" not in run.stdout
    assert "--block-net" in run.stderr


@pytest.mark.parametrize("asked", [{"credentials": ["openai"]}, {"allow_domain": ["localhost"]}], ids=str)
def test_the_flag_blocks_whatever_the_profile_asks_for(asked: Mapping[str, object], sandbox: NonoRun) -> None:
    code = "import os, socket; print('HTTP_PROXY' in os.environ); socket.socket()"
    command = ["/usr/bin/python3", "-I", "-c", code]
    blocked = sandbox.run(command, profile={"network": asked}, flags=["--block-net"])
    assert blocked.stdout == "False\n"
    assert "Operation not permitted" in blocked.stderr


@pytest.mark.parametrize(
    ("network", "outcome"),
    [
        pytest.param({"block": True}, "EPERM", id="blocked"),
        pytest.param(
            {"block": True, "deny_domain": ["example.test"]}, "EACCES", id="blocked, with a denied host"
        ),
        pytest.param({"allow_domain": []}, "EACCES", id="empty allow list"),
        pytest.param({"deny_domain": ["example.test"]}, "EACCES", id="a denied host alone"),
        pytest.param({"deny_private": True}, "EACCES", id="private addresses denied alone"),
        pytest.param({}, "ok", id="nothing asked for"),
    ],
)
def test_every_wish_for_a_filter_closes_the_direct_way(
    network: Mapping[str, object], outcome: str, sandbox: NonoRun
) -> None:
    with upstream() as server:
        asked = json.dumps([["tcp", "127.0.0.1", server.port]])
        run = sandbox.run(program("sockets.addresses", asked), profile={"network": network})
        assert run.outcomes() == {"tcp 127.0.0.1": outcome}


@pytest.mark.parametrize("granted", [False, True], ids=["empty allow list", "allowed"])
def test_an_empty_allow_list_allows_nothing(granted: bool, sandbox: NonoRun) -> None:
    with upstream() as server:
        host = b"localhost:%d" % server.port
        allow = [host.decode()] if granted else []
        scripts = [head(connect(host)), request(get(b"http://" + host + b"/", host=host))]
        answers, run = play(sandbox, scripts, profile={"network": {"allow_domain": allow}})
        assert [answer.status for answer in answers] == ([200, 200] if granted else [403, 403])
        assert bool(server.requests) == granted
        assert len(run.denied) == (0 if granted else 2)


@pytest.mark.needs("listener")
def test_a_port_to_listen_on_is_no_port_to_connect_to(sandbox: NonoRun) -> None:
    with upstream() as server:
        asked = json.dumps([["tcp", "127.0.0.1", server.port]])
        run = sandbox.run(program("sockets.addresses", asked), flags=[f"--listen-port={server.port}"])
        assert run.outcomes() == {"tcp 127.0.0.1": "EACCES"}
        assert server.connections == []
    assert run.denied_targets() == {("127.0.0.1", server.port)}
