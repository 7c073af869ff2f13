"""Helpers that behave and helpers that do not, each a real process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest

from nono.credentials.helpers.command import helper_environment, run_helper, run_helper_and_wait
from nono.credentials.helpers.outcome import (
    Failed,
    Lost,
    NotStarted,
    Outcome,
    Succeeded,
    TimedOut,
    TooLarge,
    scrub,
)
from nono.credentials.helpers.started import started
from nono.kernel import process
from support.running.leftovers import children, descriptors

CANARY = "c4n4ryC4N4RYc4n4ry0123456789"
# Signals 32 and 33: see tests/unit/launch/around/test_hook_process.py.
OF_LIBC = 0b11 << 31
LONG_S = 60.0  # far more than any of these needs; a test that uses it up has failed


def shell(script: str, *, timeout_s: float = LONG_S, stdin: bytes | None = None) -> Outcome:
    environ = helper_environment(os.environ)
    return run_helper_and_wait(["/bin/sh", "-c", script], environ, timeout_s=timeout_s, stdin=stdin)


def printed(outcome: Outcome) -> str:
    assert isinstance(outcome, Succeeded), outcome
    return outcome.stdout.reveal()


def test_what_it_prints_is_returned_when_it_succeeds() -> None:
    outcome = shell(f"echo {CANARY}")
    assert printed(outcome) == f"{CANARY}\n"
    assert CANARY not in repr(outcome)


def test_what_it_prints_counts_for_nothing_when_it_fails() -> None:
    outcome = shell(f"echo {CANARY}; echo 'no such thing' >&2; exit 3")
    assert isinstance(outcome, Failed)
    assert (outcome.exit_status, outcome.stderr) == (3, "no such thing")
    assert CANARY not in repr(outcome)


def test_a_signal_is_told_apart_from_an_exit() -> None:
    outcome = shell("kill -TERM $$")
    assert isinstance(outcome, Failed)
    assert outcome.exit_status == -signal.SIGTERM


@pytest.mark.parametrize("use_uvloop", [False, True], ids=["asyncio", "uvloop"])
def test_it_runs_on_either_event_loop(use_uvloop: bool) -> None:
    run = partial(run_helper, ["/bin/echo", "hello"], helper_environment(os.environ), timeout_s=LONG_S)
    assert printed(anyio.run(run, backend_options={"use_uvloop": use_uvloop})) == "hello\n"


REAPING_SUPERVISOR = """
import os, signal, sys, threading
import anyio
from nono.credentials.helpers.command import run_helper
from nono.kernel import process, signals

process.become_subreaper()
descriptor = signals.open_signalfd((signal.SIGCHLD, signal.SIGTERM))

async def reap():
    while True:
        await anyio.wait_readable(descriptor)
        while signals.read_signal(descriptor) is not None:
            pass
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass

async def main():
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reap)
        for script in ("exit 7", "grep SigBlk /proc/self/status", "exit 9"):
            outcome = await run_helper(["/bin/sh", "-c", script], dict(os.environ), timeout_s=60)
            print(getattr(outcome, "exit_status", None) or outcome.stdout.reveal().split()[1])
        tasks.cancel_scope.cancel()

anyio.run(main, backend_options={"use_uvloop": True})
"""


def test_the_helper_status_survives_a_supervisor_that_reaps_every_child() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", REAPING_SUPERVISOR],
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=True,
    )
    assert done.stdout.split() == ["7", "0" * 16, "9"]


def test_a_helper_that_hangs_is_killed_when_its_time_is_up() -> None:
    outcome = shell("echo early; exec sleep 1000", timeout_s=0.5)
    assert isinstance(outcome, TimedOut)
    assert outcome.limit_s == 0.5


@contextmanager
def outliving(fifo: Path) -> Iterator[Callable[[], bool]]:
    """Make fifo, for a script to hold open for writing. Yields what waits until nobody does."""
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    os.set_blocking(reader, True)
    try:
        yield lambda: os.read(reader, 1) == b""
    finally:
        os.close(reader)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("exec 9>{fifo}; exec sleep 1000", id="the helper"),
        pytest.param("exec 9>{fifo}; sleep 1000 & wait", id="a grandchild"),
        pytest.param("exec 9>{fifo}; trap '' TERM HUP INT; sleep 1000 & wait", id="that ignores signals"),
    ],
)
def test_when_its_time_is_up_its_whole_group_dies(tmp_path: Path, script: str) -> None:
    with outliving(tmp_path / "fifo") as is_gone:
        assert isinstance(shell(script.format(fifo=tmp_path / "fifo"), timeout_s=0.5), TimedOut)
        assert is_gone()


def test_a_grandchild_that_holds_the_pipe_is_killed(tmp_path: Path) -> None:
    with outliving(tmp_path / "fifo") as is_gone:
        script = f"exec 9>{tmp_path}/fifo; sleep 1000 & echo {CANARY}"
        assert printed(shell(script)) == f"{CANARY}\n"
        assert is_gone()


def test_a_daemon_outside_the_group_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "left")
    leave = f"setsid sh -c 'echo $$ > {tmp_path}/left; exec sleep 1000' &"
    outcome = shell(f"{leave} read daemon < {tmp_path}/left; echo $daemon")
    daemon = int(printed(outcome))
    try:
        os.kill(daemon, 0)  # it lives, as a gpg-agent that pass has started would
    finally:
        os.kill(daemon, signal.SIGKILL)


def test_a_cancelled_run_leaves_no_process(tmp_path: Path) -> None:
    async def main() -> None:
        environ = helper_environment(os.environ)
        script = f"exec 9>{tmp_path}/fifo; printf ! >&9; exec sleep 1000"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(run_helper, ["/bin/sh", "-c", script], environ, timeout_s=LONG_S))
            await anyio.wait_readable(began)
            assert os.read(began, 1) == b"!"
            tasks.cancel_scope.cancel()
        await anyio.wait_readable(began)
        assert os.read(began, 1) == b""

    os.mkfifo(tmp_path / "fifo")
    began = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        anyio.run(main, backend_options={"use_uvloop": True})
    finally:
        os.close(began)


KILLED_NONO = """
import os, sys
from nono.credentials.helpers.command import run_helper_and_wait
run_helper_and_wait(["/bin/sh", "-c", sys.argv[1]], dict(os.environ), timeout_s=60)
"""


def test_a_killed_nono_takes_the_helper_with_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    script = f"exec 9>{tmp_path}/fifo; printf ! >&9; exec sleep 1000"
    nono = subprocess.Popen([sys.executable, "-c", KILLED_NONO, script])
    try:
        with open(tmp_path / "fifo", "rb", buffering=0) as began:
            assert began.read(1) == b"!"
            nono.kill()
            assert began.read(1) == b""
    finally:
        nono.kill()
        nono.wait()


@pytest.mark.parametrize(
    ("length", "fits"), [(65536, True), (65537, False), (10_000_000, False)], ids=["64 KiB", "more", "10 MB"]
)
def test_output_has_a_limit(length: int, fits: bool) -> None:
    outcome = shell(f"head -c {length} /dev/zero | tr '\\0' x")
    if fits:
        assert len(printed(outcome)) == length
    else:
        assert outcome == TooLarge(65536)


def test_output_without_end_is_stopped() -> None:
    assert shell("exec cat /dev/zero") == TooLarge(65536)


def test_more_on_standard_error_than_a_pipe_holds_stops_nobody() -> None:
    assert printed(shell("head -c 10000000 /dev/zero >&2; echo ok")) == "ok\n"
    outcome = shell("echo first >&2; head -c 10000000 /dev/zero >&2; exit 1")
    assert isinstance(outcome, Failed)
    assert len(outcome.said.reveal()) == 4096
    assert outcome.stderr == "first"


def test_both_outputs_may_be_filled_in_turn() -> None:
    script = (
        "i=0; while [ $i -lt 15 ]; do head -c 4096 /dev/zero; head -c 100000 /dev/zero >&2; i=$((i+1)); done"
    )
    assert len(printed(shell(script))) == 15 * 4096


def test_standard_input_is_empty_unless_it_is_given() -> None:
    assert printed(shell("cat")) == ""
    assert printed(shell("cat", stdin=b"given")) == "given"
    assert printed(shell("tail -c 3", stdin=b"x" * 300_000 + b"end")) == "end"


def test_a_helper_need_not_read_what_it_is_given() -> None:
    assert printed(shell("exec 0<&-; echo ok", stdin=b"x" * 300_000)) == "ok\n"


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["/nonexistent"], "No such file or directory"),
        (["/etc/passwd"], "Permission denied"),
        (["/"], "Permission denied"),
        (["/bin/echo", "x" * 10_000_000], "Argument list too long"),
        (["/bin/echo", "a\0b"], "bytes"),
        (["/bin/echo", "\ud800"], "bytes"),
    ],
    ids=["absent", "not executable", "directory", "too long", "NUL", "surrogate"],
)
def test_what_cannot_be_executed_is_not_started(argv: list[str], reason: str) -> None:
    outcome = run_helper_and_wait(argv, {}, timeout_s=LONG_S)
    assert isinstance(outcome, NotStarted)
    assert reason in outcome.reason


def test_a_script_without_an_interpreter_is_not_handed_to_a_shell(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("echo out\n")
    script.chmod(0o755)
    assert run_helper_and_wait([str(script)], {}, timeout_s=LONG_S) == NotStarted("Exec format error")


def test_a_helper_whose_end_nobody_tells_has_printed_nothing() -> None:
    assert shell(f"echo {CANARY}; kill -KILL $PPID; exec sleep 0") == Lost()


def test_a_helper_inherits_nothing_of_the_terminal_or_the_project() -> None:
    script = """
        ulimit -H -c; pwd
        (: < /dev/tty) 2> /dev/null && echo terminal || echo none
    """
    assert printed(shell(script)).split() == ["0", "/", "none"]


def test_no_signal_is_blocked_or_ignored_in_a_helper() -> None:
    """A supervisor blocks those that it passes on. A shell would unblock them itself."""
    ignored = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    try:
        outcome = run_helper_and_wait(
            ["/bin/grep", "-hE", "^Sig(Blk|Ign)", "/proc/self/status"], {}, timeout_s=LONG_S
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        signal.signal(signal.SIGUSR1, ignored)
    blocked, ignoring = (int(mask, 16) for mask in printed(outcome).split()[1::2])
    assert (blocked, ignoring & ~OF_LIBC) == (0, 0)


def test_a_helper_gets_the_limit_of_open_files_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """select(2), which a helper may call, fails above 1024."""
    asked = list[int]()
    monkeypatch.setattr(process, "restore_open_files", asked.append)
    with started(["/bin/true"], {}, None) as helper:
        assert asked == [helper.between.pid]
        helper.between.wait()


def test_what_starts_it_takes_no_module_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "resource.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w'); RLIMIT_CORE = 0\n")
    environ = helper_environment(os.environ) | {"PYTHONPATH": str(tmp_path)}
    run_helper_and_wait(["/bin/true"], environ, timeout_s=LONG_S)
    assert not (tmp_path / "ran").exists()
    subprocess.run([sys.executable, "-S", "-c", "import resource"], env=environ, check=True)
    assert (tmp_path / "ran").exists()


def test_it_inherits_no_descriptor() -> None:
    leaked = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        assert printed(shell("exec ls /proc/self/fd")).split() == [
            "0",
            "1",
            "2",
            "3",
        ]  # 3: the listing itself
    finally:
        os.close(leaked)


def test_nothing_stays_open_or_unreaped() -> None:
    open_before, children_before = descriptors(), children()
    for script in ("echo ok", "exit 1", "exec cat /dev/zero", "kill -KILL $PPID"):
        shell(script)
    shell("exec sleep 1000", timeout_s=0.2)
    run_helper_and_wait(["/nonexistent"], {}, timeout_s=LONG_S)
    assert descriptors() == open_before
    assert children() <= children_before


def test_stopping_the_process_in_between_saves_nobody(tmp_path: Path) -> None:
    with outliving(tmp_path / "fifo") as is_gone:
        script = f"exec 9>{tmp_path}/fifo; kill -STOP $PPID; exec sleep 1000"
        assert isinstance(shell(script, timeout_s=0.5), TimedOut)
        assert is_gone()


KEPT = {
    "HOME": "/home/me",
    "LANG": "C.UTF-8",
    "LC_ALL": "C",
    "XDG_RUNTIME_DIR": "/run/user/1000",
    "GNUPGHOME": "/g",
    "SSH_AUTH_SOCK": "/s",
}
DROPPED = {
    "HTTPS_PROXY": "http://x",
    "https_proxy": "http://x",
    "ALL_PROXY": "x",
    "NO_PROXY": "x",
    "NONO_PROXY_TOKEN": "x",
    "NODE_USE_ENV_PROXY": "1",
    "NODE_OPTIONS": "--require /tmp/x",
    "LD_PRELOAD": "/tmp/x.so",
    "BASH_ENV": "/tmp/x",
    "OPENAI_API_KEY": CANARY,
    "OP_SESSION_me": "x",
    "BW_SESSION": "x",
    "BW_SESSION_OTHER": "x",
    "PASSWORD_STORE_DIR": "/p",
}


def test_a_helper_inherits_only_what_is_on_the_list() -> None:
    kept = helper_environment({**KEPT, **DROPPED, "PATH": "/usr/bin"})
    assert kept == {**KEPT, "PATH": "/usr/bin"}


@pytest.mark.parametrize(
    ("tool_names", "added"),
    [
        (("OP_",), {"OP_SESSION_me"}),
        (("BW_SESSION",), {"BW_SESSION"}),
        (("PASSWORD_STORE_",), {"PASSWORD_STORE_DIR"}),
    ],
)
def test_a_helper_also_inherits_the_variables_of_its_own_tool(
    tool_names: tuple[str, ...], added: set[str]
) -> None:
    kept = helper_environment({**KEPT, **DROPPED}, *tool_names)
    assert set(kept) - set(KEPT) - {"PATH"} == added


def test_a_path_of_which_nothing_is_trusted_becomes_the_systems() -> None:
    assert helper_environment({"PATH": ".:relative"})["PATH"] == "/usr/local/bin:/usr/bin:/bin"


@pytest.mark.parametrize(
    ("stderr", "stdout", "shown"),
    [
        (b"no such entry\nmore", b"", "no such entry"),
        (b"\n\n  \r\nlater", b"", "later"),
        (b"", b"", ""),
        (f"debug: {CANARY}".encode(), b"", "debug: [REDACTED]"),
        (b"value is hunter-two!", b"hunter-two!\n", "value is [REDACTED]"),
        (b"value is hunter-two!", b"hunter hunter-two!", "value is [REDACTED]"),
        (b"Authorization: Basic dXNlcjpwYXNz", b"", "Authorization: [REDACTED]"),
        (b"https://u:pw@host/", b"", "https://[REDACTED]@host/"),
        (b"\x1b[31mred\x07\x00", b"", " [31mred  "),
        (b"\xff\xfe broken", b"", "�� broken"),
        (b"x " * 500, b"", ("x " * 100)),
    ],
    ids=[
        "line",
        "blank lines",
        "nothing",
        "key",
        "printed",
        "printed, and its beginning",
        "header",
        "userinfo",
        "escapes",
        "bytes",
        "long",
    ],
)
def test_an_error_shows_a_redacted_first_line_of_stderr(stderr: bytes, stdout: bytes, shown: str) -> None:
    assert scrub(stderr, stdout) == shown
