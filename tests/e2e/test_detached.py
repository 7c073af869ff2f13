"""A detached session has a terminal of its own, which a person leaves and comes back to."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import termios
import time
import tty
from contextlib import suppress
from pathlib import Path

import pytest

import nono as nono_package
from support.nono_run import NO_NAMESPACES, NONO, TIMEOUT_S, NonoRun
from support.sessions.detached import (
    KEYS,
    OPEN,
    VARIABLES,
    attached,
    detached,
    end,
    has_ended,
    openers,
    wait_until,
    wait_until_detached,
)
from support.sessions.records import directory, leftovers, nono, record_of
from support.terminal import terminal

SHELL = ["bash", "--norc", "--noprofile"]
WAYS = [pytest.param((), id="its own namespaces"), pytest.param((NO_NAMESPACES,), id="none")]
ENTER_ALTERNATE, LEAVE_ALTERNATE = b"\x1b[?1049h", b"\x1b[?1049l"


@pytest.mark.parametrize("flags", WAYS)
def test_the_command_has_a_terminal_of_its_own(flags: tuple[str, ...], sandbox: NonoRun) -> None:
    with detached(sandbox, SHELL, flags=flags), attached(sandbox) as viewer:
        viewer.type(
            b"tty; test -t 0 -a -t 1 -a -t 2 && echo all=$((1+1)); echo x > /dev/tty && echo its=own\r"
        )
        viewer.wait_for(b"all=2")
        viewer.wait_for(b"its=own")
        assert b"job control" not in viewer.shown


def test_a_session_that_is_asked_for_more_than_its_terminal_is_shown_on(sandbox: NonoRun) -> None:
    with detached(sandbox, SHELL) as record, attached(sandbox) as viewer:
        viewer.type(b"echo before=$((1+1))\r")
        viewer.wait_for(b"before=2")
        if os.geteuid() == 0:  # its own user does not look into a supervisor
            loaded = Path(f"/proc/{record['supervisor_pid']}/maps").read_text()
            assert "/uvloop/" not in loaded  # nobody waits for an event loop to attach
        assert "running" in nono(sandbox, "inspect", "one").stdout
        viewer.type(b"echo after=$((1+1))\r")
        viewer.wait_for(b"after=2")


def test_the_shell_of_the_person_has_its_prompt_back(sandbox: NonoRun) -> None:
    with detached(sandbox, ["sleep", "987"]) as record:
        assert (record["status"], record["attachment"]) == ("running", "detached")
        assert os.getsid(record["supervisor_pid"]) == record["supervisor_pid"]
        # As the parent of a job in the same session it can be told of Ctrl-Z.
        assert os.getsid(record["child_pid"]) == record["supervisor_pid"]
        assert os.getpgid(record["child_pid"]) == record["child_pid"]


@pytest.mark.root
@pytest.mark.parametrize(
    "flags", [("--allow-domain=example.com",), (NO_NAMESPACES,)], ids=["a proxy", "none"]
)
def test_nothing_of_a_session_keeps_the_terminal_of_its_start(
    flags: tuple[str, ...], sandbox: NonoRun
) -> None:
    argv = sandbox.argv(["sleep", "987"], profile=OPEN, flags=["--detached", "--name=one", *flags])
    with terminal(argv, sandbox.user.environment(VARIABLES), sandbox.project) as starter:
        assert starter.end() == 0
        assert openers(sandbox, starter.path) == []
        assert openers(sandbox, os.readlink(f"/proc/{record_of(sandbox.user, 'one')['child_pid']}/fd/0"))
    assert nono(sandbox, "stop", "one", "--force").returncode == 0


def test_a_name_that_another_session_has_is_told_while_that_runs(sandbox: NonoRun) -> None:
    """Both start: names are not unique, and a script may start many."""
    with detached(sandbox, ["sleep", "60"]) as running:
        told = sandbox.run(["true"], flags=["--name=one"]).stderr
        named = f"--name 'one': session {running['session_id']}, which is running, has that name."
        assert named in " ".join(told.split())
        other = sandbox.run(["true"], flags=["--name=two"]).stderr
        assert "has that name" not in other
    wait_until(lambda: has_ended(running["supervisor_pid"]), "it goes on")  # it has been killed
    assert "has that name" not in sandbox.run(["true"], flags=["--name=one"]).stderr


def test_a_question_is_asked_before_the_session_detaches(sandbox: NonoRun) -> None:
    argv = sandbox.user.command([*NONO, "run", "--detached", "--name=one", "--", "touch", "granted"])
    with terminal(argv, sandbox.user.environment(VARIABLES), sandbox.project) as starter:
        starter.answer(b"[y/N] ", b"n\r")
        assert starter.end() == 0
    assert end(sandbox)["exit_code"] == 1


def test_ctrl_c_at_a_question_starts_nothing(sandbox: NonoRun) -> None:
    argv = sandbox.user.command([*NONO, "run", "--detached", "--name=one", "--", "true"])
    with terminal(argv, sandbox.user.environment(VARIABLES), sandbox.project) as starter:
        starter.answer(b"[y/N] ", b"\x03")
        assert starter.end() != 0
    assert not directory(sandbox.user).exists() or not leftovers(sandbox.user)


@pytest.mark.parametrize("flags", WAYS)
def test_a_session_goes_on_when_its_viewer_detaches(flags: tuple[str, ...], sandbox: NonoRun) -> None:
    with detached(sandbox, SHELL, flags=flags):
        with attached(sandbox) as viewer:
            viewer.type(b"mine=$((6*7))\r")
            viewer.type(KEYS)
            assert viewer.end() == 0
            assert (
                b"[nono] Session detached.\r\n\r\nResume this session with:\r\n  nono attach " in viewer.shown
            )
        wait_until_detached(sandbox)
        with attached(sandbox) as again:
            again.type(b"echo mine=$mine\r")
            again.wait_for(b"mine=42")
            again.type(b"exit 7\r")
            assert again.end() == 0
            assert b"has exited (exit code 7)." in again.shown
        assert end(sandbox)["exit_code"] == 7


def test_the_terminal_of_the_viewer_is_as_it_was(sandbox: NonoRun) -> None:
    with detached(sandbox, SHELL), attached(sandbox) as viewer:
        kept = viewer.other_end()
        try:
            viewer.type(KEYS)
            viewer.end()
            assert termios.tcgetattr(kept)[tty.LFLAG] & (termios.ICANON | termios.ECHO | termios.ISIG)
        finally:
            os.close(kept)


def test_the_program_sees_the_size_of_the_viewer(sandbox: NonoRun) -> None:
    with detached(sandbox, SHELL), attached(sandbox) as viewer:
        viewer.resize(33, 111)
        viewer.type(b"until [ \"$(stty size)\" = '33 111' ]; do sleep 0.05; done; echo size=$((1+1))\r")
        viewer.wait_for(b"size=2")


def test_ctrl_c_interrupts_what_is_in_front(sandbox: NonoRun) -> None:
    with detached(sandbox, SHELL), attached(sandbox) as viewer:
        viewer.type(b"sh -c 'echo st\"\"arted; exec sleep 987'\r")
        viewer.wait_for(b"started")
        viewer.type(b"\x03")
        viewer.type(b"echo code=$?\r")
        viewer.wait_for(b"code=130")


def test_a_job_of_the_shell_is_suspended_and_resumed(sandbox: NonoRun) -> None:
    with detached(sandbox, SHELL), attached(sandbox) as viewer:
        viewer.type(b"sh -c 'echo be\"\"gun; read line; echo got=$line'\r")
        viewer.wait_for(b"begun")
        viewer.type(b"\x1a")
        viewer.wait_for(b"Stopped")
        viewer.type(b"fg\r")
        # fg tells which job it resumes. Until then the shell reads key by key, and \r would end no line.
        viewer.wait_for(b"\x1b[?2004l\rsh -c")
        viewer.type(b"words\r")
        viewer.wait_for(b"got=words")


@pytest.mark.parametrize("flags", WAYS)
def test_every_byte_passes_in_both_directions(flags: tuple[str, ...], sandbox: NonoRun) -> None:
    every = bytes(range(256)) * 40
    script = (
        "import os, sys, tty; input(); tty.setraw(0); os.write(1, b'ready'); left = 10240\n"
        "while left: piece = os.read(0, left); left -= len(piece); os.write(1, piece)\n"
    )
    with detached(sandbox, [sys.executable, "-c", script], flags=flags), attached(sandbox) as viewer:
        viewer.type(b"go\r")
        viewer.wait_for(b"ready")
        without_keys = every.replace(KEYS, b"..")
        viewer.shown = b""
        sent = 0
        while sent < len(without_keys):
            viewer.type(without_keys[sent : sent + 512])
            sent += 512
            viewer.wait_for(without_keys[: sent - 1])


@pytest.mark.skipif(shutil.which("vim") is None, reason="there is no vim")
def test_an_editor_is_drawn_again_in_a_terminal_that_comes_later(sandbox: NonoRun) -> None:
    (sandbox.project / "text").write_text("first line of the text\n")
    with detached(sandbox, ["vim", "-u", "NONE", "-N", "text"]):
        for _ in range(2):
            with attached(sandbox) as viewer:
                viewer.wait_for(b"first line of the text")
                assert ENTER_ALTERNATE in viewer.shown
                viewer.type(KEYS)
                viewer.end()
                assert viewer.shown.rindex(LEAVE_ALTERNATE) > viewer.shown.rindex(ENTER_ALTERNATE)
        with attached(sandbox) as viewer:
            viewer.wait_for(b"first line of the text")
            viewer.type(b":q\r")
            viewer.end()
            assert b"has exited (exit code 0)." in viewer.shown


@pytest.mark.skipif(shutil.which("less") is None, reason="there is no less")
def test_a_pager_is_drawn_again(sandbox: NonoRun) -> None:
    (sandbox.project / "text").write_text("".join(f"line {n}\n" for n in range(500)))
    with detached(sandbox, ["less", "text"]), attached(sandbox) as viewer:
        viewer.wait_for(b"line 20")

        def is_at_the_end() -> bool:
            viewer.type(b"G")  # more than once: less drops what is typed while its size changes
            return viewer.read(0.3) and b"line 499" in viewer.shown

        wait_until(is_at_the_end, "it is not at the end")
        viewer.type(KEYS)
        viewer.end()
        with attached(sandbox) as again:
            again.wait_for(b"line 499")


@pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux")
def test_a_multiplexer_runs_inside(sandbox: NonoRun) -> None:
    flags = ("--allow-unix-socket-dir-bind=" + str(sandbox.project),)
    command = ["tmux", "-S", str(sandbox.project / "t"), "-f", "/dev/null", "new", "sh"]
    with detached(sandbox, command, flags=flags), attached(sandbox) as viewer:
        viewer.type(b"echo in=$((1+1))\r")
        viewer.wait_for(b"in=2")
        viewer.type(KEYS)
        viewer.end()
        assert viewer.shown.rindex(LEAVE_ALTERNATE) > viewer.shown.rindex(ENTER_ALTERNATE)


def test_leaving_undoes_what_a_program_has_armed(sandbox: NonoRun) -> None:
    script = "printf '\\033[?1000h\\033[?2004h\\033[>1u\\033[?25l'; echo armed; sleep 987"
    with detached(sandbox, ["sh", "-c", script]), attached(sandbox) as viewer:
        for mode in (b"\x1b[?1000h", b"\x1b[?2004h", b"\x1b[>1u", b"\x1b[?25l"):
            viewer.wait_for(mode)
        viewer.type(KEYS)
        viewer.end()
        left = viewer.shown.rpartition(b"\x1b[?25l")[2]
        for mode in (b"\x1b[?1000l", b"\x1b[?2004l", b"\x1b[<1u", b"\x1b[?25h"):
            assert mode in left
        assert LEAVE_ALTERNATE not in left


def test_a_session_is_detached_from_elsewhere(sandbox: NonoRun) -> None:
    with detached(sandbox, SHELL) as record, attached(sandbox) as viewer:
        assert nono(sandbox, "detach", "one").stderr == f"Detached session {record['session_id']}.\n"
        assert viewer.end() == 0
        assert b"[nono] Session detached." in viewer.shown
        again = nono(sandbox, "detach", "one")
        assert (again.returncode, again.stderr) == (
            0,
            f"Nobody is attached to session {record['session_id']}.\n",
        )


def test_who_attaches_is_recorded(sandbox: NonoRun) -> None:
    before = {*sandbox.logs()}
    with detached(sandbox, SHELL), attached(sandbox) as viewer:
        viewer.type(KEYS)
        viewer.end()
        wait_until_detached(sandbox)
        shown = [event for event in sandbox.events_since(before) if event["type"] == "terminal_shown"]
        assert [event["attached"] for event in shown] == [True, False]


def test_closing_the_terminal_detaches(sandbox: NonoRun) -> None:
    with detached(sandbox, SHELL) as record:
        with attached(sandbox) as viewer:
            os.close(viewer.master)
            viewer.process.wait(TIMEOUT_S)
            viewer.master = os.open(os.devnull, os.O_RDWR)
        wait_until_detached(sandbox)
        assert not has_ended(record["child_pid"])


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("whom", ["the process that shows it", "the one that waits for that"])
def test_a_killed_viewer_leaves_no_broken_terminal(whom: str, sandbox: NonoRun) -> None:
    with detached(sandbox, ["sh", "-c", "printf '\\033[?1049h\\033[?1003h'; sleep 987"]) as record:
        with attached(sandbox) as viewer:
            kept = viewer.other_end()
            viewer.wait_for(b"\x1b[?1003h")
            os.kill(
                viewer.process.pid
                if whom == "the one that waits for that"
                else children(viewer.process.pid)[0],
                signal.SIGKILL,
            )
            viewer.process.wait(TIMEOUT_S)
            viewer.wait_for(LEAVE_ALTERNATE)
            assert b"\x1b[?1003l" in viewer.shown
            wait_until(lambda: termios.tcgetattr(kept)[tty.LFLAG] & termios.ICANON, "it is still raw")
            os.close(kept)
        wait_until_detached(sandbox)
        assert not has_ended(record["child_pid"])


@pytest.mark.parametrize("flags", WAYS)
def test_a_killed_supervisor_leaves_neither_command_nor_socket(
    flags: tuple[str, ...], sandbox: NonoRun
) -> None:
    with (
        detached(sandbox, ["sh", "-c", "echo up; sleep 987"], flags=flags) as record,
        attached(sandbox) as viewer,
    ):
        os.kill(record["supervisor_pid"], signal.SIGKILL)
        assert viewer.end() == 0
        assert b"is gone: its supervisor was killed." in viewer.shown
        wait_until(lambda: has_ended(record["child_pid"]), "the command goes on")
        assert record_of(sandbox.user, "one")["end"]["cause"] == "supervisor_killed"
        assert [name for name in leftovers(sandbox.user) if not name.startswith(".nono-")] == []


def test_a_killed_command_ends_its_session(sandbox: NonoRun) -> None:
    with detached(sandbox, ["sleep", "987"]) as record, attached(sandbox) as viewer:
        os.kill(record["child_pid"], signal.SIGKILL)
        viewer.end()
        assert b"has exited (exit code 137)." in viewer.shown
        assert end(sandbox)["end"] == {"cause": "signal", "signal": "SIGKILL", "by": None, "detail": None}
        wait_until(lambda: has_ended(record["supervisor_pid"]), "its supervisor goes on")
        assert leftovers(sandbox.user) == []


@pytest.mark.parametrize("flags", WAYS)
def test_a_detached_session_is_stopped(flags: tuple[str, ...], sandbox: NonoRun) -> None:
    with detached(sandbox, ["sh", "-c", "trap '' HUP TERM; sleep 987; sleep 987"], flags=flags) as record:
        assert nono(sandbox, "stop", "one", "--timeout=0.3").returncode == 0
        assert has_ended(record["child_pid"])
        assert end(sandbox)["end"]["cause"] == "stop"


def test_output_that_nobody_sees_holds_nothing_up(sandbox: NonoRun) -> None:
    command = ["sh", "-c", "head -c 60M /dev/zero; touch done; read line"]
    with detached(sandbox, command) as record:
        wait_until((sandbox.project / "done").exists, "it is held up")
        status = Path(f"/proc/{record['supervisor_pid']}/status").read_text()
        (peak_kb,) = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")]
        assert peak_kb < 120_000


def test_a_viewer_that_takes_nothing_holds_the_command_up_for_a_time_only(sandbox: NonoRun) -> None:
    command = ["sh", "-c", "read line; head -c 50M /dev/zero; touch done; sleep 987"]
    with detached(sandbox, command) as record, attached(sandbox) as viewer:
        viewer.type(b"go\r")
        time.sleep(1.0)
        assert not (sandbox.project / "done").exists()
        wait_until((sandbox.project / "done").exists, "it is held up")
        assert record_of(sandbox.user, "one")["attachment"] == "detached"
        status = Path(f"/proc/{record['supervisor_pid']}/status").read_text()
        (peak_kb,) = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")]
        assert peak_kb < 120_000


def test_the_last_words_of_a_command_are_shown(sandbox: NonoRun) -> None:
    command = ["sh", "-c", "read line; seq 100000; echo last words"]
    with detached(sandbox, command), attached(sandbox) as viewer:
        viewer.type(b"go\r")
        viewer.end()
        assert b"\r\n100000\r\nlast words\r\n" in viewer.shown


def test_a_command_that_ends_at_once_has_started(sandbox: NonoRun) -> None:
    done = sandbox.run(["true"], profile=OPEN, flags=["--detached", "--name=quick"])
    assert done.exit_code == 0
    assert "Started detached session" in done.stderr
    assert end(sandbox, "quick")["exit_code"] == 0


@pytest.mark.parametrize(
    ("command", "exit_code", "sentence"),
    [
        (["no-such-program"], 1, "no-such-program: not found on PATH"),
        (["./script"], 127, "Command execution failed"),
    ],
)
def test_a_command_that_does_not_start_says_why(
    command: list[str], exit_code: int, sentence: str, sandbox: NonoRun
) -> None:
    script = sandbox.project / "script"
    script.write_text("#!/nowhere\n")
    script.chmod(0o755)
    done = sandbox.run(command, profile=OPEN, flags=["--detached"])
    assert done.exit_code == exit_code
    assert sentence in done.stderr
    assert f"Detached session failed to start (exit status: {exit_code})." in done.stderr


def test_a_start_that_takes_too_long_is_given_up(sandbox: NonoRun) -> None:
    argv = sandbox.user.command(
        [*NONO, "run", "--detached", "--detach-timeout=4", "--name=one", "--", "true"]
    )
    with terminal(argv, sandbox.user.environment(VARIABLES), sandbox.project) as starter:
        starter.wait_for(b"[y/N] ")  # which nobody answers
        assert starter.end() == 1
        assert b"failed to become attachable within its startup timeout (4 s)." in starter.shown
        assert starter.modes()[tty.LFLAG] & termios.ECHO
    assert not directory(sandbox.user).exists() or not leftovers(sandbox.user)


@pytest.mark.parametrize(("flags", "exit_code"), [([], 0), (["--detached"], 2)])
def test_how_long_a_detached_session_may_take_concerns_no_other_run(
    flags: list[str], exit_code: int, sandbox: NonoRun
) -> None:
    exported = {"NONO_DETACH_STARTUP_TIMEOUT": "3601"}
    run = sandbox.run(["true"], profile=OPEN, flags=flags, environment=exported)
    assert run.exit_code == exit_code, run.stderr
    assert ("NONO_DETACH_STARTUP_TIMEOUT is set" in run.stderr) is (exit_code == 2)


def test_only_a_session_with_a_terminal_is_attached_to(sandbox: NonoRun) -> None:
    with sandbox.started(["sh", "-c", "echo up; read line"], flags=["--name=plain"]) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "up\n"
        argv = sandbox.user.command([*NONO, "attach", "plain"])
        with terminal(argv, sandbox.user.environment(VARIABLES), sandbox.project) as viewer:
            assert viewer.end() == 1
            assert b"has no terminal to attach to.\r\nhint: only a run at a terminal, or" in viewer.shown


def test_what_has_ended_is_not_attached_to(sandbox: NonoRun) -> None:
    sandbox.run(["true"])
    told = nono(sandbox, "attach", "latest")
    assert (told.returncode, told.stdout) == (1, "")
    assert "has already exited (exit code 0).\nhint: nono inspect" in told.stderr


def test_without_a_terminal_nothing_is_attached_to(sandbox: NonoRun) -> None:
    with detached(sandbox, ["sleep", "987"]):
        told = nono(sandbox, "attach", "one")
        assert (told.returncode, told.stdout) == (1, "")
        assert "nono attach needs a terminal" in told.stderr


def test_only_the_user_reaches_the_socket(sandbox: NonoRun) -> None:
    with detached(sandbox, ["sleep", "987"]) as record:
        for suffix in (".sock", ".key"):
            found = (directory(sandbox.user) / (record["session_id"] + suffix)).stat()
            assert (found.st_mode & 0o777, found.st_uid) == (0o600, sandbox.user.uid)


def asked(sandbox: NonoRun, session_id: str, head: bytes) -> bytes:
    """Return the answer to a program of this user outside any sandbox."""
    script = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect(sys.argv[1]);"
        "s.sendall(sys.stdin.buffer.read()); sys.stdout.buffer.write(s.recv(4096))"
    )
    path = directory(sandbox.user) / f"{session_id}.sock"
    argv = sandbox.user.command([sys.executable, "-c", script, str(path)])
    done = subprocess.run(argv, input=head, capture_output=True, timeout=TIMEOUT_S, check=False)
    assert not done.stderr or not head.endswith(b"\r\n\r\n"), done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /v1/attach HTTP/1.1\r\n\r\n", b"401"),
        (
            b"GET /v1/attach HTTP/1.1\r\nAuthorization: Bearer 0123456789abcdef0123456789abcdef\r\n\r\n",
            b"401",
        ),
        (b"POST /v1/detach HTTP/1.1\r\n\r\n", b"401"),
        (b"GET / HTTP/1.0\r\n\r\n", b"400"),
        (b"\xff\r\n\r\n", b"400"),
        (b"x" * 9000, b""),
    ],
)
def test_nobody_without_the_key_is_served(head: bytes, status: bytes, sandbox: NonoRun) -> None:
    with detached(sandbox, SHELL) as record, attached(sandbox) as viewer:
        assert asked(sandbox, record["session_id"], head)[9:12] == status
        viewer.type(b"echo still=$((1+1))\r")
        viewer.wait_for(b"still=2")


def test_connections_that_say_nothing_keep_nobody_out(sandbox: NonoRun) -> None:
    """More than may wait, of a program of this user: the session closes each of them."""
    script = (
        "import socket, sys; idle = [socket.socket(socket.AF_UNIX) for _ in range(20)]\n"
        "for each in idle: each.connect(sys.argv[1]); each.settimeout(10)\n"
        "print([each.recv(1) for each in idle])"
    )
    with detached(sandbox, SHELL) as record:
        path = directory(sandbox.user) / f"{record['session_id']}.sock"
        argv = sandbox.user.command([sys.executable, "-c", script, str(path)])
        done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        assert done.stdout == f"{[b''] * 20}\n", done.stderr
        with attached(sandbox) as viewer:
            viewer.type(b"echo still=$((1+1))\r")
            viewer.wait_for(b"still=2")


@pytest.mark.root
def test_root_is_not_let_in_either(sandbox: NonoRun) -> None:
    with detached(sandbox, ["sleep", "987"]) as record:
        key = (directory(sandbox.user) / f"{record['session_id']}.key").read_text()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(directory(sandbox.user) / f"{record['session_id']}.sock"))
            asked = f"POST /v1/detach HTTP/1.1\r\nAuthorization: Bearer {key}\r\n\r\n"
            with suppress(ConnectionResetError, BrokenPipeError):
                connection.sendall(asked.encode())
                assert connection.recv(100) == b""


@pytest.mark.parametrize("flags", WAYS)
def test_a_command_attaches_to_no_session_from_inside(flags: tuple[str, ...], sandbox: NonoRun) -> None:
    code = Path(nono_package.__file__).parent.parent
    with detached(sandbox, SHELL, name="victim") as record:
        socket_path = directory(sandbox.user) / f"{record['session_id']}.sock"
        script = (
            f"unset NONO_CAP_FILE; cat {socket_path.with_suffix('.key')}; {' '.join(NONO)} detach victim;"
            f'{sys.executable} -c "import socket; s = socket.socket(socket.AF_UNIX);'
            f"s.connect('{socket_path}');"
            "s.sendall(b'GET /v1/attach HTTP/1.1\\r\\n\\r\\n'); print(s.recv(100))\""
        )
        inside = sandbox.run(["sh", "-c", script], profile=OPEN, flags=[*flags, f"--read={code}"])
        assert "101" not in inside.stdout
        assert record["session_id"] not in inside.stdout
        assert record_of(sandbox.user, "victim")["attachment"] == "detached"
        with attached(sandbox, "victim") as viewer:
            viewer.type(b"echo mine=$((1+1))\r")
            viewer.wait_for(b"mine=2")


def test_no_variable_of_a_session_is_inherited(sandbox: NonoRun) -> None:
    with detached(sandbox, SHELL), attached(sandbox) as viewer:
        viewer.type(b"env | grep -c NONO_; echo end=$((1+1))\r")
        viewer.wait_for(b"end=2")
        assert b"\r1\r\n" in viewer.shown  # NONO_CAP_FILE


def test_a_proxy_serves_a_detached_session(sandbox: NonoRun) -> None:
    with detached(sandbox, SHELL, flags=["--allow-domain=example.com"]), attached(sandbox) as viewer:
        viewer.type(
            sys.executable.encode()
            + b" -c 'import urllib.request as u; u.urlopen(\"http://other.example/\")' 2>&1 | tail -1\r"
        )
        viewer.wait_for(b"other.example is not in the allowlist")
