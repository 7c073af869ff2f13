"""`nono flows` shows the exchanges of a real run in mitmweb, while they are recorded."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.clients.intercepted import Intercepted, stage_of
from support.nono_run import NONO
from support.ports import unused_port
from support.running import fork_server
from support.servers.http1 import Received, upstream
from support.sessions.detached import wait_until
from support.sessions.records import nono, records

SCRIPT = """
ask() { curl -sS "$URL/$1" -H "Authorization: Bearer $TOKEN" >/dev/null; }
ask first; while [ ! -e go ]; do sleep 0.05; done; ask second; while [ -e go ]; do sleep 0.05; done
"""


def answer(request: Received) -> None:
    request.connection.respond(body=b"hello")


@pytest.fixture(scope="module")
def service() -> Iterator[Intercepted]:
    with (
        stage_of("ordinary user") as stage,
        upstream(answer, stage.authority.server_context("localhost")) as server,
    ):
        yield Intercepted(stage, server, "demo", "TOKEN")


@contextmanager
def running(service: Intercepted) -> Iterator[None]:
    """Yield a run that makes one request, another once `go` exists, and ends once that is gone."""
    project = service.stage.project
    flags = (f"--record-flows={project}/flows",)
    argv = ("env", f"URL={service.origin}", "sh", "-c", SCRIPT)
    thread = threading.Thread(target=service.run, args=(argv,), kwargs={"flags": flags})
    thread.start()
    try:
        wait_until(lambda: (project / "flows").exists() and len(service.requests) == 1, "nothing was asked")
        yield
    finally:
        (project / "go").touch()
        try:
            wait_until(lambda: len(service.requests) == 2, "nothing more was asked")
        finally:
            (project / "go").unlink()
            thread.join()


@contextmanager
def viewer(service: Intercepted, *argv: str, **variables: str) -> Iterator[tuple[str, str]]:
    """Yield the authority and the token of the page."""
    port, user = unused_port(), service.stage.runner.user
    with fork_server.start(
        user.command([*NONO, "flows", *argv, "--port", str(port)]),
        env=user.environment(variables),
        cwd=service.stage.project,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            link = process.stdout.readline().strip()
            assert link.startswith(f"http://127.0.0.1:{port}/?token="), link
            yield f"127.0.0.1:{port}", link.partition("=")[2]
        finally:
            process.kill()


def asked(authority: str, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(authority, timeout=20)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def shown(authority: str, token: str) -> set[str]:
    status, text = asked(authority, f"/flows?token={token}")
    assert status == 200, text
    return {flow["request"]["path"] for flow in json.loads(text)}


def test_exchanges_are_shown_as_they_are_recorded(service: Intercepted) -> None:
    with running(service), viewer(service, "latest", "--live") as (authority, token):
        wait_until(lambda: shown(authority, token) == {"/first"}, "the first exchange is not shown")
        assert asked(authority, "/flows")[0] == 403  # without the token
        (service.stage.project / "go").touch()
        wait_until(lambda: shown(authority, token) == {"/first", "/second"}, "the second is not shown")
    assert records(service.stage.runner.user)[0]["exit_code"] == 0


def test_no_command_writes_the_settings_of_what_shows_exchanges(service: Intercepted) -> None:
    """mitmproxy runs the scripts that config.yaml names, outside the sandbox."""
    project, state = service.stage.project, service.stage.runner.user.home / ".local/state/nono"
    service.run(("sh", "-c", "true"), flags=(f"--record-flows={project}/fourth",))
    temporary = service.stage.runner.make(project / "temporary")
    with viewer(service, "latest", TMPDIR=str(temporary)):
        assert list(temporary.iterdir()) == []
        assert list(state.glob("flows-*/mitmproxy-ca.pem")) != []
    for place, code in ((state, 1), (temporary, 0)):
        assert service.run(("sh", "-c", f"touch {place}/config.yaml")).exit_code == code


def test_a_port_that_is_taken_is_named(service: Intercepted) -> None:
    project = service.stage.project
    service.run(("sh", "-c", "true"), flags=(f"--record-flows={project}/third",))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        told = nono(service.stage.runner, "flows", "latest", "--port", port)
    assert (told.returncode, told.stdout) == (1, "")
    assert f"127.0.0.1:{port}: Address already in use" in told.stderr
    assert "hint: --port names another one" in told.stderr


def test_a_recording_that_was_replaced_by_a_link_is_not_opened(service: Intercepted) -> None:
    project = service.stage.project
    service.run(("sh", "-c", "true"), flags=(f"--record-flows={project}/other",))
    (project / "other").unlink()
    (project / "other").symlink_to("/etc/passwd")
    told = nono(service.stage.runner, "flows", "latest")
    assert (told.returncode, "the recording cannot be read" in told.stderr) == (1, True)
