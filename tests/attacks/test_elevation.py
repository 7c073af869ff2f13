"""Opens beyond the grants: a person's yes gives that one file, and everything else stays out of reach."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from nono.approval.terminal import DISTURBED, IN_BACKGROUND, NO_TERMINAL
from support.elevation import QUESTION, as_user, asked, elevated, python
from support.nono_run import NonoRun
from support.terminal import terminal

CANARY = "canary of a file outside"


@pytest.fixture
def outside(sandbox: NonoRun) -> Iterator[Path]:
    """Yield a file beside the project, which is not granted."""
    directory = sandbox.user.home / "outside"
    directory.mkdir()
    sandbox.give(directory)
    file = directory / "file"
    file.write_text(CANARY)
    sandbox.give(file)
    yield file
    for left in directory.iterdir():
        left.unlink()
    directory.rmdir()


@pytest.mark.needs("listener")
def test_a_recorded_yes_gives_the_file(sandbox: NonoRun, outside: Path) -> None:
    with asked(sandbox, ["cat", str(outside)]) as run:
        run.answer(b"y\n")
        assert run.end() == 0
    assert CANARY.encode() in run.person.shown
    assert run.decisions == ["Requested", "Granted"]
    assert {entry["request"]["path"] for entry in run.entries} == {str(outside)}
    assert {entry["request"]["access"] for entry in run.entries} == {"Read"}


@pytest.mark.needs("listener")
@as_user
@pytest.mark.parametrize("no", [b"\n", b"\x04", b"\x03"], ids=repr)
def test_anything_else_is_recorded_as_a_no(sandbox: NonoRun, outside: Path, no: bytes) -> None:
    with asked(sandbox, ["cat", str(outside)]) as run:
        run.answer(no)
        assert run.end() == 1
    assert CANARY.encode() not in run.person.shown
    assert b"Operation not permitted" in run.person.shown
    assert run.decisions == ["Requested", {"Denied": {"reason": "a person said no"}}]


# -- the terminal


WRITES_WITHOUT_END = """
import os, sys, threading
began = threading.Event()
def write():
    while True:
        os.write(1, b"SPOOF ")
        began.set()
threading.Thread(target=write, daemon=True).start(); began.wait()
content = open(sys.argv[1]).read()
os.write(1, f"GOT {content}".encode())
os._exit(0)
"""


# As above, by a daemon that has left the session of its parents and has been orphaned by them.
DAEMON_WRITES = WRITES_WITHOUT_END.replace(
    "threading.Thread(target=write, daemon=True).start(); began.wait()",
    """
reading, writing = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()
        os.write(1, b"SPOOF ")
        os.write(writing, b".")
        write()
    os._exit(0)
os.wait()
os.read(reading, 1)
""",
)


@pytest.mark.needs("listener")
@pytest.mark.parametrize("writer", [WRITES_WITHOUT_END, DAEMON_WRITES], ids=["thread", "daemon"])
def test_the_command_stands_still_while_the_question_is_shown(
    sandbox: NonoRun, outside: Path, writer: str
) -> None:
    with asked(sandbox, python(writer, outside)) as run:
        run.answer(b"y\n")
        assert run.end() == 0
    question = run.person.shown.partition(b"is requesting")[2].partition(b"Access granted.")[0]
    assert QUESTION in question
    assert b"SPOOF" not in question
    assert b"SPOOF" in run.person.shown
    assert f"GOT {CANARY}".encode() in run.person.shown
    assert run.decisions == ["Requested", "Granted"]


# timer_create(2) with a sigevent whose signal is SIGCONT: it arrives in a process that is stopped. A timer
# that repeats would end when a SIGSTOP discards its pending SIGCONT, as on a busy machine. And between two
# signals the supervisor has to find the command still.
CONTINUES_ITSELF = (
    """
import ctypes, os, signal, struct, sys
signal.signal(signal.SIGCONT, lambda number, frame: None)  # an ignored one ends the timer (Linux 6.13)
libc = ctypes.CDLL(None, use_errno=True)
event = ctypes.create_string_buffer(struct.pack("QiiQ", 0, signal.SIGCONT, 0, 0), 64)
for half_seconds in range(1, 61):
    timer = ctypes.c_void_p()
    assert libc.timer_create(1, event, ctypes.byref(timer)) == 0
    seconds, half = divmod(half_seconds, 2)
    spec = ctypes.create_string_buffer(struct.pack("qqqq", 0, 0, seconds, half * 500_000_000))
    assert libc.timer_settime(timer, 0, spec, None) == 0
"""
    + WRITES_WITHOUT_END
)


@pytest.mark.needs("listener")
@as_user
def test_a_yes_to_an_overwritten_question_does_not_count(sandbox: NonoRun, outside: Path) -> None:
    stage = ["/bin/sh", "-c", '"$@" < /dev/null', "-"]  # so that it shares the terminal
    with asked(sandbox, python(CONTINUES_ITSELF, outside), stage=stage) as run:
        run.wait_for_question()
        while b"SPOOF" not in run.person.shown.rpartition(QUESTION)[2]:
            run.person.wait_for_more()
        run.person.wait_until_heeded()
        run.person.type(b"y\n")
        assert run.end() != 0
    assert CANARY.encode() not in run.person.shown
    assert run.decisions == ["Requested", {"Denied": {"reason": DISTURBED}}]


@pytest.mark.needs("listener")
@as_user
def test_a_command_with_a_terminal_of_its_own_cannot_overwrite_a_question(
    sandbox: NonoRun, outside: Path
) -> None:
    with asked(sandbox, python(CONTINUES_ITSELF, outside)) as run:
        run.answer(b"y\n")
        assert run.end() == 0
    question = run.person.shown.partition(b"is requesting")[2].partition(b"Access granted.")[0]
    assert QUESTION in question
    assert b"SPOOF" not in question
    assert run.decisions == ["Requested", "Granted"]


@pytest.mark.needs("listener")
@as_user
def test_what_was_typed_before_the_question_answers_nothing(sandbox: NonoRun, outside: Path) -> None:
    waits = 'echo ready; read line; exec cat "$1"'
    with asked(sandbox, ["sh", "-c", waits, "sh", str(outside)]) as run:
        run.person.wait_for(b"ready")
        run.person.type(b"go\ny\ny\n")
        before = run.person.drops
        run.wait_for_question()
        run.person.read(0)
        if run.person.drops == before:  # else this machine stood still for as long as reading it takes
            run.person.type(b"y\n")  # too soon: nobody has read it yet
        run.person.wait_until_heeded()
        run.person.type(b"n\n")
        assert run.end() != 0
    assert CANARY.encode() not in run.person.shown
    assert run.decisions == ["Requested", {"Denied": {"reason": "a person said no"}}]


@pytest.mark.needs("listener")
@as_user
def test_a_name_cannot_pass_for_anything_else(sandbox: NonoRun, outside: Path) -> None:
    """More names in unit/approval/test_wording.py."""
    file = outside.with_name("\x1b[2J\n[nono]   Path: harmless")
    file.write_text(CANARY)
    sandbox.give(file)
    with asked(sandbox, ["cat", str(file)]) as run:
        run.answer(b"n\n")
        assert run.end() == 1
    question = run.person.shown.partition(b"is requesting")[2].partition(QUESTION)[0].decode()
    assert "\x1b" not in question
    joined = "".join(line.removeprefix("[nono]").strip() for line in question.split("\r\n"))
    assert "\\x1b[2J\\x0a[nono] \\x20\\x20Path:" in joined
    assert all(line.startswith("[nono]") for line in question.split("\r\n")[1:-1])
    assert run.entries[-1]["request"]["path"] == str(file)


@pytest.mark.needs("listener")
@as_user
def test_a_name_that_is_not_utf_8_is_opened_after_a_yes(sandbox: NonoRun, outside: Path) -> None:
    file = outside.with_name(os.fsdecode(b"caf\xe9"))
    file.write_text(CANARY)
    sandbox.give(file)
    with asked(sandbox, ["cat", str(file)]) as run:
        run.answer(b"y\n")
        assert run.end() == 0
    assert b"caf\\xe9" in run.person.shown
    assert CANARY.encode() in run.person.shown
    assert run.entries[-1]["request"]["path"] == str(outside.with_name("caf\\xe9"))


@pytest.mark.needs("listener")
def test_without_a_terminal_the_answer_is_no(sandbox: NonoRun, outside: Path) -> None:
    ended = sandbox.run(["cat", str(outside)], profile={}, flags=["--capability-elevation"])
    assert ended.exit_code == 1
    assert "Operation not permitted" in ended.stderr
    decisions = [
        event["entry"]["decision"] for event in ended.events if event["type"] == "capability_decision"
    ]
    assert {"Denied": {"reason": NO_TERMINAL}} in decisions


@pytest.mark.needs("listener")
@as_user
def test_a_caller_that_is_killed_takes_its_question_along(sandbox: NonoRun, outside: Path) -> None:
    with asked(sandbox, ["sh", "-c", 'cat "$1"; echo ended $?', "sh", str(outside)]) as run:
        run.wait_for_question()
        # Both stand still now, and whoever is outside kills the one that waits.
        [caller] = {entry["request"]["child_pid"] for entry in run.entries}
        os.kill(caller, signal.SIGKILL)
        run.person.wait_for(b"who asked is gone")
        assert run.end() == 0
    assert b"ended 137" in run.person.shown
    assert run.decisions == ["Requested", {"Denied": {"reason": "the question was withdrawn"}}]


# -- what nobody is asked about


@pytest.mark.needs("listener", "mounts")
def test_a_denied_path_stays_denied_without_a_question(sandbox: NonoRun, outside: Path) -> None:
    """One in a granted directory, which is masked by a mount; one beside it; and one that is asked about."""
    masked = sandbox.project / ".env"
    masked.write_text(CANARY)
    sandbox.give(masked)
    beside = outside.with_name("denied")
    beside.write_text(CANARY)
    sandbox.give(beside)
    profile = {"filesystem": {"deny": [str(masked), str(beside)]}}
    command = ["sh", "-c", 'cat "$1" "$2"; cat "$3"', "sh", str(masked), str(beside), str(outside)]
    with asked(sandbox, command, profile=profile) as run:
        run.answer(b"y\n")
        assert run.end() == 0
    masked.unlink()
    assert run.asked == 1
    assert run.person.shown.count(CANARY.encode()) == 1
    requested = [entry["request"]["path"] for entry in run.entries if entry["decision"] == "Requested"]
    assert requested == [str(outside)]
    refused = {entry["request"]["path"]: entry for entry in run.entries if entry["backend"] == "policy"}
    assert set(refused) == {str(masked), str(beside)}
    assert all("filesystem.deny" in entry["decision"]["Denied"]["reason"] for entry in refused.values())


@pytest.mark.needs("listener")
def test_a_grant_that_is_too_weak_is_refused_without_a_question(sandbox: NonoRun, outside: Path) -> None:
    flags = [f"--read-file={outside}"]
    with asked(sandbox, ["sh", "-c", 'cat "$1"; echo x >"$1"', "sh", str(outside)], flags=flags) as run:
        assert run.end() == 2
    assert run.person.shown.count(CANARY.encode()) == 1
    assert run.decisions == [{"Denied": {"reason": "granted for read only"}}]


@pytest.mark.needs("listener")
def test_nonos_own_state_is_refused_without_a_question(sandbox: NonoRun) -> None:
    state = sandbox.user.home / ".local/state/nono"
    commands = 'cat "$1"/audit/*/*; ls "$1" "$1"/.. ; ls "$2"; echo x >"$1"/audit/x'
    with asked(sandbox, ["sh", "-c", commands, "sh", str(state), str(sandbox.user.home)]) as run:
        run.end()
    assert b"session_started" not in run.person.shown
    assert run.asked == 0
    reasons = [decision["Denied"]["reason"] for decision in run.decisions]
    assert all("protected nono state root" in reason for reason in reasons)
    assert len(reasons) >= 3


# -- who has the terminal


@pytest.mark.needs("listener")
@as_user
def test_a_question_nobody_answers_in_time_is_denied(sandbox: NonoRun, outside: Path) -> None:
    profile = {"security": {"approval_defaults": {"timeout_secs": 3}}}
    command = ["sh", "-c", 'cat "$1"; echo went on', "sh", str(outside)]
    with asked(sandbox, command, profile=profile) as run:
        run.wait_for_question()
        assert run.end() == 0
    assert b"without an answer within 3 s" in run.person.shown
    assert b"Nobody has answered in time" in run.person.shown
    assert b"went on" in run.person.shown
    assert run.decisions == ["Requested", "Timeout"]


# A job of the command's in front of the terminal, as a shell puts it there; then reads a line itself.
JOB = """
import os, signal, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
os.setpgid(0, 0)
terminal = os.open("/dev/tty", os.O_RDWR)
os.tcsetpgrp(terminal, os.getpgrp())
print(open(sys.argv[1]).read(), flush=True)
print("still in front:", os.tcgetpgrp(terminal) == os.getpgrp(), flush=True)
print("read:", sys.stdin.readline(), flush=True)
"""


@pytest.mark.needs("listener")
@as_user
def test_a_foreground_job_gets_the_terminal_back_after_a_question(sandbox: NonoRun, outside: Path) -> None:
    command = ["sh", "-c", '"$@"; exit $?', "sh", *python(JOB, outside)]
    with asked(sandbox, command) as run:
        run.answer(b"y\n")
        run.person.wait_for(b"still in front: True")
        run.person.type(b"a line\n")
        run.person.wait_for(b"read: a line")
        run.end()
    assert CANARY.encode() in run.person.shown
    assert run.decisions == ["Requested", "Granted"]


@pytest.mark.needs("listener")
@as_user
def test_a_background_nono_asks_nobody_at_the_terminal(sandbox: NonoRun, outside: Path) -> None:
    """Started by a shell as a background job: the shell keeps the terminal, and what is typed there."""
    argv = elevated(sandbox, ["cat", str(outside)])
    before = set(sandbox.logs())
    shell = ["/bin/bash", "--norc", "-i", "-m", "-c", '"$@" & wait $!; echo ended $?', "bash", *argv]
    environment = sandbox.user.environment({"LC_ALL": "C"})
    with terminal(shell, environment, sandbox.project) as person:
        person.wait_for(b"ended 1")
        person.end()
    assert QUESTION not in person.shown
    entries = [
        event["entry"] for event in sandbox.events_since(before) if event["type"] == "capability_decision"
    ]
    assert entries[-1]["decision"] == {"Denied": {"reason": IN_BACKGROUND}}
