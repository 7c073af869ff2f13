"""A renewal that is cut short after the provider has exchanged the refresh token."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2e.test_login_capture import Scene
from e2e.test_login_capture import scene as _scene
from support.nono_run import TIMEOUT_S
from support.proxy.thread import wait_until
from support.running import fork_server
from support.servers.http1 import Received

scene = _scene
LATE_S = 2.5  # how long a provider takes that is slow, but not broken


@contextmanager
def late_answer(scene: Scene) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Let the provider exchange the tokens at once, and wait with its answer.

    Yields what is set once it has exchanged them, and what lets it answer.
    """
    is_exchanged, may_answer = threading.Event(), threading.Event()
    provider, token = scene.running.provider, scene.running.provider.token

    class Late:
        def __init__(self, request: Received) -> None:
            self.body, self.connection = request.body, self
            self._respond = request.connection.respond

        def respond(self, *answer: object) -> None:
            is_exchanged.set()
            assert may_answer.wait(TIMEOUT_S)
            self._respond(*answer)  # type: ignore[arg-type]  # as it was called

    provider.token = lambda request: token(Late(request))  # type: ignore[method-assign, arg-type]  # for this test
    try:
        yield is_exchanged, may_answer
    finally:
        may_answer.set()
        provider.token = token  # type: ignore[method-assign]  # as it was


@contextmanager
def renewing(scene: Scene) -> Iterator[subprocess.Popen[str]]:
    """Start a run that renews its login; its pid is that of the supervisor."""
    runner = scene.stage.runner
    argv = runner.argv(scene.client("refresh"), profile=scene.profile())
    environment = runner.user.environment({"SSL_CERT_FILE": scene.stage.authority.ca_file})
    with fork_server.start(
        argv,
        env=environment,
        cwd=runner.project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        try:
            yield run
        finally:
            run.kill()


@pytest.fixture
def aged(scene: Scene) -> Scene:
    scene.run("login")
    scene.age()
    return scene


def test_a_run_that_ends_waits_for_a_renewal_that_the_provider_answers_late(aged: Scene) -> None:
    with late_answer(aged) as (is_exchanged, may_answer), renewing(aged) as run:
        assert is_exchanged.wait(TIMEOUT_S)
        run.send_signal(signal.SIGTERM)
        answers = threading.Timer(LATE_S, may_answer.set)
        answers.start()
        run.wait(TIMEOUT_S)
        answers.join()
    assert "200" in aged.run("me").stdout
    aged.age()
    assert "refresh 200" in aged.run("refresh").stdout


def test_a_supervisor_that_is_stopped_during_a_renewal_goes_on_with_it(aged: Scene) -> None:
    """As a laptop that sleeps meanwhile; another run waits, and gets what came of it."""
    with (
        late_answer(aged) as (is_exchanged, may_answer),
        renewing(aged) as run,
        ThreadPoolExecutor(1) as pool,
    ):
        assert is_exchanged.wait(TIMEOUT_S)
        run.send_signal(signal.SIGSTOP)
        wait_until(lambda: ") T " in Path(f"/proc/{run.pid}/stat").read_text())
        before = aged.stage.runner.logs()
        other = pool.submit(aged.run, "refresh", "me")
        wait_until(
            lambda: any("CONNECT" in log.read_text() for log in aged.stage.runner.logs() if log not in before)
        )
        may_answer.set()
        run.send_signal(signal.SIGCONT)
        assert "refresh 200" in run.communicate(timeout=TIMEOUT_S)[0]
        assert "refresh 200" in other.result().stdout
    assert "".join(aged.running.provider.seen).count("grant_type=refresh_token") == 1


def test_a_supervisor_that_is_killed_during_a_renewal_loses_the_login_and_says_so(aged: Scene) -> None:
    """What the provider answered is nowhere: it ends a login whose refresh token comes twice."""
    with late_answer(aged) as (is_exchanged, _), renewing(aged) as run:
        assert is_exchanged.wait(TIMEOUT_S)
        run.kill()
        run.wait(TIMEOUT_S)
    ended = aged.run("refresh")  # the lock went with its process
    assert "refresh 400" in ended.stdout
    assert "invalid_grant" in ended.stdout
    again = aged.run("login", "me", "refresh")
    assert again.exit_code == 0, again.stdout + again.stderr
    assert again.stdout.count('200  {"name": "somebody"}') == 2
