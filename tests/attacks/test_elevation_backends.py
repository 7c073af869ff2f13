"""Elevation in a run with a proxy, answered by a webhook: one listener serves sockets and opens together."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nono.supervisor.opens.handler import WAITING_MAX
from support.elevation import as_user, asked, python
from support.nono_run import NONO, Ended, NonoRun
from support.running import fork_server
from support.servers.http1 import upstream
from support.servers.webhook import WebhookServer, saying, webhook_server

CANARY = "canary of a file outside"

# Opens in a thread, and meanwhile asks the proxy for a host that it refuses.
BOTH = """
import os, socket, sys, threading, urllib.parse
proxy = urllib.parse.urlsplit(os.environ["HTTPS_PROXY"])
def read():
    try:
        print("file:", open(sys.argv[1]).read(), flush=True)
    except OSError as error:
        print("file:", error.strerror, flush=True)
thread = threading.Thread(target=read)
thread.start()
def ask():
    with socket.create_connection((proxy.hostname, proxy.port)) as client:
        client.sendall(b"CONNECT elsewhere.example:443 HTTP/1.1\\r\\nHost: elsewhere.example:443\\r\\n\\r\\n")
        return client.recv(100).split()[1].decode()
print("proxy:", ask(), flush=True)
sys.stdin.readline()
print("proxy:", ask(), flush=True)
thread.join()
"""


@pytest.fixture
def outside(sandbox: NonoRun) -> Iterator[Path]:
    file = sandbox.user.home / "outside"
    file.write_text(CANARY)
    sandbox.give(file)
    yield file
    file.unlink()


def profile_of(server: WebhookServer, **more: object) -> dict[str, Any]:
    backends = {"phone": {"type": "webhook", "url": server.url}}
    return {
        "security": {"capability_elevation": True, "approval_backends": backends} | more,
        "network": {"allow_domain": []},
    }


def run(sandbox: NonoRun, server: WebhookServer, command: list[str], **more: object) -> Ended:
    environment = {"SSL_CERT_FILE": str(server.ca_file), "LC_ALL": "C"}
    return sandbox.run(command, profile=profile_of(server, **more), environment=environment)


def decisions(ended: Ended) -> list[Any]:
    return [
        (event["entry"]["backend"], event["entry"]["decision"])
        for event in ended.events
        if event["type"] == "capability_decision"
    ]


@pytest.mark.needs("listener")
def test_a_webhook_grants_a_file_without_a_terminal(sandbox: NonoRun, outside: Path) -> None:
    with webhook_server(saying("grant"), sandbox.user.home) as server:
        ended = run(sandbox, server, ["cat", str(outside)])
    assert (ended.exit_code, ended.stdout) == (0, CANARY)
    assert decisions(ended) == [("phone", "Requested"), ("phone", "Granted")]
    [question] = server.asked
    assert question["request"]["path"] == str(outside)
    assert "ask  files beyond the grants, through the webhook 'phone' at localhost" in ended.stderr


@pytest.mark.needs("listener")
@as_user
def test_a_webhook_that_says_no_or_is_not_there_grants_nothing(sandbox: NonoRun, outside: Path) -> None:
    with webhook_server(saying("deny"), sandbox.user.home) as server:
        said_no = run(sandbox, server, ["cat", str(outside)])
    assert (said_no.exit_code, said_no.stdout) == (1, "")
    assert decisions(said_no)[1] == ("phone", {"Denied": {"reason": "the webhook said no"}})
    gone = run(sandbox, server, ["cat", str(outside)])
    assert (gone.exit_code, gone.stdout) == (1, "")
    assert "cannot be reached" in decisions(gone)[1][1]["Denied"]["reason"]


@pytest.mark.needs("listener")
def test_the_proxy_goes_on_serving_while_a_question_is_open(sandbox: NonoRun, outside: Path) -> None:
    with webhook_server(saying("grant"), sandbox.user.home, holds=True) as server:
        environment = {"SSL_CERT_FILE": str(server.ca_file), "LC_ALL": "C"}
        with fork_server.start(
            sandbox.argv(python(BOTH, outside), profile=profile_of(server)),
            env=sandbox.user.environment(environment),
            cwd=sandbox.project,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdin is not None
            assert process.stdout.readline() == "proxy: 403\n"
            assert server.began.wait(20)
            process.stdin.write("go\n")
            process.stdin.flush()
            assert process.stdout.readline() == "proxy: 403\n"
            server.may.set()
            assert process.stdout.readline() == f"file: {CANARY}\n"
        assert process.returncode == 0


MANY = """
import collections, sys, threading
opened, refused = collections.Counter(), threading.Semaphore(0)
def read():
    try:
        opened[open(sys.argv[1]).read()] += 1
    except PermissionError as error:
        opened[error.strerror] += 1
        refused.release()
threads = [threading.Thread(target=read) for _ in range(int(sys.argv[2]))]
for thread in threads:
    thread.start()
for _ in range(int(sys.argv[3])):
    refused.acquire()
print("refused", flush=True)
for thread in threads:
    thread.join()
print(*sorted(opened.items()))
"""


@pytest.mark.needs("listener")
def test_there_is_an_end_to_the_opens_that_wait_for_an_answer(sandbox: NonoRun, outside: Path) -> None:
    """Each keeps a descriptor of the supervisor open."""
    with webhook_server(saying("grant"), sandbox.user.home, holds=True) as server:
        environment = {"SSL_CERT_FILE": str(server.ca_file), "LC_ALL": "C"}
        before = set(sandbox.logs())
        with fork_server.start(
            sandbox.argv(python(MANY, outside, str(WAITING_MAX + 3), "3"), profile=profile_of(server)),
            env=sandbox.user.environment(environment),
            cwd=sandbox.project,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "refused\n"
            server.may.set()
            said = process.stdout.readline()
        assert said == f"('Operation not permitted', 3) ('{CANARY}', {WAITING_MAX})\n"
        reasons = [
            str(event) for event in sandbox.events_since(before) if "too many opens wait" in str(event)
        ]
    assert reasons


PAY = """
import os, urllib.error, urllib.request
headers = {"Authorization": "Bearer " + os.environ["SHOP_KEY"]}
request = urllib.request.Request(os.environ["SHOP_BASE_URL"] + "/pay", b"{}", headers)
try:
    print(urllib.request.urlopen(request).status)
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
"""


@as_user
@pytest.mark.parametrize("word", ["grant", "deny"])
def test_a_request_to_an_endpoint_is_asked_about_in_the_same_way(sandbox: NonoRun, word: str) -> None:
    with upstream() as shop, webhook_server(saying(word), sandbox.user.home) as server:
        profile = profile_of(server, capability_elevation=False)
        profile["network"]["credentials"] = ["shop"]
        profile["network"]["custom_credentials"] = {
            "shop": {
                "upstream": f"http://127.0.0.1:{shop.port}",
                "credential_key": "env://SHOP_KEY",
                "endpoint_policy": {
                    "approve": [{"method": "POST", "path": "/pay", "reason": "it costs money"}]
                },
            }
        }
        environment = {"SSL_CERT_FILE": str(server.ca_file), "SHOP_KEY": "the-real-key", "LC_ALL": "C"}
        ended = sandbox.run(python(PAY), profile=profile, environment=environment)
    [question] = [each["request"] for each in server.asked]
    assert (question["method"], question["path"], question["reason"]) == (
        "POST",
        "/shop/pay",
        "it costs money",
    )
    approvals = [event["decision"] for event in ended.network if event["decision"].startswith("approve")]
    if word == "grant":
        assert ended.stdout == "200\n"
        assert [b"Bearer the-real-key" in request.head for request in shop.requests] == [True]
        assert approvals == ["approve_requested", "approve_granted"]
    else:
        assert ended.stdout.startswith("403 ")
        assert "was not approved: the webhook said no" in ended.stdout
        assert shop.requests == []
        assert approvals == ["approve_requested", "approve_denied"]


@as_user
@pytest.mark.parametrize(("keys", "status"), [(b"y\n", b"200"), (b"n\n", b"403")])
def test_a_request_is_asked_about_on_the_terminal_of_the_command(
    sandbox: NonoRun, keys: bytes, status: bytes
) -> None:
    """The command stands still meanwhile; its request waits in the proxy."""
    with upstream() as shop:
        custom = {
            "upstream": f"http://127.0.0.1:{shop.port}",
            "credential_key": "env://SHOP_KEY",
            "endpoint_policy": {"approve": [{"method": "*", "path": "/pay"}]},
        }
        profile = {"network": {"credentials": ["shop"], "custom_credentials": {"shop": custom}}}
        environment = {"SHOP_KEY": "the-real-key"}
        with asked(sandbox, python(PAY), profile=profile, elevates=False, environment=environment) as run:
            run.answer(keys)
            run.end()
        assert len(shop.requests) == (1 if keys == b"y\n" else 0)
    assert b"[nono]   Upstream: 127.0.0.1" in run.person.shown
    assert b"ask  * /pay, on the terminal" in run.person.shown
    assert b"\n" + status in run.person.shown


@pytest.mark.needs("listener")
@as_user
def test_a_dry_run_says_what_is_asked_about(sandbox: NonoRun) -> None:
    dry = sandbox.run(["true"], profile={}, flags=["--capability-elevation", "--dry-run"])
    assert "ask  files beyond the grants, on the terminal" in dry.stderr
    assert "ask  " not in sandbox.run(["true"], profile={}, flags=["--dry-run"]).stderr


@pytest.mark.needs("listener")
@as_user
def test_why_says_what_is_asked_about(sandbox: NonoRun, outside: Path) -> None:
    why = [*NONO, "why", "--json", "--path", str(outside)]
    asked_about = sandbox.user.run([*why, "--capability-elevation"])
    assert json.loads(asked_about.stdout)["status"] == "approval_required"
    assert json.loads(sandbox.user.run(why).stdout)["status"] == "denied"


MISTAKES = {
    "cycle": ({"a": {"type": "chain", "backends": ["a"]}}, None, "the chain leads back to itself"),
    "url": ({"a": {"type": "webhook", "url": "http://phone.example"}}, None, "http is for loopback only"),
    "type": ({"a": {"type": "telephone"}}, None, "approval_backends.a.type"),
}


@as_user
@pytest.mark.parametrize("name", MISTAKES)
def test_backends_that_cannot_be_asked_keep_the_run_from_starting(sandbox: NonoRun, name: str) -> None:
    backends, defaults, message = MISTAKES[name]
    security: dict[str, object] = {"approval_backends": backends, "approval_defaults": defaults}
    ended = sandbox.run(["echo", "ran"], profile={"security": security}, flags=["--capability-elevation"])
    assert ended.exit_code != 0
    assert ended.stdout == ""
    assert message in ended.stderr


@pytest.mark.needs("listener")
@pytest.mark.parametrize("policy", ["netns", "landlock"])
def test_it_is_the_same_on_the_other_rungs(sandbox: NonoRun, outside: Path, policy: str) -> None:
    with webhook_server(saying("grant"), sandbox.user.home) as server:
        ended = sandbox.run(
            ["cat", str(outside)],
            profile=profile_of(server),
            flags=[f"--sandbox-policy={policy}"],
            environment={"SSL_CERT_FILE": str(server.ca_file), "LC_ALL": "C"},
        )
    assert (ended.exit_code, ended.stdout) == (0, CANARY), ended.stderr
    assert {"type": "enforced_by", "rung": policy} in ended.events
    assert decisions(ended) == [("phone", "Requested"), ("phone", "Granted")]
