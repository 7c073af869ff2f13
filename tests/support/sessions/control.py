"""Use the control interface of a session, as another program of its user would."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from support.nono_run import TIMEOUT_S, NonoRun
from support.sessions.detached import wait_until
from support.sessions.records import directory

# Sends the requests one after another on one connection, and prints the status and body of each.
_CLIENT = """
import http.client, json, socket, sys
path, requests = sys.argv[1], json.load(sys.stdin)
connection = http.client.HTTPConnection("nono")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect(path)  # without a time limit it waits for its turn
connection.sock.settimeout(20)
answers = []
for method, target, body, key in requests:
    fields = {} if key is None else {"Authorization": "Bearer " + key}
    connection.request(method, target, None if body is None else json.dumps(body), fields)
    response = connection.getresponse()
    answers.append((response.status, response.read().decode()))
print(json.dumps(answers))
"""


def key_of(sandbox: NonoRun, session_id: str) -> str:
    """Return the key of a session once it listens."""
    path = directory(sandbox.user) / f"{session_id}.key"
    wait_until(lambda: path.exists() and path.with_suffix(".sock").exists(), "the session does not listen")
    return path.read_text()


def ask_all(sandbox: NonoRun, session_id: str, *requests: tuple[str, str, object, str | None]) -> Any:
    """Send requests (method, path, JSON or None, key or None); return status and text of each response."""
    path = directory(sandbox.user) / f"{session_id}.sock"
    done = subprocess.run(
        sandbox.user.command([sys.executable, "-I", "-c", _CLIENT, str(path)]),
        input=json.dumps(requests),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def ask(sandbox: NonoRun, session_id: str, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Return the status and the document of one response."""
    ((status, text),) = ask_all(sandbox, session_id, (method, path, body, key_of(sandbox, session_id)))
    return status, json.loads(text or "null")
