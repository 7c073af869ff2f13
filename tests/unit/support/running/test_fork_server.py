"""A start by the fork server is like one that executes the interpreter."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import private_mounts
from support.kernelsim.kernel import WSL2, Kernel
from support.ladder.launch import children
from support.nono_run import NONO, PROXY_ONLY, NonoRun, nono_run
from support.private_network import private_network
from support.running import fork_server
from support.running.forked_process import ForkedProcess
from support.terminal import terminal

LOOK = (
    "id; pwd; umask; ulimit -a; env | sort; ls /proc/self/fd; grep -E '^(Sig[BIC]|Cap|NoNew|Seccomp|Groups)'"
    " /proc/self/status; cat; echo end >&2; exit 3"
)
KERNELS = (
    Kernel(notify_busy=True, landlock_abi=4),
    Kernel(landlock_abi=3),
    Kernel(notify_busy=True, no_userns=True),
    WSL2._replace(landlock_abi=4),
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


def seen(sandbox: NonoRun, profile: dict[str, object], kernel: Kernel) -> tuple[int, list[str], str]:
    wrapper = () if kernel == Kernel() else kernel.command([])
    how: dict[str, Any] = {"profile": profile, "wrapper": wrapper, "environment": {"A": "é\n"}}
    run = sandbox.run(["sh", "-c", LOOK], stdin="given", **how)
    lines = [line for line in run.stdout.splitlines() if not any(name in line for name in DIFFERS)]
    return run.exit_code, lines, run.stderr


def compare(
    sandbox: NonoRun, profile: dict[str, object], kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    forked = seen(sandbox, profile, kernel)
    monkeypatch.setenv("NONO_TEST_COLD", "1")
    assert forked == seen(sandbox, profile, kernel)
    assert forked[0] == 3
    assert "given" in forked[1]


@pytest.mark.parametrize("profile", [{}, dict(PROXY_ONLY)], ids=["plain", "proxied"])
def test_a_command_sees_the_same(
    profile: dict[str, object], sandbox: NonoRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(sandbox, profile, Kernel(), monkeypatch)


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_a_command_sees_the_same_on_a_simulated_kernel(
    kernel: Kernel, sandbox: NonoRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(sandbox, {}, kernel, monkeypatch)


@pytest.mark.parametrize("kernel", KERNELS[:2], ids=str)  # without a listener, and with one
def test_a_proxied_command_sees_the_same_on_a_simulated_kernel(
    kernel: Kernel, sandbox: NonoRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(sandbox, dict(PROXY_ONLY), kernel, monkeypatch)


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_nono_is_forked_with_the_simulator(kernel: Kernel, sandbox: NonoRun) -> None:
    argv = sandbox.argv(["sh", "-c", "echo up; exec sleep 60"], profile={}, wrapper=kernel.command([]))
    with fork_server.start(argv, env=sandbox.user.environment(), stdout=subprocess.PIPE, text=True) as run:
        assert isinstance(run, ForkedProcess)
        assert run.stdout is not None
        assert run.stdout.readline() == "up\n"
        (nono,) = children(run.pid)
        shown = [Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in (run.pid, nono)]
        run.kill()
    assert shown[0][3].endswith(b"/kernelsim/__main__.py")
    assert shown[0][shown[0].index(b"--") + 1 :] == shown[1]
    assert shown[1][1:5] == [b"-I", b"-m", b"nono", b"run"]


@pytest.mark.parametrize("script", ["exit 7", "kill -TERM $$"])
def test_a_simulated_kernel_ends_as_nono_does(
    script: str, sandbox: NonoRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended() -> int:
        run = sandbox.run(["sh", "-c", script], profile={}, wrapper=KERNELS[0].command([]))
        return run.exit_code

    forked = ended()
    monkeypatch.setenv("NONO_TEST_COLD", "1")
    assert forked == ended()


def test_a_start_is_in_the_network_of_its_test(sandbox: NonoRun) -> None:
    argv = sandbox.user.command([*NONO, "run", "-s", "--allow=.", "--", "readlink", "/proc/self/ns/net"])
    env = sandbox.user.environment()

    def network() -> str:
        with fork_server.start(argv, env=env, cwd=sandbox.project, stdout=subprocess.PIPE, text=True) as run:
            assert isinstance(run, ForkedProcess)
            assert run.stdout is not None
            return str(run.stdout.read().strip())

    with private_network() as is_made:
        if not is_made:
            pytest.skip("no network namespace can be made")
        inside = os.readlink("/proc/thread-self/ns/net")
        assert network() == inside
    assert network() == os.readlink("/proc/thread-self/ns/net") != inside


@pytest.mark.root
@pytest.mark.needs("mounts")
def test_a_start_sees_what_is_mounted_for_it(sandbox: NonoRun, monkeypatch: pytest.MonkeyPatch) -> None:
    (sandbox.project / "name").write_text("of this test\n")
    mounted = private_mounts.stage({"/etc/hostname": sandbox.project / "name"})
    prefixes: tuple[list[str], ...] = (mounted, [])

    def shown() -> list[str]:
        argv = sandbox.user.command([*NONO, "run", "-s", "--allow=.", "--", "cat", "/etc/hostname"])
        how: dict[str, Any] = {"env": sandbox.user.environment(), "cwd": sandbox.project, "timeout": 60}
        return [fork_server.run([*prefix, *argv], **how).stdout for prefix in prefixes]

    forked = shown()
    assert forked[0] == "of this test\n" != forked[1]
    monkeypatch.setenv("NONO_TEST_COLD", "1")
    assert shown() == forked


def test_mounts_for_a_start_need_no_interpreter_of_its_own_where_they_take_no_user_namespace(
    sandbox: NonoRun,
) -> None:
    argv = [*private_mounts.stage({"/etc/hostname": sandbox.project}), *sandbox.user.command([*NONO, "ps"])]
    env = sandbox.user.environment()
    assert (fork_server._server_for(argv, env, sandbox.project)[0] is not None) is (os.geteuid() == 0)
    assert fork_server._server_for(["env", *argv], env, sandbox.project)[0] is None


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


def test_a_part_of_the_tests_starts_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NONO_TEST_COLD", "3")
    cold = []
    for number in range(300):
        for phase in ("setup", "call"):  # one answer for a test
            monkeypatch.setenv("PYTEST_CURRENT_TEST", f"tests/test_a.py::test_b[{number}] ({phase})")
            cold.append(fork_server._is_cold())
    assert cold[::2] == cold[1::2]
    assert 60 < cold[::2].count(True) < 140
