"""A start by the fork server is like one that executes the interpreter."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.nono_run import NONO, PROXY_ONLY, NonoRun, nono_run
from support.running import fork_server
from support.running.forked_process import ForkedProcess
from support.terminal import terminal

LOOK = (
    "id; pwd; umask; ulimit -a; env | sort; ls /proc/self/fd; grep -E '^(Sig[BIC]|Cap|NoNew|Seccomp|Groups)'"
    " /proc/self/status; cat; echo end >&2; exit 3"
)
DIFFERS = (
    "NONO_CAP_FILE=",
    "NONO_PROXY_TOKEN=",
    "_PROXY=",
    "_proxy=",
    "TMPDIR=",
    "JAVA_TOOL_OPTIONS=",
    "CERT",
)


@pytest.fixture(params=["user", pytest.param("root", marks=pytest.mark.root)])
def sandbox(request: pytest.FixtureRequest) -> Iterator[NonoRun]:
    with nono_run(as_root=request.param == "root") as made:
        yield made


def seen(sandbox: NonoRun, profile: dict[str, object]) -> tuple[int, list[str], str]:
    run = sandbox.run(["sh", "-c", LOOK], profile=profile, environment={"A": "é\n"}, stdin="given")
    lines = [line for line in run.stdout.splitlines() if not any(name in line for name in DIFFERS)]
    return run.exit_code, lines, run.stderr


@pytest.mark.parametrize("profile", [{}, dict(PROXY_ONLY)], ids=["plain", "proxied"])
def test_a_command_sees_the_same(
    profile: dict[str, object], sandbox: NonoRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    forked = seen(sandbox, profile)
    monkeypatch.setenv("NONO_TEST_COLD", "1")
    assert forked == seen(sandbox, profile)
    assert forked[0] == 3
    assert "given" in forked[1]


def test_what_takes_too_long_is_killed(sandbox: NonoRun) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        sandbox.run(["sleep", "60"], profile={}, timeout_s=1)
    assert sandbox.run(["true"], profile={}).exit_code == 0


def test_a_status_is_that_of_the_process(sandbox: NonoRun) -> None:
    env = sandbox.user.environment()
    for words, status in (
        ([*NONO, "--version"], 0),
        ([*NONO, "nothing"], 2),
        ([fork_server.SCRIPT, "--version"], 0),
        ([fork_server.SCRIPT, "nothing"], 2),
    ):
        argv = sandbox.user.command(words)
        done = fork_server.run(argv, env=env, cwd=sandbox.project, timeout=20)
        assert done.returncode == status, done.stderr


def test_a_started_process_is_talked_to_as_with_popen(sandbox: NonoRun) -> None:
    with sandbox.started(["sh", "-c", "read word; echo $word; exec sleep 60"]) as run:
        assert isinstance(run, ForkedProcess)
        assert run.stdin
        assert run.stdout
        print("said", file=run.stdin, flush=True)
        assert run.stdout.readline() == "said\n"
        assert run.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            run.wait(0.01)
        run.kill()
        assert (run.wait(20), run.poll()) == (-signal.SIGKILL, -signal.SIGKILL)


def test_a_started_process_shows_its_own_words_in_proc(
    sandbox: NonoRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown() -> list[bytes]:
        with sandbox.started(["sh", "-c", "echo up; exec sleep 60"]) as run:
            assert run.stdout is not None
            assert run.stdout.readline() == "up\n"
            directory = Path(f"/proc/{run.pid}")
            return [(directory / name).read_bytes() for name in ("cmdline", "comm")]

    forked = shown()
    assert forked[0].split(b"\0")[1:5] == [b"-I", b"-m", b"nono", b"run"]
    monkeypatch.setenv("NONO_TEST_COLD", "1")
    assert forked == shown()


def test_a_forked_process_leads_the_session_of_its_terminal(sandbox: NonoRun) -> None:
    argv = sandbox.user.command([*NONO, "run", "--allow=.", "--", "true"])
    with terminal(argv, sandbox.user.environment(), sandbox.project) as person:
        assert isinstance(person.process, ForkedProcess)
        assert os.getsid(person.process.pid) == person.process.pid
        assert os.tcgetpgrp(person.master) == person.process.pid
        assert person.end() == 0


@pytest.mark.parametrize("name", ["LD_LIBRARY_PATH", "LC_TIME", "OPENSSL_CONF", "PYTHONPATH"])
def test_what_is_read_before_main_has_a_start_made_anew(name: str) -> None:
    assert fork_server._is_alike({"LANG": "C.UTF-8"})
    assert not fork_server._is_alike({"LANG": "C.UTF-8", name: ""})


def test_what_is_no_start_of_nono_is_executed(sandbox: NonoRun) -> None:
    argv = sandbox.user.command([sys.executable, "-I", "-c", "import sys; print(len(sys.modules) < 200)"])
    done = fork_server.run(argv, env=sandbox.user.environment(), cwd=sandbox.project, timeout=20)
    assert done.stdout == "True\n"


def test_a_start_that_cannot_be_made_raises(sandbox: NonoRun) -> None:
    argv = sandbox.user.command([*NONO, "--version"])
    nowhere = sandbox.project / "nowhere"
    with pytest.raises(RuntimeError, match="could not start"):
        fork_server.start(argv, env=sandbox.user.environment(), cwd=nowhere, stderr=subprocess.DEVNULL)
    with pytest.raises(RuntimeError, match="FileNotFoundError"):
        fork_server.run(argv, env=sandbox.user.environment(), cwd=nowhere, timeout=20)
