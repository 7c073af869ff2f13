"""Attacks on the proxy that need a real child: its environment, its trust bundle, its neighbours, its end."""

from __future__ import annotations

import base64
import os
import re
import signal
from pathlib import Path

import pytest

from support.canary import Canary
from support.clients.wire import AUTHORISED, connect, get, head, play, request
from support.nono_run import NonoRun, program
from support.ports import unused_port
from support.servers.http1 import HttpUpstream

KEY = "canary-of-the-real-key-Zq81"


def with_a_credential(port: int) -> dict[str, object]:
    """Return a profile that intercepts: its one service is at localhost:port."""
    service = {
        "upstream": f"https://localhost:{port}",
        "credential_key": "env://REAL_KEY",
        "env_var": "DEMO_KEY",
    }
    network = {"allow_domain": [], "credentials": ["demo"], "custom_credentials": {"demo": service}}
    return {"network": network}


def test_the_bundle_can_only_be_read(sandbox: NonoRun) -> None:
    """B37: no write, no file beside it, no private key in it, and nothing of it left afterwards."""
    run = sandbox.run(program("proxy.bundle"), profile=with_a_credential(9), environment={"REAL_KEY": KEY})
    told = run.outcomes()
    outcomes = told["attempts"]
    allowed = {name for name, outcome in outcomes.items() if outcome == "ok"}
    assert allowed == {"read", "write in the project"}
    assert set(outcomes.values()) - {"ok"} <= {"EACCES", "EPERM", "EROFS", "EXDEV"}
    assert "BEGIN CERTIFICATE" in told["bundle"]
    assert "PRIVATE KEY" not in told["bundle"]
    assert KEY not in run.stdout + run.stderr
    assert not Path(told["path"]).exists()
    assert not list(sandbox.user.home.rglob("*intercept*"))


def test_inherited_variables_lead_nobody_past_the_proxy(sandbox: NonoRun) -> None:
    """B36: whatever the caller's environment says of proxies and roots is replaced or gone, in both cases."""
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    hostile = {name: "http://evil.test:1" for each in names for name in (each, each.lower())}
    hostile |= dict.fromkeys(("NO_PROXY", "no_proxy"), "*")
    roots = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE")
    hostile |= dict.fromkeys(roots, "/nonexistent") | {"NONO_PROXY_TOKEN": "mine"}
    environment = hostile | {"REAL_KEY": KEY}
    run = sandbox.run(program("proxy.bundle"), profile=with_a_credential(9), environment=environment)
    inside = run.outcomes()["environment"]
    assert [name for name, value in inside.items() if "evil.test" in value] == []
    assert "/nonexistent" not in inside.values()
    assert inside["NONO_PROXY_TOKEN"] != "mine"
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        assert re.fullmatch(r"http://nono:[^@]+@127\.0\.0\.1:\d+", inside[name])
    for name in ("NO_PROXY", "no_proxy"):
        assert "*" not in inside[name].split(",")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"):
        assert inside[name] == inside["SSL_CERT_FILE"]
    assert Path(inside["NODE_EXTRA_CA_CERTS"]).parent == Path(inside["SSL_CERT_FILE"]).parent


@pytest.mark.parametrize(
    "name", ["HTTP_PROXY", "https_proxy", "NO_PROXY", "SSL_CERT_FILE", "NONO_PROXY_TOKEN"]
)
def test_a_profile_does_not_set_what_leads_to_the_proxy(sandbox: NonoRun, name: str) -> None:
    profile = {
        **with_a_credential(9),
        "environment": {"set_vars": {name: "http://evil.test:1", "OTHER": "set"}},
    }
    script = f'echo "${{{name}}}"; echo "$OTHER"'
    run = sandbox.run(["sh", "-c", script], profile=profile, environment={"REAL_KEY": KEY})
    if run.exit_code == 0:
        value, other = run.stdout.splitlines()
        assert (value != "http://evil.test:1", other) == (True, "set")
    else:
        assert name in run.stderr


def test_a_host_that_is_granted_for_some_paths_is_reached_in_no_other_way(
    sandbox: NonoRun, server: HttpUpstream
) -> None:
    """B8: other ports, other schemes, its address and a made-up service do not get around its paths."""
    here = b"localhost:%d" % server.port
    endpoints = [{"method": "GET", "path": "/open/**"}]
    scope = {"network": {"allow_domain": [{"domain": here.decode(), "endpoints": endpoints}]}}
    with Canary() as canary:
        other = b"localhost:%d" % canary.tcp("another port")
        literal = b"127.0.0.1:%d" % server.port
        scripts = {
            "granted": request(get(b"http://" + here + b"/open/x", host=here)),
            "another path": request(get(b"http://" + here + b"/closed", host=here)),
            "dots": request(get(b"http://" + here + b"/open/../closed", host=here)),
            "escaped dots": request(get(b"http://" + here + b"/open/%2e%2e/closed", host=here)),
            "another port": request(get(b"http://" + other + b"/open/x", host=other)),
            "its address": request(get(b"http://" + literal + b"/open/x", host=literal)),
            "a tunnel to another port": head(connect(other)),
            "a tunnel to ssh": head(connect(b"localhost:22")),
            "a tunnel to its address": head(connect(literal)),
            "a service of that name": request(
                b"GET /_ep_localhost/closed HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                + AUTHORISED
                + b"\r\n"
            ),
        }
        answers, run = play(sandbox, list(scripts.values()), profile=scope)
        assert canary.seen() == {}
    statuses = {name: answer.status for name, answer in zip(scripts, answers, strict=True)}
    assert statuses.pop("granted") == 200
    assert {name for name, status in statuses.items() if status not in (400, 403, 404)} == set()
    assert [each.target for each in server.requests] == [b"/open/x"]
    assert len(run.denied) == len(statuses)


def test_the_token_of_another_sandbox_opens_nothing(sandbox: NonoRun, server: HttpUpstream) -> None:
    """T19: both run at the same time, and the command of one has learned the token of the other."""
    granted = {"network": {"allow_domain": [f"localhost:{server.port}"]}}
    flags = [f"--allow-domain=localhost:{server.port}", f"--proxy-port={unused_port()}"]
    with sandbox.started(program("proxy.tell_token", "x"), flags=flags) as neighbour:
        assert neighbour.stdout is not None
        token = neighbour.stdout.readline().strip().encode()
        line = b"CONNECT localhost:%d HTTP/1.1\r\nHost: x\r\n" % server.port
        theirs = head(line + b"Proxy-Authorization: Basic " + token + b"\r\n\r\n")
        own = head(line + AUTHORISED + b"\r\n")
        answers, run = play(sandbox, [theirs, own], profile=granted)
    assert [answer.status for answer in answers] == [407, 200]
    assert [event["denial_category"] for event in run.denied] == ["authentication_failed"]
    assert base64.b64decode(token)


def test_what_was_decided_is_in_the_log_of_a_supervisor_that_was_killed(
    sandbox: NonoRun, server: HttpUpstream
) -> None:
    """B38: written before it is carried out, so that SIGKILL takes nothing that has happened along."""
    before = set(sandbox.logs())
    flags = [f"--allow-domain=localhost:{server.port}", f"--proxy-port={unused_port()}"]
    with sandbox.started(program("proxy.tell_token", f"localhost:{server.port}"), flags=flags) as nono:
        assert nono.stdin is not None
        assert nono.stdout is not None
        nono.stdout.readline()
        nono.stdin.write("go\n")
        nono.stdin.flush()
        assert nono.stdout.readline().startswith("HTTP/1.1 200 ")
        os.kill(nono.pid, signal.SIGKILL)
        nono.wait(60)
    events = [event["event"] for event in sandbox.events_since(before) if event["type"] == "network"]
    assert [(event["decision"], event["target"]) for event in events] == [("allow", "localhost")]
