"""What `nono ps`, `inspect`, `logs`, `stop` and `prune` say of real runs, and do to them."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

import nono as nono_package
from support.nono_run import NO_NAMESPACES, NONO, TIMEOUT_S, NonoRun
from support.running import fork_server
from support.running.leaderless import leaderless
from support.sessions.records import directory, leftovers, nono, record_of, records
from support.terminal import terminal

WAYS = [pytest.param((), id="its own namespaces"), pytest.param((NO_NAMESPACES,), id="none")]
# A shell that does not take SIGTERM, and a process of it that has left its group and session.
STUBBORN = "trap '' TERM; setsid sleep 987 & setsid -f sleep 987; echo up; while :; do sleep 0.1; done"
# Holds a process still until it is killed; only its tracer is told of that end, and hands it on.
TRACER = """
import ctypes, os, sys
PTRACE_SEIZE, PTRACE_INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000
pid = int(sys.argv[1])
for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
    if ctypes.CDLL(None).ptrace(request, pid, None, None):
        sys.exit("ptrace")
while os.WIFSTOPPED(os.waitpid(pid, WALL)[1]):
    pass
"""
OPEN: dict[str, Any] = {}


@contextmanager
def session(
    sandbox: NonoRun, script: str, name: str, flags: tuple[str, ...] = ()
) -> Iterator[subprocess.Popen[str]]:
    """Yield a session whose script has printed a line."""
    with sandbox.started(["sh", "-c", script], flags=[*flags, f"--name={name}"]) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "up\n"
        yield run


def processes(sandbox: NonoRun) -> list[str]:
    """Return the processes below this user's home."""
    mark, found = f"HOME={sandbox.user.home}\0".encode(), []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def wait_until(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_ps_lists_what_runs(sandbox: NonoRun) -> None:
    with session(sandbox, "echo up; read line", "here"):
        table = nono(sandbox, "ps").stdout.splitlines()
        assert table[0].split() == [
            "SESSION",
            "NAME",
            "STATUS",
            "ATTACH",
            "PID",
            "UPTIME",
            "PROFILE",
            "COMMAND",
        ]
        assert len(table) == 2
        assert [*table[1].split()[1:4]] == ["here", "running", "attached"]


def test_ps_leaves_out_what_has_ended(sandbox: NonoRun) -> None:
    sandbox.run(["sh", "-c", "exit 3"], profile=OPEN)
    shown = nono(sandbox, "ps")
    assert (shown.returncode, shown.stdout) == (0, "")
    assert shown.stderr == "No session runs; --all lists those that have ended.\n"
    assert "exited(3)" in nono(sandbox, "ps", "--all").stdout


def test_ps_prints_the_records_as_json(sandbox: NonoRun) -> None:
    assert nono(sandbox, "ps", "--json").stdout == "[]\n"
    sandbox.run(["true"], profile=OPEN)
    (shown,) = json.loads(nono(sandbox, "ps", "--all", "--json").stdout)
    assert shown == {"format": 1, **records(sandbox.user)[0], "state": "ended", "questions": []}


@contextmanager
def watching(sandbox: NonoRun, *flags: str) -> Iterator[Callable[[], str]]:
    """Run `nono ps --watch`, which Ctrl-C ends. Yields what reads its next line."""
    argv = sandbox.user.command([*NONO, "ps", "--watch", *flags])
    with fork_server.start(argv, env=sandbox.user.environment(), stdout=subprocess.PIPE, text=True) as watch:
        assert watch.stdout is not None
        yield watch.stdout.readline
        watch.send_signal(signal.SIGINT)
        assert watch.wait(TIMEOUT_S) == 0


def test_a_watch_prints_a_line_for_each_change(sandbox: NonoRun) -> None:
    with watching(sandbox, "--all") as line, session(sandbox, "echo up; read line", "web") as run:
        assert line().split()[2:5] == ["web", "running", "attached"]
        run.communicate("\n", timeout=TIMEOUT_S)
        assert line().split()[2:4] == ["web", "exited(0)"]


def test_a_watch_prints_an_array_for_each_change(sandbox: NonoRun) -> None:
    with watching(sandbox, "--json") as line:
        assert line() == "[]\n"
        with session(sandbox, "echo up; read line", "web") as run:
            assert [record["name"] for record in json.loads(line())] == ["web"]
            run.communicate("\n", timeout=TIMEOUT_S)


def test_a_watch_draws_over_itself_in_a_terminal(sandbox: NonoRun) -> None:
    argv, environment = sandbox.user.command([*NONO, "ps", "--watch"]), sandbox.user.environment()
    with terminal(["/usr/bin/env", *argv], environment, sandbox.project, (24, 80)) as watch:
        with session(sandbox, "echo up; read line", "web"):
            watch.wait_for(b"web")
            assert b"SESSION" in watch.shown
        watch.wait_for(b"\x1b[2A\r\x1b[J")
        watch.type(b"\x03")
        assert watch.end() == 0
    assert watch.shown.endswith(b"\x1b[?25h")


def test_a_watch_prints_lines_in_a_terminal_that_cannot_be_drawn_over(sandbox: NonoRun) -> None:
    argv, environment = (
        sandbox.user.command([*NONO, "ps", "--watch"]),
        sandbox.user.environment({"TERM": "dumb"}),
    )
    with terminal(["/usr/bin/env", *argv], environment, sandbox.project, (24, 80)) as watch:
        with session(sandbox, "echo up; read line", "web"):
            watch.wait_for(b"web  running attached")
        watch.wait_for(b"no longer listed")
        watch.type(b"\x03")
        assert watch.end() == 0
    assert b"\x1b" not in watch.shown


def test_a_stopped_job_is_paused(sandbox: NonoRun) -> None:
    with session(sandbox, "echo up; read line", "paused") as run:
        run.send_signal(signal.SIGSTOP)
        assert wait_until(lambda: "paused  paused" in nono(sandbox, "ps").stdout)
        run.send_signal(signal.SIGCONT)


@pytest.mark.parametrize(
    "command", [("detach", "still"), ("allow", "x.example", "--session", "still")], ids=" ".join
)
def test_a_paused_session_is_said_to_be_paused(command: tuple[str, ...], sandbox: NonoRun) -> None:
    with session(sandbox, "echo up; read line", "still") as run:
        run.send_signal(signal.SIGSTOP)
        assert wait_until(lambda: "still  paused" in nono(sandbox, "ps").stdout)
        told = nono(sandbox, *command)
        run.send_signal(signal.SIGCONT)
    assert told.returncode == 1
    assert "is paused: its supervisor is stopped." in told.stderr


def test_text_of_the_command_cannot_forge_the_table(sandbox: NonoRun) -> None:
    sandbox.run(["printf", "\x1b[2J\nroot  running"], profile=OPEN)
    table = nono(sandbox, "ps", "--all", COLUMNS="300").stdout
    assert "\x1b" not in table
    assert len(table.splitlines()) == 2


@pytest.mark.parametrize("flags", WAYS)
def test_a_killed_supervisor_takes_its_session_along(flags: tuple[str, ...], sandbox: NonoRun) -> None:
    script = 'echo up; echo "$TMPDIR" > dir; sleep 987 & while :; do sleep 0.1; done'
    with session(sandbox, script, "lost", flags) as run:
        run.kill()
        run.wait(TIMEOUT_S)
        child = record_of(sandbox.user, "lost")["child_pid"]
        assert wait_until(lambda: not Path(f"/proc/{child}").exists())
    assert "crashed" in nono(sandbox, "ps", "--all").stdout
    record = record_of(sandbox.user, "lost")
    assert (record["status"], record["exit_code"], record["attachment"]) == ("exited", -1, "detached")
    assert record["end"]["cause"] == "supervisor_killed"
    assert "Reason:    its supervisor was killed" in nono(sandbox, "inspect", "lost").stdout


def test_what_a_killed_supervisor_left_is_gone_afterwards(sandbox: NonoRun) -> None:
    script = 'echo "$TMPDIR" > dir; echo up; read line'
    flags = ["--allow-domain=example.com", NO_NAMESPACES]
    with session(sandbox, script, "lost", tuple(flags)) as run:
        run.kill()
        run.wait(TIMEOUT_S)
    temporary = Path((sandbox.project / "dir").read_text().strip())
    assert temporary.is_dir()
    nono(sandbox, "ps")
    assert not temporary.exists()
    assert [name for name in leftovers(sandbox.user) if not name.startswith(".nono-")] == []


@pytest.mark.parametrize("flags", WAYS)
def test_stop_ends_the_command(flags: tuple[str, ...], sandbox: NonoRun) -> None:
    with session(sandbox, "echo up; sleep 987", "web", flags) as run:
        stopped = nono(sandbox, "stop", "web")
        record = record_of(sandbox.user, "web")
        assert stopped.stderr == f"Stopped session {record['session_id']}.\n"
        assert run.wait(TIMEOUT_S) == 143
    assert (record["end"]["cause"], record["end"]["signal"]) == ("stop", "SIGTERM")
    assert record["end"]["by"].startswith("nono stop (pid ")


@pytest.mark.parametrize("flags", WAYS)
def test_stop_kills_a_tree_that_does_not_end(flags: tuple[str, ...], sandbox: NonoRun) -> None:
    with session(sandbox, STUBBORN, "web", flags) as run:
        stopped = nono(sandbox, "stop", "web", "--timeout=0.5")
        assert stopped.stderr.endswith(" (forced).\n")
        assert run.wait(TIMEOUT_S) == 137
    assert not [command for command in processes(sandbox) if "sleep" in command]
    assert record_of(sandbox.user, "web")["end"]["cause"] == "stop"


@contextmanager
def frozen(sandbox: NonoRun, pid: int) -> Iterator[None]:
    """Freeze a process within the block, as if it hung in the kernel: it takes no signal but SIGKILL."""
    stopping = sandbox.user.command(["sh", "-c", f"while kill -STOP {pid}; do :; done 2>/dev/null"])
    tracing = [sys.executable, "-I", "-S", "-c", TRACER, str(pid)]  # only root may, and need not spin
    tracer = subprocess.Popen(tracing if os.geteuid() == 0 else stopping)
    try:
        assert wait_until(lambda: "\nstate:\tt" in Path(f"/proc/{pid}/status").read_text().lower())
        yield
    finally:
        tracer.kill()
        tracer.wait(TIMEOUT_S)


def with_leaderless(lock: Path) -> str:
    """Return a script like STUBBORN, that also starts a process whose first thread ends."""
    return STUBBORN.replace("echo up;", f"setsid {shlex.join(leaderless(str(lock)))} &")


@pytest.mark.parametrize("flags", WAYS)
def test_stop_ends_a_tree_whose_supervisor_does_not_answer(flags: tuple[str, ...], sandbox: NonoRun) -> None:
    lock = sandbox.project / "lock"
    with session(sandbox, with_leaderless(lock), "web", flags) as run, open(lock) as file:
        assert not is_free(file.fileno())
        with frozen(sandbox, run.pid):
            assert nono(sandbox, "stop", "web", "--force").returncode == 0
        run.wait(TIMEOUT_S)
        assert wait_until(lambda: is_free(file.fileno()))
    assert not [command for command in processes(sandbox) if "sleep" in command]
    end = record_of(sandbox.user, "web")["end"]
    assert (end["cause"], end["detail"]) == ("stop", "its supervisor did not answer")


@pytest.mark.parametrize("flags", WAYS)
def test_stop_ends_a_process_whose_first_thread_has_ended(flags: tuple[str, ...], sandbox: NonoRun) -> None:
    lock = sandbox.project / "lock"
    with session(sandbox, with_leaderless(lock), "web", flags) as run, open(lock) as file:
        assert not is_free(file.fileno())
        assert nono(sandbox, "stop", "web", "--force").returncode == 0
        run.wait(TIMEOUT_S)
        assert wait_until(lambda: is_free(file.fileno()))


def is_free(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def test_stop_ends_a_paused_session(sandbox: NonoRun) -> None:
    with session(sandbox, "echo up; sleep 987", "web") as run:
        run.send_signal(signal.SIGSTOP)
        assert nono(sandbox, "stop", "web").returncode == 0
        assert run.wait(TIMEOUT_S) == 143


def test_what_has_ended_is_not_stopped(sandbox: NonoRun) -> None:
    sandbox.run(["true"], profile=OPEN)
    stopped = nono(sandbox, "stop", "latest")
    assert stopped.returncode == 1
    assert "has already exited (exit code 0).\nhint: nono inspect" in stopped.stderr


def test_a_process_that_got_the_number_of_a_supervisor_is_not_signalled(sandbox: NonoRun) -> None:
    sandbox.run(["true"], profile=OPEN)
    (path,) = directory(sandbox.user).glob("*.json")
    with subprocess.Popen(sandbox.user.command(["sleep", "987"])) as other:
        record = records(sandbox.user)[0] | {"status": "running", "supervisor_pid": other.pid, "end": None}
        path.write_text(json.dumps(record))
        assert "has already exited" in nono(sandbox, "stop", "latest", "--force").stderr
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize("elsewhere", [{"host": "other"}, {"pid_namespace": 1}], ids=["machine", "container"])
def test_a_session_of_another_place_is_neither_judged_nor_stopped(
    elsewhere: dict[str, object], sandbox: NonoRun
) -> None:
    sandbox.run(["true"], profile=OPEN)
    (path,) = directory(sandbox.user).glob("*.json")
    record = records(sandbox.user)[0] | {"status": "running", "exit_code": None, "end": None} | elsewhere
    path.write_text(json.dumps(record))
    assert "running" in nono(sandbox, "ps").stdout
    assert "runs on another machine, or in another container." in nono(sandbox, "stop", "latest").stderr
    assert records(sandbox.user)[0]["status"] == "running"


@pytest.mark.parametrize("command", [["stop", "x"], ["prune"], ["top"], ["top", "--web"]])
def test_a_sandbox_is_no_place_to_end_sessions_from(command: list[str], sandbox: NonoRun) -> None:
    refused = nono(sandbox, *command, NONO_CAP_FILE="/nonexistent")
    assert refused.returncode == 1
    assert f"`nono {command[0]}` cannot be used inside a sandbox." in refused.stderr


def test_a_command_ends_no_session_from_inside(sandbox: NonoRun) -> None:
    with session(sandbox, "echo up; read line", "victim") as victim:
        script = f"unset NONO_CAP_FILE; {' '.join(NONO)} stop --force victim; kill -9 {victim.pid}"
        code = Path(nono_package.__file__).parent.parent
        inside = sandbox.run(["sh", "-c", script], flags=[NO_NAMESPACES, f"--read={code}"])
        assert "the sessions cannot be read" in inside.stderr or "Session not found" in inside.stderr
        assert victim.poll() is None


@pytest.mark.parametrize("command", ["run --allow . -- true", "ps", "credential list"])
def test_a_nono_without_its_files_says_that_it_is_inside(command: str, sandbox: NonoRun) -> None:
    assert nono(sandbox, "ps").returncode == 0
    nono(sandbox, "credential", "set", "openai", stdin="a-key")
    code = Path(nono_package.__file__).parent.parent
    inside = sandbox.run(["sh", "-c", f"{' '.join(NONO)} {command}"], flags=[f"--read={code}"])
    assert inside.exit_code == 1
    told = inside.stderr.replace("\n", " ")
    assert "Permission denied" in told
    assert "hint: this is inside a run of nono" in told
    assert "chmod" not in told


def test_logs_print_a_line_for_each_event(sandbox: NonoRun) -> None:
    sandbox.run(["python3", "-c", "import socket; socket.create_connection(('127.0.0.1', 9))"])
    lines = nono(sandbox, "logs", "latest").stdout.splitlines()
    assert lines[0].split() == ["TIME", "WHAT", "DECISION", "STATUS", "MS", "WHERE"]
    assert "session started" in lines[1]
    assert "exit code 1: the command exited" in lines[-1]
    assert len(nono(sandbox, "logs", "latest", "--tail=1").stdout.splitlines()) == 2


def test_logs_print_the_events_as_json(sandbox: NonoRun) -> None:
    before = {*sandbox.logs()}
    sandbox.run(["true"], profile=OPEN)
    events = sandbox.events_since(before)
    numbered = [{"format": 1, "sequence": number, **each} for number, each in enumerate(events)]
    assert json.loads(nono(sandbox, "logs", "latest", "--json").stdout) == numbered


def test_logs_follow_a_session_to_its_end(sandbox: NonoRun) -> None:
    with session(sandbox, "echo up; read line", "web") as run:
        argv = [*NONO, "logs", "-f", "web"]
        with fork_server.start(
            sandbox.user.command(argv), env=sandbox.user.environment(), stdout=subprocess.PIPE, text=True
        ) as follower:
            assert follower.stdout is not None
            assert "TIME" in follower.stdout.readline()
            run.communicate("\n", timeout=TIMEOUT_S)
            assert "session ended" in follower.stdout.read().splitlines()[-1]
            assert follower.wait(TIMEOUT_S) == 0


def test_logs_follow_a_session_whose_supervisor_is_killed(sandbox: NonoRun) -> None:
    with session(sandbox, "echo up; read line", "web") as run:
        argv = sandbox.user.command([*NONO, "logs", "-f", "--json", "web"])
        with fork_server.start(argv, env=sandbox.user.environment(), stdout=subprocess.PIPE) as follower:
            assert follower.stdout is not None
            assert json.loads(follower.stdout.readline())["type"] == "session_started"
            run.kill()
            run.wait(TIMEOUT_S)
            assert follower.wait(TIMEOUT_S) == 0


def test_a_session_without_a_log_says_so(sandbox: NonoRun) -> None:
    sandbox.run(["true"], profile=OPEN, flags=["--no-audit"])
    told = nono(sandbox, "logs", "latest")
    assert told.returncode == 1
    assert "it ran with --no-audit." in told.stderr


def aged(sandbox: NonoRun, days: int) -> str:
    """Return the id of a session that ended so many days ago."""
    sandbox.run(["true"], profile=OPEN)
    record = records(sandbox.user)[0]
    record["ended_unix_ms"] -= days * 86_400_000
    record["started_unix_ms"] -= days * 86_400_000
    (directory(sandbox.user) / f"{record['session_id']}.json").write_text(json.dumps(record))
    return str(record["session_id"])


def test_prune_forgets_what_ended_long_ago(sandbox: NonoRun) -> None:
    old, young = aged(sandbox, 31), aged(sandbox, 29)
    assert nono(sandbox, "prune", "--dry-run").stderr == f"Would remove: {old}\n"
    assert nono(sandbox, "prune").stderr == f"Removed: {old}\nPruned 1 session(s).\n"
    assert [record["session_id"] for record in records(sandbox.user)] == [young]
    assert nono(sandbox, "prune").stderr == "Nothing to prune.\n"


@pytest.mark.parametrize("flags", [[], ["--logs"]], ids=["records alone", "with their logs"])
def test_prune_keeps_the_audit_log_unless_it_is_asked_for(flags: list[str], sandbox: NonoRun) -> None:
    old = aged(sandbox, 31)
    nono(sandbox, "prune", *flags)
    assert (sandbox.user.home / ".local/state/nono/audit" / old).exists() == (not flags)


def test_prune_before_the_first_run_has_nothing_to_do(sandbox: NonoRun) -> None:
    assert nono(sandbox, "prune").stderr == "Nothing to prune.\n"


def test_prune_removes_what_belongs_to_no_session(sandbox: NonoRun) -> None:
    sandbox.run(["true"], profile=OPEN)
    month_ago = time.time() - 31 * 86_400
    names = ["feed.sock", "proxy-999999999-0123456789abcdef.env", "notes.txt"]
    for name in names:
        path = directory(sandbox.user) / name
        path.touch()
        os.utime(path, (month_ago, month_ago))
    (directory(sandbox.user) / "new.sock").touch()
    subprocess.run(["chown", "-R", "--reference", sandbox.user.home, directory(sandbox.user)], check=True)
    assert nono(sandbox, "prune").stderr.count("Removed: ") == 2
    assert {name for name in leftovers(sandbox.user) if name[0] != "."} == {"notes.txt", "new.sock"}


def damage(sandbox: NonoRun, name: str, content: str, *, days: int = 31, mode: int = 0o600) -> Path:
    path = directory(sandbox.user) / name
    path.write_text(content)
    path.chmod(mode)
    os.utime(path, (time.time() - days * 86_400,) * 2)
    subprocess.run(["chown", "--reference", sandbox.user.home, path], check=True)
    return path


def test_prune_removes_a_damaged_record_with_its_recording(sandbox: NonoRun) -> None:
    sandbox.run(["true"], profile=OPEN)
    empty, cast, cut = (
        damage(sandbox, name, content)
        for name, content in (("a.json", ""), ("a.cast", "x"), ("b.json", '{"session_id": "b", '))
    )
    assert set(nono(sandbox, "prune", "--dry-run").stderr.splitlines()) == {
        f"Would remove: {path}" for path in (empty, cast, cut)
    }
    assert cut.exists()
    nono(sandbox, "prune")
    assert not any(path.exists() for path in (empty, cast, cut))
    assert len(records(sandbox.user)) == 1


@pytest.mark.parametrize(
    ("name", "content", "days", "mode"),
    [
        pytest.param("a.json", "", 29, 0o600, id="younger"),
        pytest.param("a.json", '{"session_id": "a", "later": 1}', 31, 0o600, id="another version's"),
        pytest.param("a.json", "", 31, 0o644, id="one that others may read"),
        pytest.param("a.b.json", "", 31, 0o600, id="a name that no session has"),
    ],
)
def test_prune_leaves_what_it_cannot_judge(
    name: str, content: str, days: int, mode: int, sandbox: NonoRun
) -> None:
    sandbox.run(["true"], profile=OPEN)
    path = damage(sandbox, name, content, days=days, mode=mode)
    assert nono(sandbox, "prune").stderr == "Nothing to prune.\n"
    assert path.exists()


def test_prune_removes_a_younger_damaged_record_if_it_is_asked_to(sandbox: NonoRun) -> None:
    sandbox.run(["true"], profile=OPEN)
    path = damage(sandbox, "a.json", "", days=2)
    assert "Nothing to prune." in nono(sandbox, "prune", "--older-than=3").stderr
    assert nono(sandbox, "prune", "--older-than=1").stderr == f"Removed: {path}\n"


@pytest.mark.parametrize("has_open", [False, True], ids=["closed", "open"])
def test_prune_removes_an_old_log_without_a_session_unless_it_is_open(
    has_open: bool, sandbox: NonoRun
) -> None:
    sandbox.run(["true"], profile=OPEN)
    audit = sandbox.user.home / ".local/state/nono/audit"
    [known] = audit.glob("*/audit-events.ndjson")
    log = audit / "proxy/audit-events.ndjson"
    log.parent.mkdir()
    log.touch()
    for each in (known, log):
        os.utime(each, (time.time() - 31 * 86_400,) * 2)
    subprocess.run(["chown", "-R", "--reference", sandbox.user.home, log.parent], check=True)
    with log.open("ab") if has_open else nullcontext():
        assert "Nothing to prune." in nono(sandbox, "prune").stderr
        nono(sandbox, "prune", "--logs")
        assert (log.exists(), known.exists()) == (has_open, True)


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
def test_prune_keeps_what_lives(stopped: bool, sandbox: NonoRun) -> None:
    with session(sandbox, "echo up; read line", "web") as run:
        if stopped:
            run.send_signal(signal.SIGSTOP)
        assert nono(sandbox, "prune", "--keep=0").stderr == "Nothing to prune.\n"
        run.send_signal(signal.SIGCONT)
        run.communicate("\n", timeout=TIMEOUT_S)
    assert "Pruned 1 session(s)." in nono(sandbox, "prune", "--keep=0").stderr


@pytest.mark.parametrize("status", [0, 3])
def test_a_command_has_ended_as_it_has_although_its_log_has_no_room_for_that(
    sandbox: NonoRun, status: int
) -> None:
    """A limit of the size of a file stands for the full disk: the last event does not fit."""
    before = set(sandbox.logs())
    command = (*NONO, "run", "--allow=.", f"--name=full{status}", "--", "sh", "-c", f"exit {status}")
    assert sandbox.bare(command).exit_code == status
    [log] = set(sandbox.logs()) - before
    ended = sandbox.bare(["prlimit", f"--fsize={log.stat().st_size - 40}", *command])
    assert ended.exit_code == 1
    assert "of a record could be written" in ended.stderr
    both = [each for each in records(sandbox.user) if each["name"] == f"full{status}"]
    assert [each["exit_code"] for each in both] == [status, status]
