"""T1, T3, T17, T18: a tunnel leads where it was asked to, and nobody without the token gets one."""

from __future__ import annotations

import base64
import socket
from collections.abc import Mapping

import pytest

from support.canary import Canary
from support.clients.wire import AUTHORISED, Steps, connect, get, head, play, request, send
from support.nono_run import SANDBOX_POLICIES, NonoRun, program
from support.ports import unused_port
from support.servers.http1 import HttpUpstream, upstream

pytestmark = pytest.mark.any_user

ACCESS_DENIED = bytes((21, 3, 3, 0, 2, 2, 49))  # a fatal TLS alert, RFC 8446 section 6
WRONG_TOKEN = base64.b64encode(b"nono:" + b"0" * 64)


def granted(server: HttpUpstream, **more: object) -> dict[str, object]:
    return {"network": {"allow_domain": [f"localhost:{server.port}"], **more}}


def tunnel(server: HttpUpstream, *steps: list[str | int]) -> Steps:
    return [*head(connect(b"localhost:%d" % server.port)), *steps]


def raw_bytes(server: HttpUpstream) -> bytes:
    """Return what reached the upstream, over all its connections, once they have ended."""
    server.close()
    return b"".join(connection.raw for connection in server.connections)


@pytest.mark.parametrize(
    ("name", "step"),
    [
        pytest.param("another name", ["hello", "evil.test"], id="fronting"),
        pytest.param("a longer name", ["hello", "localhost.evil.test"], id="longer name"),
        pytest.param("no name", ["hello", ""], id="no server name"),
        pytest.param("ssh", send(b"SSH-2.0-OpenSSH_9.9\r\n"), id="ssh"),
        pytest.param("http", send(b"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n"), id="plain http"),
        pytest.param("h2c", send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), id="h2c preface"),
        pytest.param("connect", send(b"CONNECT evil.test:443 HTTP/1.1\r\n\r\n"), id="CONNECT inside"),
        pytest.param("ssl2", send(bytes((0x80, 0x2E, 1, 0, 2))), id="SSL 2"),
        pytest.param("alert", send(bytes((21, 3, 1, 0, 2, 1, 0))), id="an alert first"),
        pytest.param("endless", send(bytes((22, 3, 1, 0xFF, 0xFF)) + bytes(70000)), id="endless hello"),
    ],
)
def test_a_tunnel_carries_nothing_but_tls_for_its_host(
    name: str, step: list[str | int], sandbox: NonoRun, server: HttpUpstream
) -> None:
    [answer], run = play(sandbox, [tunnel(server, step, ["read"])], profile=granted(server))
    # Behind the alert there may be a reset, where more was sent than the proxy cared to read.
    assert ACCESS_DENIED in answer.raw[-40:], name
    assert raw_bytes(server) == b""
    assert run.denied_targets() == {("localhost", server.port)}
    assert {event["rule"] for event in run.denied} == {"server name"}


@pytest.mark.parametrize("spelling", ["localhost", "LocalHost"])
def test_a_hello_for_the_host_itself_passes(spelling: str, sandbox: NonoRun, server: HttpUpstream) -> None:
    hello_then_end: Steps = [["hello", spelling], send(b"\r\n\r\n"), ["read_head"]]
    [answer], run = play(sandbox, [tunnel(server, *hello_then_end)], profile=granted(server))
    assert raw_bytes(server).startswith(bytes((22, 3)))
    assert answer.statuses == [200, 200]  # the proxy's, and the upstream's to what it was sent
    assert run.denied == []


def test_a_raw_tunnel_is_raw_for_its_own_port_only(sandbox: NonoRun, server: HttpUpstream) -> None:
    with upstream() as other:
        profile = {
            "network": {
                "allow_domain": ["localhost"],
                "raw_tunnels": [f"localhost:{server.port}"],
            }
        }
        message = b"GET /raw HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        scripts = [[*head(connect(b"localhost:%d" % each.port)), *head(message)] for each in (server, other)]
        answers, run = play(sandbox, scripts, profile=profile)
        assert answers[0].statuses == [200, 200]
        assert answers[1].raw.endswith(ACCESS_DENIED)
        assert raw_bytes(server) == message
        assert raw_bytes(other) == b""
        assert run.denied_targets() == {("localhost", other.port)}


ANOTHER_TOKEN = b"Proxy-Authorization: Basic " + WRONG_TOKEN + b"\r\n"
NO_TOKEN = {"no token": b"", "Authorization": b"Authorization: Basic $TOKEN\r\n"}
WRONG_TOKENS = {
    "another token": ANOTHER_TOKEN,
    "Bearer": b"Proxy-Authorization: Bearer $TOKEN\r\n",
    "no scheme": b"Proxy-Authorization: $TOKEN\r\n",
    "empty": b"Proxy-Authorization:\r\n",
    "user and no password": b"Proxy-Authorization: Basic " + base64.b64encode(b"nono:") + b"\r\n",
}
# Where the kernel says that the command asks, a request without a token is served, and one with another is
# not: tests/attacks/test_own_connections.py.
BAD_TOKENS = [
    *(pytest.param(policy, WRONG_TOKENS, "authentication_failed", id=policy) for policy in SANDBOX_POLICIES),
    pytest.param(
        "landlock",
        NO_TOKEN,
        "authentication_required",
        id="landlock, none",
        marks=pytest.mark.skipif("landlock" not in SANDBOX_POLICIES, reason="Landlock holds no ports"),
    ),
]


def unauthorised(server: HttpUpstream, fields: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the same two requests with each of the fields in place of the token."""
    host = b"localhost:%d" % server.port
    opening = b"CONNECT " + host + b" HTTP/1.1\r\nHost: " + host + b"\r\n"
    return {f"CONNECT, {name}": opening + line + b"\r\n" for name, line in fields.items()} | {
        f"http, {name}": get(b"http://" + host + b"/", host=host, authorised=False, more=line)
        for name, line in fields.items()
    }


@pytest.mark.parametrize(("policy", "fields", "category"), BAD_TOKENS)
def test_nobody_without_the_token_is_served(
    policy: str, fields: Mapping[str, bytes], category: str, sandbox: NonoRun, server: HttpUpstream
) -> None:
    requests = unauthorised(server, fields)
    scripts = [head(each) for each in requests.values()]
    answers, run = play(sandbox, scripts, profile=granted(server), flags=[f"--sandbox-policy={policy}"])
    statuses = dict(zip(requests, (answer.status for answer in answers), strict=True))
    assert statuses == dict.fromkeys(requests, 407)
    assert raw_bytes(server) == b""
    assert [event["denial_category"] for event in run.denied] == [category] * len(requests)


def test_plain_http_is_judged_like_a_tunnel(sandbox: NonoRun, server: HttpUpstream) -> None:
    """T17: the same token and the same hosts; the upstream sees neither the token nor the proxy's fields."""
    host = b"localhost:%d" % server.port
    with Canary() as canary:
        other = b"localhost:%d" % canary.tcp("another port")
        scripts = [
            request(get(b"http://" + host + b"/page", host=host)),
            request(get(b"http://" + other + b"/", host=other)),
            request(get(b"http://" + host + b"/", host=b"evil.test")),
            request(get(b"https://" + host + b"/", host=host)),
            request(get(b"http://" + host + b"/", host=host, more=b"Host: evil.test\r\n")),
        ]
        answers, run = play(sandbox, scripts, profile=granted(server))
        assert canary.seen() == {}
    assert [answer.status for answer in answers] == [200, 403, 400, 400, 400]
    [received] = server.requests
    assert received.target == b"/page"
    assert received.value(b"host") == host
    assert received.value(b"proxy-authorization") is None
    assert sorted(event["status"] for event in run.denied) == [400, 400, 400, 403]


@pytest.mark.parametrize(("policy", "fields", "category"), BAD_TOKENS)
def test_a_later_request_on_a_connection_is_judged_like_the_first(
    policy: str, fields: Mapping[str, bytes], category: str, sandbox: NonoRun, server: HttpUpstream
) -> None:
    host = b"localhost:%d" % server.port
    good = b"GET http://" + host + b"/%d HTTP/1.1\r\nHost: " + host + b"\r\n" + AUTHORISED + b"\r\n"
    bad = [
        b"GET http://" + host + b"/2 HTTP/1.1\r\nHost: " + host + b"\r\n" + each + b"\r\n"
        for each in fields.values()
    ]
    elsewhere = b"GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n" + AUTHORISED + b"\r\n"
    later = [step for each in bad for step in head(each)]
    steps = [*head(good % 1), *later, *head(elsewhere), *head(good % 3)]
    [answer], run = play(sandbox, [steps], profile=granted(server), flags=[f"--sandbox-policy={policy}"])
    assert answer.statuses == [200, *[407] * len(bad), 403, 200]
    assert [received.target for received in server.requests] == [b"/1", b"/3"]
    categories = [event["denial_category"] for event in run.denied]
    assert sorted(categories) == sorted([*[category] * len(bad), "host_denied"])


@pytest.mark.needs("listener")
def test_a_foreign_connection_is_refused_even_with_the_token(sandbox: NonoRun, server: HttpUpstream) -> None:
    """T18: the token was printed by the command, and somebody else on this host uses it."""
    port = unused_port()
    flags = [f"--proxy-port={port}", f"--allow-domain=localhost:{server.port}"]
    before = set(sandbox.logs())
    with sandbox.started(program("proxy.tell_token", f"localhost:{server.port}"), flags=flags) as nono:
        assert nono.stdin is not None
        assert nono.stdout is not None
        token = nono.stdout.readline().strip().encode()
        line = connect(b"localhost:%d" % server.port).replace(b"$TOKEN", token)
        with socket.create_connection(("127.0.0.1", port), 20) as stranger:
            stranger.sendall(line)
            assert stranger.recv(65536).startswith(b"HTTP/1.1 403 ")
        assert server.connections == []
        nono.stdin.write("go\n")
        nono.stdin.flush()
        # The control: the same bytes from inside.
        assert nono.stdout.readline().startswith("HTTP/1.1 200 ")
        nono.stdin.close()
        assert nono.wait(60) == 0
    events = [event["event"] for event in sandbox.events_since(before) if event["type"] == "network"]
    assert [event["decision"] for event in events] == ["deny", "allow"]
    assert events[0]["reason"] == "this connection was not made by the sandboxed command"


def test_the_token_is_in_neither_command_line_nor_log(sandbox: NonoRun, server: HttpUpstream) -> None:
    script = 'echo "$NONO_PROXY_TOKEN"; for each in /proc/[0-9]*/cmdline; do cat "$each" 2>&1; done; true'
    run = sandbox.run(["sh", "-c", script], profile=granted(server))
    token, _, rest = run.stdout.partition("\n")
    assert len(token) >= 32
    assert token not in rest + run.stderr
    for log in (sandbox.user.home / ".local/state/nono").rglob("*"):
        assert not log.is_file() or token.encode() not in log.read_bytes()


def test_a_token_ends_with_its_run(sandbox: NonoRun, server: HttpUpstream) -> None:
    first = sandbox.run(["sh", "-c", 'echo "$NONO_PROXY_TOKEN"'], profile=granted(server)).stdout.strip()
    old = base64.b64encode(b"nono:" + first.encode())
    line = b"Proxy-Authorization: Basic " + old + b"\r\n"
    request_line = b"CONNECT localhost:%d HTTP/1.1\r\nHost: x\r\n" % server.port
    scripts = [head(request_line + line + b"\r\n"), head(request_line + AUTHORISED + b"\r\n")]
    answers, _ = play(sandbox, scripts, profile=granted(server))
    assert [answer.status for answer in answers] == [407, 200]
