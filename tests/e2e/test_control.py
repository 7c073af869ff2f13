"""The control interface: a session that has a loop answers its user, and nobody else, at its socket."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import nono as nono_package
from support.nono_run import NONO, TIMEOUT_S, NonoRun
from support.running import fork_server
from support.sessions.control import ask, ask_all, key_of
from support.sessions.detached import attached, detached
from support.sessions.records import directory, leftovers, nono, record_of

# Asks the proxy for a host with each line that it reads.
REFUSED = (
    "import sys, urllib.request as u\n"
    "print('up', flush=True)\n"
    "for line in sys.stdin:\n"
    "    try: u.urlopen('http://other.test/' + line.strip())\n"
    "    except Exception as error: print(error, flush=True)\n"
)


TOKENS = ("input_tokens", "cached_input_tokens", "output_tokens")


@contextmanager
def session(sandbox: NonoRun, *flags: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Yield a session with a proxy, and its record."""
    argv = [sys.executable, "-u", "-c", REFUSED]
    with sandbox.started(argv, flags=["--name=web", *flags]) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "up\n"
        yield run, record_of(sandbox.user, "web")


def refused(run: subprocess.Popen[str]) -> str:
    """Make the command ask for a host that nothing allows. Returns what it prints."""
    assert run.stdin is not None
    assert run.stdout is not None
    run.stdin.write("x\n")
    run.stdin.flush()
    return run.stdout.readline()


def test_a_session_sums_itself_up(sandbox: NonoRun) -> None:
    with session(sandbox) as (run, record):
        refused(run)
        status, document = ask(sandbox, record["session_id"], "GET", "/v1/session")
        assert status == 200
        assert document["session"] == record_of(sandbox.user, "web")
        assert (document["state"], document["needs_you"]["count"]) == ("running", 0)
        assert document["counts"]["refused"] == 1
        assert document["traffic"]["blocked"] == 1
        assert document["usage"] == {"responses": 0, "cost_usd": None} | dict.fromkeys(TOKENS, 0)
        assert "Decisions: 0 allowed, 1 refused, 0 asked" in nono(sandbox, "inspect", "web").stdout
    assert [name for name in leftovers(sandbox.user) if name.endswith((".sock", ".key"))] != []
    nono(sandbox, "ps")
    assert [name for name in leftovers(sandbox.user) if name.endswith((".sock", ".key"))] == []


def test_what_is_not_there_is_answered_in_json(sandbox: NonoRun) -> None:
    with session(sandbox) as (_, record):
        status, document = ask(sandbox, record["session_id"], "GET", "/v1/nothing")
        attach = ask(sandbox, record["session_id"], "GET", "/v1/attach")
        detach = ask(sandbox, record["session_id"], "POST", "/v1/detach")
    assert (status, document) == (404, {"error": "404: Not Found"})
    assert attach == detach == (404, {"error": "the session has no terminal of its own"})


def test_every_request_of_a_connection_shows_the_key(sandbox: NonoRun) -> None:
    with session(sandbox) as (_, record):
        key = key_of(sandbox, record["session_id"])
        get = ("GET", "/v1/session", None)
        answers = ask_all(sandbox, record["session_id"], (*get, key), (*get, None), (*get, key[:-1] + "x"))
        assert answers[0][0] == 200
        assert [(status, text) for status, text in answers[1:]] == [(401, ""), (401, "")]


@pytest.mark.parametrize("key", [None, "0" * 32], ids=["none", "another"])
def test_nobody_without_the_key_is_answered(key: str | None, sandbox: NonoRun) -> None:
    with session(sandbox) as (_, record):
        key_of(sandbox, record["session_id"])
        ((status, text),) = ask_all(sandbox, record["session_id"], ("GET", "/v1/session", None, key))
    assert (status, text) == (401, "")


# What an agent with a shell tries: to read the key, to ask without one, and to use a connection that the
# shell outside had open, whose other end the kernel calls that shell.
ATTACK = (
    "import os, socket, sys\n"
    "sessions, name = sys.argv[1], sys.argv[2]\n"
    "for attempt in (lambda: open(f'{sessions}/{name}.key').read(), lambda: os.listdir(sessions)):\n"
    "    try: print('GOT', attempt())\n"
    "    except OSError as error: print('no', error.errno)\n"
    "request = b'GET /v1/session HTTP/1.1\\r\\nHost: n\\r\\nAuthorization: Bearer \\r\\n\\r\\n'\n"
    "for number in range(3, 64):\n"
    "    try: connection = socket.socket(fileno=os.dup(number))\n"
    "    except OSError: continue\n"
    "    try:\n"
    "        connection.settimeout(3); connection.sendall(request); print('FD', connection.recv(12))\n"
    "    except OSError as error: print('fd', error)\n"
    "try:\n"
    "    connection = socket.socket(socket.AF_UNIX); connection.settimeout(3)\n"
    "    connection.connect(f'{sessions}/{name}.sock'); connection.sendall(request)\n"
    "    print('CONNECTED', connection.recv(12))\n"
    "except OSError as error: print('no', error.errno)\n"
)
HOLDING = (
    "import os, socket, sys\n"
    "held = socket.socket(socket.AF_UNIX); held.connect(sys.argv[1]); held.set_inheritable(True)\n"
    "os.execvp(sys.argv[2], sys.argv[2:])\n"
)


@pytest.mark.parametrize("flags", [(), ("--namespaces=off",)], ids=["its own namespaces", "none"])
def test_an_agent_with_a_shell_is_not_answered(flags: tuple[str, ...], sandbox: NonoRun) -> None:
    with session(sandbox) as (_, record):
        name = record["session_id"]
        key_of(sandbox, name)
        sessions = str(directory(sandbox.user))
        inside = sandbox.run(
            [sys.executable, "-I", "-c", ATTACK, sessions, name],
            flags=flags,
            wrapper=[sys.executable, "-c", HOLDING, f"{sessions}/{name}.sock"],
        )
    assert inside.exit_code == 0, inside.stderr
    assert "GOT" not in inside.stdout
    assert "200" not in inside.stdout
    assert inside.stdout.count("no ") >= 2


def test_nono_inside_controls_no_session(sandbox: NonoRun) -> None:
    code = Path(nono_package.__file__).parent.parent
    with session(sandbox) as (_, record):
        key_of(sandbox, record["session_id"])
        script = (
            f"unset NONO_CAP_FILE; {' '.join(NONO)} allow other.test --all; {' '.join(NONO)} approvals;"
            f" {' '.join(NONO)} inspect web"
        )
        inside = sandbox.run(["sh", "-c", script], flags=[f"--read={code}"])
        assert ask(sandbox, record["session_id"], "GET", "/v1/rules") == (200, [])
    assert record["session_id"] not in inside.stdout + inside.stderr


def test_events_come_as_they_are_written(sandbox: NonoRun) -> None:
    with session(sandbox) as (run, record):
        key_of(sandbox, record["session_id"])
        argv = sandbox.user.command([*NONO, "logs", "-f", "--json", "--tail=0", "web"])
        with fork_server.start(
            argv, env=sandbox.user.environment(), stdout=subprocess.PIPE, text=True
        ) as follower:
            assert follower.stdout is not None
            status, _ = ask(sandbox, record["session_id"], "GET", "/v1/session")
            assert status == 200
            refused(run)
            event = json.loads(follower.stdout.readline())
            assert event["event"]["target"] == "other.test"
            run.communicate(timeout=TIMEOUT_S)
            assert "session_ended" in follower.stdout.read().splitlines()[-1]
            assert follower.wait(TIMEOUT_S) == 0


# Says when it follows the events, then prints them as they come.
FOLLOW = (
    "import http.client, socket, sys\n"
    "connection = http.client.HTTPConnection('nono')\n"
    "connection.sock = socket.socket(socket.AF_UNIX)\n"
    "connection.sock.connect(sys.argv[1])\n"
    "connection.request('GET', '/v1/events', None, {'Authorization': 'Bearer ' + sys.argv[2]})\n"
    "response = connection.getresponse()\n"
    "print(response.status, response.getheader('Content-Type'), flush=True)\n"
    "for line in response: print(line.decode(), end='', flush=True)\n"
)


def test_a_stream_of_events_ends_with_the_command(sandbox: NonoRun) -> None:
    with session(sandbox) as (run, record):
        key = key_of(sandbox, record["session_id"])
        path = directory(sandbox.user) / f"{record['session_id']}.sock"
        argv = sandbox.user.command([sys.executable, "-I", "-c", FOLLOW, str(path), key])
        with fork_server.start(
            argv, env=sandbox.user.environment(), stdout=subprocess.PIPE, text=True
        ) as follower:
            assert follower.stdout is not None
            assert follower.stdout.readline() == "200 application/x-ndjson\n"
            refused(run)
            event = json.loads(follower.stdout.readline())
            assert (event["type"], event["event"]["target"]) == ("network", "other.test")
            run.communicate(timeout=TIMEOUT_S)
            assert "session_ended" not in follower.stdout.read()
            assert follower.wait(TIMEOUT_S) == 0
    assert "session_ended" in nono(sandbox, "logs", "--json", "web").stdout


def test_a_run_without_a_loop_has_no_socket(sandbox: NonoRun) -> None:
    script = "echo up; read line"
    argv = sandbox.argv(["sh", "-c", script], profile={}, flags=["--name=plain", "--namespaces=off"])
    with fork_server.start(
        argv,
        env=sandbox.user.environment(),
        cwd=sandbox.project,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "up\n"
        told = nono(sandbox, "allow", "other.test")
        run.communicate("\n", timeout=TIMEOUT_S)
    assert told.returncode == 1
    assert "does not answer" in told.stderr


def test_a_session_that_has_only_a_terminal_answers_as_well(sandbox: NonoRun) -> None:
    with detached(sandbox, ["sh"]) as record:
        status, document = ask(sandbox, record["session_id"], "GET", "/v1/session")
        assert (status, document["session"]["name"]) == (200, "one")
        assert ask(sandbox, record["session_id"], "GET", "/v1/approvals") == (200, [])
        wanted = {"decision": "allow", "kind": "host", "target": "a.test"}
        status, document = ask(sandbox, record["session_id"], "POST", "/v1/rules", wanted)
        assert (status, "with an open network" in document["error"]) == (409, True)
        with attached(sandbox) as viewer:
            viewer.type(b"echo still=$((1+1))\r")
            viewer.wait_for(b"still=2")
            assert ask(sandbox, record["session_id"], "GET", "/v1/session")[0] == 200


# Takes every place at the socket of another session, and takes it again as soon as it is free.
FLOODING = (
    "import socket, sys, time\n"
    "held = []\n"
    "print('up', flush=True)\n"
    "while True:\n"
    "    s = socket.socket(socket.AF_UNIX); s.setblocking(False)\n"
    "    try: s.connect(sys.argv[1]); held = [*held[-500:], s]\n"
    "    except OSError: time.sleep(0.0005)\n"
)


def test_a_command_takes_no_place_at_the_socket_of_a_session(sandbox: NonoRun) -> None:
    with session(sandbox) as (_, record):
        key_of(sandbox, record["session_id"])
        path = directory(sandbox.user) / f"{record['session_id']}.sock"
        argv = sandbox.argv(
            [sys.executable, "-c", FLOODING, str(path)],
            profile={},
            flags=["--namespaces=off", "--name=flood"],
        )
        with fork_server.start(
            argv,
            env=sandbox.user.environment(),
            cwd=sandbox.project,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as flood:
            try:
                assert flood.stdout is not None
                assert flood.stdout.readline() == b"up\n"
                answers = [ask(sandbox, record["session_id"], "GET", "/v1/session")[0] for _ in range(3)]
            finally:
                flood.kill()
    assert answers == [200, 200, 200]
