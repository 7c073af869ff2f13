"""A run at a terminal has one of its own, which the person may leave."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import termios
import tty
from collections.abc import Callable
from pathlib import Path

import pytest

from support.nono_run import NO_NAMESPACES, NONO, TIMEOUT_S, NonoRun
from support.sessions.detached import (
    KEYS,
    VARIABLES,
    attached,
    detached,
    end,
    has_ended,
    openers,
    wait_until,
    wait_until_detached,
)
from support.sessions.own_terminal import PROMPT, at_terminal, children, in_shell, is_lent
from support.sessions.records import leftovers, nono, record_of
from support.terminal import Terminal, terminal

SHELL = ["bash", "--norc", "--noprofile"]
WAYS = pytest.mark.parametrize(
    "flags", [(), (NO_NAMESPACES,), ("--allow-domain=example.com",)], ids=["namespaces", "none", "proxy"]
)
LEFT = 148
LINES = 50_000
CTRL_Z, CTRL_C = b"\x1a", b"\x03"
ENTER_ALTERNATE, LEAVE_ALTERNATE = b"\x1b[?1049h", b"\x1b[?1049l"
OUTPUT_MIB = 1024 if os.environ.get("NONO_TEST_LONG") else 100


@WAYS
def test_a_run_is_left_and_found_again(flags: tuple[str, ...], sandbox: NonoRun) -> None:
    with at_terminal(sandbox, SHELL, flags=flags) as person:
        person.type(b"mine=$((6*7))\r" + KEYS)
        assert person.end() == LEFT
        assert b"[nono] Session detached.\r\n\r\nResume this session with:\r\n  nono attach " in person.shown
        wait_until_detached(sandbox)
        with attached(sandbox) as again:
            again.type(b"echo mine=$mine\r")
            again.wait_for(b"mine=42")
            again.type(b"exit 7\r")
            assert again.end() == 0
    record = end(sandbox)
    assert (record["exit_code"], record["end"]["cause"]) == (7, "exit")
    assert leftovers(sandbox.user) == []


@WAYS
def test_the_exit_code_is_the_commands(flags: tuple[str, ...], sandbox: NonoRun) -> None:
    with at_terminal(sandbox, ["sh", "-c", "read line; exit 7"], flags=flags) as person:
        person.type(b"go\r")
        assert person.end() == 7
    assert record_of(sandbox.user, "one")["exit_code"] == 7


@pytest.mark.root
@pytest.mark.parametrize(
    "flags", [("--allow-domain=example.com",), (NO_NAMESPACES,)], ids=["a proxy", "none"]
)
def test_nothing_of_a_run_that_was_left_keeps_its_terminal(flags: tuple[str, ...], sandbox: NonoRun) -> None:
    """Else ssh would wait for it when the person logs out."""
    with at_terminal(sandbox, SHELL, flags=flags) as person:
        path = person.path
        assert len(openers(sandbox, path)) == 2  # the process in front, and the one that shows it
        person.type(KEYS)
        assert person.end() == LEFT
        assert openers(sandbox, path) == []


def test_the_supervisor_is_of_another_session_than_the_person(sandbox: NonoRun) -> None:
    with at_terminal(sandbox, SHELL) as person:
        record = record_of(sandbox.user, "one")
        assert (record["status"], record["attachment"]) == ("running", "attached")
        assert os.getsid(record["supervisor_pid"]) == record["supervisor_pid"] != person.process.pid
        assert os.getsid(person.process.pid) == person.process.pid


def test_a_run_is_taken_off_its_terminal_from_elsewhere(sandbox: NonoRun) -> None:
    with at_terminal(sandbox, ["sleep", "987"]) as person:  # which SIGTERM ends; a shell waits to be killed
        assert nono(sandbox, "detach", "one").returncode == 0
        assert person.end() == LEFT
        assert b"Resume this session with:" in person.shown
        assert record_of(sandbox.user, "one")["status"] == "running"
        ending = person.shown.partition(b"End it with:\r\n")[2].split()[:3]
        assert nono(sandbox, *(word.decode() for word in ending[1:])).returncode == 0
    assert end(sandbox)["end"]["cause"] == "stop"


@WAYS
def test_closing_the_terminal_ends_no_command(flags: tuple[str, ...], sandbox: NonoRun) -> None:
    with at_terminal(sandbox, SHELL, flags=flags) as person:
        person.type(b"mine=$((6*7))\r")
        person.wait_for(b"6*7")
        os.close(person.master)
        person.master = os.open(os.devnull, os.O_RDWR)
        person.process.wait(TIMEOUT_S)
        wait_until_detached(sandbox)
        with attached(sandbox) as again:
            again.type(b"echo mine=$mine\r")
            again.wait_for(b"mine=42")


@pytest.mark.parametrize("whom", ["the process that shows it", "the one in front"])
def test_a_killed_viewer_leaves_terminal_and_session_as_they_should_be(whom: str, sandbox: NonoRun) -> None:
    command = ["sh", "-c", "printf '\\033[?1049h\\033[?1003h'; sleep 987"]
    with at_terminal(sandbox, command) as person:
        person.wait_for(b"\x1b[?1003h")
        record = record_of(sandbox.user, "one")
        (viewer,) = {*children(person.process.pid)} - {record["supervisor_pid"]}
        os.kill(viewer if whom == "the process that shows it" else person.process.pid, signal.SIGKILL)
        person.process.wait(TIMEOUT_S)
        person.wait_for(LEAVE_ALTERNATE)
        assert b"\x1b[?1003l" in person.shown
        wait_until(lambda: not is_lent(person), "it is still raw")
        wait_until_detached(sandbox)
        assert not has_ended(record["child_pid"])


def test_a_killed_supervisor_gives_the_terminal_back(sandbox: NonoRun) -> None:
    with at_terminal(sandbox, ["sh", "-c", "printf '\\033[?1049h'; sleep 987"]) as person:
        person.wait_for(ENTER_ALTERNATE)
        record = record_of(sandbox.user, "one")
        os.kill(record["supervisor_pid"], signal.SIGKILL)
        assert person.end() == 128 + signal.SIGKILL
        assert LEAVE_ALTERNATE in person.shown
        assert b"is gone: its supervisor was killed." in person.shown
        wait_until(lambda: has_ended(record["child_pid"]), "the command goes on")


@pytest.mark.parametrize("how", ["exit 0", "kill -9 $$", "kill -INT $$"])
def test_the_terminal_is_as_it_was(how: str, sandbox: NonoRun) -> None:
    with at_terminal(sandbox, ["sh", "-c", f"read line; stty -echo raw; {how}"]) as person:
        raw = person.modes()
        person.type(b"go\r")
        person.end()
        after = person.modes()
        assert after[tty.LFLAG] & termios.ICANON
        assert after != raw


def test_a_run_that_fails_to_start_changes_no_terminal(sandbox: NonoRun) -> None:
    argv = sandbox.argv(["./nothing"], profile={})
    with terminal(argv, sandbox.user.environment(VARIABLES), sandbox.project) as person:
        before = person.modes()
        assert person.end() == 1
        assert b"nono: Command execution failed: ./nothing: no such file\r\n" in person.shown
        assert person.modes() == before


def test_a_run_that_nobody_could_find_again_is_not_left(sandbox: NonoRun) -> None:
    state = sandbox.user.home / ".local"
    state.write_text("no directory, so that there is no record")
    argv = sandbox.argv(SHELL, profile={}, flags=["--no-audit", NO_NAMESPACES])
    with terminal(argv, sandbox.user.environment(VARIABLES), sandbox.project) as person:
        person.wait_for(b"`nono ps` will not show this run")
        wait_until(lambda: is_lent(person), "it is not shown")
        person.type(KEYS)
        person.type(b"echo $$ > pid; echo still=$((1+1))\r")
        person.wait_for(b"still=2")
        assert b"Resume" not in person.shown
        (supervisor,) = [pid for pid in children(person.process.pid) if os.getsid(pid) == pid]
        os.close(person.master)
        person.master = os.open(os.devnull, os.O_RDWR)
        person.process.wait(TIMEOUT_S)
        wait_until(lambda: has_ended(supervisor), "it goes on")


@WAYS
def test_a_closed_terminal_ends_reads_where_nobody_can_find_the_run(
    flags: tuple[str, ...], sandbox: NonoRun
) -> None:
    # A shell may miss the signal; outside, it would read nothing more from a terminal that is closed.
    state = sandbox.user.home / ".local/state/nono"
    state.mkdir(parents=True, mode=0o700)
    (state / "sessions").write_text("no directory, so that there is no record")
    for each in (state, state.parent, state.parent.parent):
        sandbox.user.give(each)
    reads = "trap '' HUP; echo be''gun; read line; echo read=$? > ended"
    argv = sandbox.argv(["bash", "-c", reads], profile={}, flags=["--no-audit", *flags])
    with terminal(argv, sandbox.user.environment(VARIABLES), sandbox.project) as person:
        person.wait_for(b"begun")
        os.close(person.master)
        person.master = os.open(os.devnull, os.O_RDWR)
        person.process.wait(TIMEOUT_S)
        ended = sandbox.project / "ended"
        # The shell makes the file before it writes the line.
        wait_until(lambda: ended.exists() and ended.read_text().endswith("\n"), "it reads on")
    assert ended.read_text() == "read=1\n"


# A shell in front


@WAYS
def test_ctrl_z_gives_the_prompt_back_until_fg(flags: tuple[str, ...], sandbox: NonoRun) -> None:
    command = ["sh", "-c", "echo be''gun; read line; echo got=$line"]
    with in_shell(sandbox, command, flags=flags) as person:
        person.wait_for(b"begun")
        person.type(CTRL_Z)
        person.wait_for(b"Stopped")
        person.wait_for(PROMPT)
        person.type(b"echo out=$((1+1))\r")
        person.wait_for(b"out=2")
        person.type(b"fg\r")
        wait_until(lambda: is_lent(person), "it is not shown again")
        person.type(b"words\r")
        person.wait_for(b"got=words")
        person.wait_for(PROMPT)


def test_ctrl_z_stops_a_session_that_is_attached_to(sandbox: NonoRun) -> None:
    shell = sandbox.user.command(["bash", "--norc", "--noprofile", "-i"])
    variables = sandbox.user.environment({**VARIABLES, "PS1": PROMPT.decode()})
    with (
        detached(sandbox, ["sh", "-c", "read line; echo got=$line; sleep 987"]),
        terminal(shell, variables, sandbox.project) as person,
    ):
        person.wait_for(PROMPT)
        person.type(shlex.join([*NONO, "attach", "one"]).encode() + b"\r")
        wait_until(lambda: is_lent(person), "it is not shown")
        person.type(CTRL_Z)
        person.wait_for(b"Stopped")
        person.type(b"fg\r")
        wait_until(lambda: is_lent(person), "it is not shown again")
        person.type(b"words\r")
        person.wait_for(b"got=words")


def test_a_run_that_is_started_in_the_background_waits_there(sandbox: NonoRun) -> None:
    shell = sandbox.user.command(["bash", "--norc", "--noprofile", "-i"])
    variables = sandbox.user.environment({**VARIABLES, "PS1": PROMPT.decode()})
    argv = sandbox.argv(
        ["sh", "-c", "echo be''gun; read line; echo got=$line"], profile={}, flags=["--name=one"]
    )
    line = shlex.join(argv[len(sandbox.user.command([])) :])
    with terminal(shell, variables, sandbox.project) as person:
        person.wait_for(PROMPT)
        person.type(f"{line} &\r".encode())
        person.wait_for(b"begun")
        person.type(b"echo out=$((1+1))\r")
        person.wait_for(b"out=2")
        person.type(b"fg\r")
        wait_until(lambda: is_lent(person), "it is not shown")
        person.type(b"words\r")
        person.wait_for(b"got=words")


def test_a_run_in_the_background_leaves_a_terminal_that_is_closed(sandbox: NonoRun) -> None:
    """No signal tells of it: the kernel sends one to the shell and to the job in front alone."""
    shell = sandbox.user.command(["bash", "--norc", "--noprofile", "-i"])
    variables = sandbox.user.environment({**VARIABLES, "PS1": PROMPT.decode()})
    argv = sandbox.argv(
        ["sh", "-c", "echo be''gun; read line; echo got=$line"], profile={}, flags=["--name=one"]
    )
    line = shlex.join(argv[len(sandbox.user.command([])) :])
    with terminal(shell, variables, sandbox.project) as person:
        person.wait_for(PROMPT)
        person.type(f"{line} & disown\r".encode())
        person.wait_for(b"begun")
        os.close(person.master)
        person.master = os.open(os.devnull, os.O_RDWR)
        person.process.wait(TIMEOUT_S)
        wait_until_detached(sandbox)
        with attached(sandbox) as again:
            again.type(b"words\r")
            again.wait_for(b"got=words")


def copies(person: Terminal, word: bytes) -> Callable[[], bool]:
    """Return what types a line and tells if cat has copied one; a shell may still edit the first."""
    typed = 0

    def is_copied() -> bool:
        nonlocal typed
        typed += 1
        person.type(word + b"\r")  # the terminal shows each once, cat again
        return person.read(0.2) and person.shown.count(word + b"\r\n") > typed

    return is_copied


def test_a_job_of_the_commands_own_shell_is_stopped_by_itself(sandbox: NonoRun) -> None:
    with in_shell(sandbox, SHELL) as person:
        person.type(b"cat\r")
        person.wait_for(b"cat\r\n")

        wait_until(copies(person, b"x"), "cat does not run")
        person.type(CTRL_Z)
        person.wait_for(b"Stopped")
        assert is_lent(person)
        person.type(b"fg\r")
        person.wait_for(b"fg\r\n")
        wait_until(copies(person, b"yes"), "cat does not go on")
        person.shown = b""
        person.type(CTRL_C)
        person.wait_for(PROMPT)
        person.type(b"echo code=$?\r")
        person.wait_for(b"code=130")


@pytest.mark.skipif(shutil.which("vim") is None, reason="there is no vim")
def test_an_editor_is_suspended_and_drawn_anew(sandbox: NonoRun) -> None:
    (sandbox.project / "text").write_text("first line of the text\n")
    with in_shell(sandbox, ["vim", "-u", "NONE", "-N", "text"]) as person:
        person.wait_for(b"first line of the text")
        person.type(CTRL_Z)
        person.wait_for(b"Stopped")
        assert person.shown.rindex(LEAVE_ALTERNATE) > person.shown.rindex(ENTER_ALTERNATE)
        person.shown = b""
        person.type(b"fg\r")
        person.wait_for(b"first line of the text")
        assert ENTER_ALTERNATE in person.shown
        person.type(b":q\r")
        person.wait_for(PROMPT)


@pytest.mark.parametrize("is_sent_behind", [False, True], ids=["fg", "bg"])
def test_a_question_before_the_start_is_left_alone_by_ctrl_z(sandbox: NonoRun, is_sent_behind: bool) -> None:
    variables = sandbox.user.environment({**VARIABLES, "PS1": PROMPT.decode()})
    shell = sandbox.user.command(["bash", "--norc", "--noprofile", "-i"])
    with terminal(shell, variables, sandbox.project) as person:
        person.wait_for(PROMPT)
        person.type(" ".join([*NONO, "run", "--", "printf", "beg%s", "un"]).encode() + b"\r")
        person.wait_for(b"[y/N] ")
        person.type(CTRL_Z)
        person.wait_for(b"Stopped")
        person.type(b"echo y=$((1+1))\r")  # not for the question
        person.wait_for(b"y=2")
        if is_sent_behind:
            person.type(b"bg\r")
            person.wait_for(b" &\r\n")
            person.type(b"echo z=$((1+2))\r")  # nor is this
            person.wait_for(b"z=3")
            (front,) = children(person.process.pid)
            stat = Path(f"/proc/{front}/stat")
            wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "it goes on")
        person.type(b"fg\r")
        person.wait_for(b"fg\r\n")
        person.wait_until_heeded()
        person.type(b"y\r")
        person.wait_for(b"begun")
    assert f"{sandbox.project} (dir)".encode() in person.shown


def test_a_run_in_the_background_leaves_the_terminal_alone(sandbox: NonoRun) -> None:
    with in_shell(sandbox, ["sh", "-c", "echo be''gun; read line; echo got=$line"]) as person:
        person.wait_for(b"begun")
        person.type(CTRL_Z)
        person.wait_for(b"Stopped")
        person.shown = b""
        person.type(b"bg\r")
        person.wait_for(PROMPT)
        person.type(b"echo out=$((1+1))\r")
        person.wait_for(b"out=2")
        person.type(b"fg\r")
        wait_until(lambda: is_lent(person), "it is not shown again")
        person.type(b"words\r")
        person.wait_for(b"got=words")


def test_what_is_typed_at_the_prompt_goes_to_no_session_that_was_left(sandbox: NonoRun) -> None:
    with in_shell(sandbox, SHELL, after="; echo code=$?") as person:
        person.type(KEYS)
        person.wait_for(f"code={LEFT}".encode())
        person.wait_for(PROMPT)
        person.type(b"echo at=$PS1.\r")
        person.wait_for(b"at=" + PROMPT + b".")


def test_ctrl_c_reaches_the_script_that_has_started_the_run(sandbox: NonoRun) -> None:
    argv = sandbox.argv(["sh", "-c", "echo be''gun; exec sleep 987"], profile={}, flags=["--name=one"])
    # As make does, a script that heeds Ctrl-C starts one run after the other, in one job.
    script = 'trap "echo heard; exit 9" INT; "$@"; echo next; exit 1'
    own = argv[len(sandbox.user.command([])) :]
    argv = sandbox.user.command(["bash", "-c", script, "-", *own])
    with terminal(argv, sandbox.user.environment(VARIABLES), sandbox.project) as person:
        person.wait_for(b"begun")
        person.type(CTRL_C)
        assert person.end() == 9
        assert b"heard" in person.shown


@pytest.mark.parametrize("is_typed", [True, False], ids=["typed", "sent"])
def test_ctrl_c_leaves_no_run_though_the_terminal_makes_a_signal_of_it(
    sandbox: NonoRun, is_typed: bool
) -> None:
    """As in the moment before raw mode, or with `kill -INT %1`."""
    command = ["sh", "-c", "trap 'echo heard; exit 9' INT; echo be''gun; while :; do sleep 0.1; done"]
    with at_terminal(sandbox, command) as person:
        person.wait_for(b"begun")
        wait_until(lambda: is_lent(person), "it is not shown")
        if is_typed:
            at_person = person.other_end()
            modes = termios.tcgetattr(at_person)
            modes[tty.LFLAG] |= termios.ISIG
            termios.tcsetattr(at_person, termios.TCSANOW, modes)
            os.close(at_person)
            person.type(CTRL_C)
        else:
            os.kill(person.process.pid, signal.SIGINT)
        assert person.end() == 9
    assert b"heard" in person.shown


@pytest.mark.parametrize("option", ["--foreground", "--"], ids=["the run", "its job"])
def test_a_program_that_ends_the_run_it_has_started_ends_the_command(sandbox: NonoRun, option: str) -> None:
    """Without --foreground, timeout(1) sends its signal to the whole job as well."""
    argv = sandbox.argv(["sh", "-c", "echo be''gun; exec sleep 987"], profile={}, flags=["--name=one"])
    stage = ["/bin/bash", "--norc", "-ic", f'timeout {option} 987 "$@"; echo code=$?', "-"]
    with terminal([*stage, *argv], sandbox.user.environment(VARIABLES), sandbox.project) as person:
        person.wait_for(b"begun")
        (limit,) = children(person.process.pid)
        os.kill(limit, signal.SIGALRM)  # timeout(1) takes it for the end of its time
        person.wait_for(b"code=124\r\n")  # in raw mode it would end with the line feed alone
        assert b"Session detached" not in person.shown
    assert end(sandbox)["exit_code"] == 143


# What is shown


def test_much_output_takes_no_memory(sandbox: NonoRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NONO_TEST_COLD", "1")  # what is forked begins with the memory of the fork server
    script = f"read line; head -c {OUTPUT_MIB}M /dev/zero; echo; echo last words; read line"
    command = ["sh", "-c", script]
    with at_terminal(sandbox, command) as person:
        person.type(b"go\r")
        seen = 0
        while b"last words" not in person.shown:
            assert person.read(TIMEOUT_S)
            seen += len(person.shown)
            person.shown = person.shown[-20:]
        assert seen > OUTPUT_MIB << 20
        record = record_of(sandbox.user, "one")
        for pid in (record["supervisor_pid"], *children(person.process.pid)):
            status = Path(f"/proc/{pid}/status").read_text()
            (peak_kb,) = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")]
            assert peak_kb < 60_000
        person.type(b"go\r")
        assert person.end() == 0


def test_a_terminal_that_was_left_non_blocking_is_no_reason_to_leave(sandbox: NonoRun) -> None:
    """As by Node when it is killed: the run was left at the first output that the terminal took slowly."""
    argv = sandbox.argv(["seq", str(LINES)], profile={})
    leaves = (
        "import fcntl, os, sys; fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_NONBLOCK);"
        "os.execvp(sys.argv[1], sys.argv[1:])"
    )
    with terminal(
        [sys.executable, "-c", leaves, *argv], sandbox.user.environment(VARIABLES), sandbox.project
    ) as person:
        assert person.end() == 0
        assert b"".join(b"%d\r\n" % number for number in range(1, LINES + 1)) in person.shown


def test_every_byte_passes_in_both_directions(sandbox: NonoRun) -> None:
    every = (bytes(range(256)) * 40).replace(KEYS, b"..")
    script = (
        "import os, tty; tty.setraw(0); os.write(1, b'ready'); left = 10240\n"
        "while left: piece = os.read(0, left); left -= len(piece); os.write(1, piece)\n"
    )
    with at_terminal(sandbox, [sys.executable, "-c", script]) as person:
        person.wait_for(b"ready")
        person.shown = b""
        for sent in range(0, len(every), 512):
            person.type(every[sent : sent + 512])
            person.wait_for(every[: sent + 511])


def test_a_new_size_reaches_the_program(sandbox: NonoRun) -> None:
    with at_terminal(sandbox, SHELL) as person:
        person.resize(33, 111)
        person.type(b"until [ \"$(stty size)\" = '33 111' ]; do sleep 0.05; done; echo size=$((1+1))\r")
        person.wait_for(b"size=2")


def test_a_pipe_makes_no_terminal(sandbox: NonoRun) -> None:
    argv = sandbox.argv(
        ["sh", "-c", "test -t 0 && test -t 2 && tty > tty; test -t 1 || echo piped"], profile={}
    )
    stage = ["/bin/bash", "-c", '"$@" | cat', "-"]
    with terminal([*stage, *argv], sandbox.user.environment(VARIABLES), sandbox.project) as person:
        assert person.end() == 0
        assert b"piped" in person.shown
        assert (sandbox.project / "tty").read_text() == f"{person.path}\n"


# nono shell, and times


def test_the_shell_of_the_person_runs_inside(sandbox: NonoRun) -> None:
    argv = sandbox.user.command([*NONO, "shell", f"--allow={sandbox.project}", "--name=one"])
    variables = {**VARIABLES, "SHELL": "/bin/sh", "PS1": "inside> "}
    with terminal(argv, sandbox.user.environment(variables), sandbox.project) as person:
        person.wait_for(b"Exit the shell with Ctrl-D or 'exit'.")
        person.wait_for(b"inside> ")
        person.type(b"echo > $HOME/outside; echo > inside; echo done=$((1+1))\r")
        person.wait_for(b"done=2")
        person.type(b"exit 3\r")
        assert person.end() == 3
    assert b"It may not read" not in person.shown
    assert b"DIAGNOSTIC" not in person.shown
    assert (sandbox.project / "inside").exists()
    assert not (sandbox.user.home / "outside").exists()
    assert record_of(sandbox.user, "one")["command"] == ["/bin/sh"]


@pytest.mark.parametrize(
    ("has_settings", "may_read", "is_told"),
    [(True, False, True), (False, False, False), (True, True, False)],
    ids=["denied", "none", "granted"],
)
def test_a_shell_that_may_not_read_its_settings_is_told_why(
    sandbox: NonoRun, has_settings: bool, may_read: bool, is_told: bool
) -> None:
    settings = sandbox.user.home / ".bashrc"
    if has_settings:
        settings.touch()
    granted = [f"--read-file={settings}", f"--bypass-protection={settings}"] if may_read else []
    argv = sandbox.user.command([*NONO, "shell", "--shell=/bin/bash", f"--allow={sandbox.project}", *granted])
    with terminal(argv, sandbox.user.environment(VARIABLES), sandbox.project) as person:
        person.wait_for(b"Permission denied" if is_told else b"$ ")
        person.type(b"exit\r")
        person.end()
    settings.unlink(missing_ok=True)
    assert (b"It may not read ~/.bashrc: settings" in person.shown) is is_told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["shell", "ls"], "nono shell runs no other command: 'ls'"),
        (
            ["run", "--startup-timeout=x", "--", "true"],
            "--startup-timeout 'x': expected seconds, up to 3600.",
        ),
        (["run", "--detached", "--detach-timeout=3601", "--", "true"], "expected seconds, up to 3600."),
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str], told: str, sandbox: NonoRun) -> None:
    done = nono(sandbox, *words)
    assert done.returncode != 0
    assert told in done.stderr


@pytest.mark.parametrize(
    ("script", "code"),
    [("printf '\\033[?25l\\033[2J'; sleep 987", 137), ("echo up; sleep 4; exit 5", 5)],
    ids=["nothing", "something"],
)
@pytest.mark.parametrize("flags", [(), ("--allow-domain=example.com",)], ids=["no loop", "a loop"])
def test_a_command_that_shows_nothing_in_time_is_ended(
    script: str, code: int, flags: tuple[str, ...], sandbox: NonoRun
) -> None:
    with at_terminal(sandbox, ["sh", "-c", script], flags=["--startup-timeout=3", *flags]) as person:
        assert person.end() == code
    assert (b"blocked: no terminal output after 3 seconds." in person.shown) is (code == 137)
    assert b"killed by signal" not in person.shown  # it was nono, and that has been said
    cause = record_of(sandbox.user, "one")["end"]["cause"]
    assert cause == ("stop" if code == 137 else "exit")


@pytest.mark.parametrize(("flag", "is_told"), [("--startup-timeout=1", True), ("--startup-timeout=0", False)])
def test_a_timeout_for_the_start_is_said_to_be_off_without_a_terminal(
    flag: str, is_told: bool, sandbox: NonoRun
) -> None:
    run = sandbox.run(["true"], flags=[flag, "--silent"])
    assert run.exit_code == 0
    assert ("--startup-timeout is switched off" in run.stderr) is is_told


# In a multiplexer


@pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux")
def test_a_pane_that_is_closed_leaves_the_session(sandbox: NonoRun) -> None:
    socket = str(sandbox.user.home / "tmux")
    tmux = sandbox.user.command([str(shutil.which("tmux")), "-f", "/dev/null", "-S", socket])
    variables = sandbox.user.environment({**VARIABLES, "PS1": PROMPT.decode(), "SHELL": "/bin/bash"})
    argv = sandbox.argv(["vim", "-u", "NONE", "-N", "text"], profile={}, flags=["--name=one"])
    line = shlex.join(argv[len(sandbox.user.command([])) :])
    (sandbox.project / "text").write_text("first line of the text\n")

    def call(*words: str) -> str:
        done = subprocess.run(
            [*tmux, *words],
            env=variables,
            cwd=sandbox.project,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        return done.stdout

    def shows(text: str) -> bool:
        return text in call("capture-pane", "-p")

    call("new-session", "-d", "-x", "100", "-y", "30", "bash --norc --noprofile -i")
    try:
        call("send-keys", line, "Enter")
        wait_until(lambda: shows("first line of the text"), "vim shows nothing")
        call("send-keys", "C-z")
        wait_until(lambda: shows("Stopped"), "it does not stop")
        assert not shows("first line of the text")  # the screen of before is back
        call("send-keys", "fg", "Enter")
        wait_until(lambda: shows("first line of the text"), "vim is not drawn anew")
        call("resize-window", "-x", "70", "-y", "20")

        def has_new_size() -> bool:
            # Asked again: vim is told of the size beside the keys, and may be told later.
            call("send-keys", "Escape", ":set lines? columns?", "Enter")
            return shows("lines=20") and shows("columns=70")

        wait_until(has_new_size, "the size is another one")
        call("send-keys", "Enter")  # vim waits for one
        wait_until(lambda: not shows("Press ENTER"), "vim goes on waiting")
        record = record_of(sandbox.user, "one")
        call("kill-session")
        wait_until_detached(sandbox)
        assert not has_ended(record["child_pid"])
        with attached(sandbox) as again:
            again.wait_for(b"first line of the text")
            again.type(b"\x1b:q\r")
            again.end()
        assert end(sandbox)["exit_code"] == 0
    finally:
        call("kill-server")
