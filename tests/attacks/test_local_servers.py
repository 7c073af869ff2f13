"""K7-others: another user of the machine serves a port to which nono sends a secret in the clear."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.nono_run import NonoRun, nono_run
from support.ordinary_user import UNPRIVILEGED_ID, become

KEY = "canary-of-a-secret-that-is-sent-in-the-clear"
ANOTHER_PERSON, SYSTEM_ACCOUNT, ROOT = 2000, 900, 0
# Answers anything with a token, and prints what it gets.
SERVES = r"""
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
body = b'{"access_token": "token", "token_type": "Bearer", "expires_in": 3600}'
head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
while True:
    with listener.accept()[0] as accepted:
        print(accepted.recv(65536), flush=True)
        accepted.sendall(head + body)
"""
ASKS = 'curl -s -o answer -H "Authorization: Bearer $OWN_KEY" "$OWN_BASE_URL/x"; cat answer'
INSIDE = (
    'curl -s {} --noproxy "" -x "$HTTPS_PROXY" -o answer -H "Authorization: Bearer $OWN_KEY" '
    '"https://127.0.0.1:$PORT/x"; cat answer'
)
# What nono sends there: a key, what it gets a token with, the password of an upstream proxy.
WAYS = {
    "route": ASKS,
    "route, intercepted": INSIDE.format("--http1.1"),
    "route, HTTP/2": INSIDE.format("--http2 -w 'over HTTP/%{http_version} '"),
    "token endpoint": ASKS,
    "upstream proxy": ASKS,
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[NonoRun]:
    """Yield an ordinary user's nono: root's sends to anybody's server."""
    with nono_run() as runner:
        yield runner


@contextmanager
def served_by(uid: int) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    command = [*become(uid), sys.executable, "-I", "-S", "-c", SERVES]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd="/") as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline()), server
        finally:
            server.kill()


def network(way: str, port: int) -> dict[str, object]:
    proxy: dict[str, object] = {}
    here = f"http://127.0.0.1:{port}"
    service: dict[str, object] = {"upstream": here, "env_var": "OWN_KEY", "credential_key": "env://REAL"}
    if way == "token endpoint":
        del service["credential_key"]
        service["auth"] = {"token_url": f"{here}/t", "client_id": "env://REAL", "client_secret": "env://REAL"}
    if way == "upstream proxy":
        service["upstream"] = "https://far.test"
        proxy = {"upstream_proxy": {"address": f"127.0.0.1:{port}", "auth": "env://LOGIN"}}
    proxy["allow_http2"] = way.endswith("HTTP/2")
    return {"credentials": ["own"], "custom_credentials": {"own": service}, **proxy}


@pytest.mark.root
@pytest.mark.parametrize("uid", [ANOTHER_PERSON, SYSTEM_ACCOUNT, UNPRIVILEGED_ID, ROOT])
@pytest.mark.parametrize("way", WAYS)
def test_a_secret_goes_to_no_server_of_another_person(way: str, uid: int, sandbox: NonoRun) -> None:
    with served_by(uid) as (port, server):
        ended = sandbox.run(
            ["sh", "-c", f"PORT={port}; {WAYS[way]}"],
            profile={"network": network(way, port)},
            environment={"REAL": KEY, "LOGIN": f"me:{KEY}"},
        )
        server.kill()
        assert server.stdout is not None
        heard = [line for line in server.stdout.read().splitlines() if line != "b''"]
    assert ("over HTTP/2" in ended.stdout) == way.endswith("HTTP/2")
    if uid != ANOTHER_PERSON:
        assert heard, ended.stderr
        return
    assert heard == []
    reason = f"the server there is another user's (uid {uid}): nothing is sent to it"
    assert reason in ended.stderr + ended.stdout
    (ends,) = [event for event in ended.events if event["type"] == "requests_ended"]
    assert [(row[5], row[6].endswith(reason)) for row in ends["requests"]] == [("blocked", True)]
