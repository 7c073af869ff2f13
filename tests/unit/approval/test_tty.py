"""nono.approval.tty: the terminal during a question, and after it."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from nono.approval import tty
from nono.approval.tty import NoTurnsError, line_mode, own_turn, recover_sequence

IFLAG, LFLAG, CHARACTERS = 0, 3, 6
DELETE_IMAGES = b"\x1b_Ga=d"  # kitty's graphics protocol
EXTPROC = 0o200000  # <asm-generic/termbits.h>


@pytest.fixture
def keyboard() -> Iterator[tuple[int, int]]:
    """Yield the two ends of a real terminal: where keys are typed, and what programs have."""
    master, slave = pty.openpty()
    yield master, slave
    os.close(slave)
    os.close(master)


@pytest.fixture
def terminal(keyboard: tuple[int, int]) -> int:
    """Return a terminal on which the user has said `stty tostop`."""
    _, slave = keyboard
    set_modes(slave, lflag=termios.TOSTOP)
    return slave


def set_modes(terminal: int, iflag: int = 0, lflag: int = 0, **keys: bytes) -> None:
    attributes = termios.tcgetattr(terminal)
    attributes[IFLAG] |= iflag
    attributes[LFLAG] |= lflag
    for name, key in keys.items():
        attributes[CHARACTERS][getattr(termios, name)] = key
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)


def read(terminal: int) -> bytes:
    """Return what there is to read; nothing if the line has no end."""
    return os.read(terminal, 64) if select.select([terminal], [], [], 0.2)[0] else b""


LEFT_BY_A_COMMAND = [
    pytest.param(0, EXTPROC, {}, id="lines edited elsewhere"),
    pytest.param(termios.IXON, 0, {"VSTOP": b"\r", "VSTART": b"\x01"}, id="Enter stops the output"),
    pytest.param(termios.IXON, 0, {"VSTOP": b"y", "VSTART": b"n"}, id="yes stops it"),
    pytest.param(0, termios.ISIG, {"VINTR": b"y", "VQUIT": b"\r"}, id="yes interrupts nono"),
    pytest.param(
        termios.ISTRIP | termios.IUCLC | termios.PARMRK, termios.IEXTEN, {}, id="letters are changed"
    ),
]
OF_A_COMMAND = pytest.mark.parametrize(("iflag", "lflag", "keys"), LEFT_BY_A_COMMAND)


@OF_A_COMMAND
def test_an_answer_arrives_as_it_was_typed(
    keyboard: tuple[int, int], iflag: int, lflag: int, keys: dict[str, bytes]
) -> None:
    """Found by the hunt: Enter ended no line, and nono waited for good."""
    master, slave = keyboard
    set_modes(slave, iflag, lflag, **keys)
    with line_mode(slave):
        os.write(master, "yÄ\r".encode())
        assert read(slave) == "yÄ\n".encode()


@OF_A_COMMAND
def test_without_that_it_does_not(
    keyboard: tuple[int, int], iflag: int, lflag: int, keys: dict[str, bytes]
) -> None:
    master, slave = keyboard
    set_modes(slave, iflag, lflag, **keys)
    os.write(master, "yÄ\r".encode())
    assert read(slave) != "yÄ\n".encode()


def test_keys_that_the_user_has_set_to_hold_the_output_hold_it_still(keyboard: tuple[int, int]) -> None:
    _, slave = keyboard
    set_modes(slave, termios.IXON, VSTOP=b"\x0f", VSTART=b"\x10")
    before = termios.tcgetattr(slave)[CHARACTERS]
    with line_mode(slave, has_signals=True):
        during = termios.tcgetattr(slave)[CHARACTERS]
    for key in (termios.VSTOP, termios.VSTART):
        assert during[key] == before[key]


@pytest.mark.parametrize(
    ("has_signals", "stops"),
    [
        pytest.param(True, True, id="as the user set it"),
        pytest.param(False, False, id="as a command left it"),
    ],
)
def test_tostop_holds_while_a_user_is_asked(terminal: int, has_signals: bool, stops: bool) -> None:
    with line_mode(terminal, has_signals=has_signals):
        assert bool(termios.tcgetattr(terminal)[LFLAG] & termios.TOSTOP) is stops


def test_the_terminal_is_given_back_as_it_was(terminal: int) -> None:
    before = termios.tcgetattr(terminal)
    with line_mode(terminal):
        assert termios.tcgetattr(terminal) != before
    assert termios.tcgetattr(terminal) == before


@pytest.mark.parametrize(
    ("kind", "is_cleared"),
    [("xterm-kitty", True), ("xterm-256color", True), ("tmux-256color", False), ("screen", False)],
)
def test_no_image_covers_a_question_and_no_multiplexer_takes_that_for_a_title(
    kind: str, is_cleared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", kind)
    assert (DELETE_IMAGES in recover_sequence()) is is_cleared


@pytest.mark.parametrize(
    "undone",
    [
        b"\x1b[2l",  # a locked keyboard
        b"\x1b[=0u",  # each key a sequence, Enter and Ctrl-C too
        b"\x1b[>4m",  # Ctrl-C a sequence
        *(b"\x1b[?%dl" % mode for mode in (9, 1000, 1002, 1003)),  # the mouse
        b"\x1b[?1004l",  # the focus: a "y" after its report would be a no
    ],
)
def test_keys_arrive_as_typed_on_a_terminal_that_a_command_has_left(undone: bytes) -> None:
    """Where it has no terminal of its own, nobody else has tracked what it set."""
    assert undone in recover_sequence()


# A session with a terminal, and a job in front of it as shells make one.
WITH_A_JOB = """\
import fcntl, os, signal, sys, termios
from nono.approval.tty import foreground

os.setsid()
_, terminal = os.openpty()
fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
asks_above = sys.argv[1] == "above"
job = os.fork()
if job == 0 and asks_above:
    signal.pause()
if job == 0:
    os.setpgid(0, 0)
if job and asks_above:
    os.setpgid(job, job)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    os.tcsetpgrp(terminal, job)
if job == 0 or asks_above:
    before = os.tcgetpgrp(terminal)
    with foreground(terminal) as is_ours:
        is_in_front = os.tcgetpgrp(terminal) == os.getpgrp()
    print(os.getpid() == 1, is_ours, is_in_front, os.tcgetpgrp(terminal) == before, flush=True)
if job:
    os.kill(job, signal.SIGKILL) if asks_above else os.waitpid(job, 0)
"""
AS_PROCESS_1 = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]


@pytest.mark.parametrize(
    ("stage", "who", "told"),
    [
        pytest.param([], "above", "False True True True", id="of its job"),
        pytest.param([], "below", "False False False True", id="of what started it"),
        pytest.param(
            AS_PROCESS_1,
            "above",
            "True True True True",
            id="of the job of process 1",
            marks=pytest.mark.needs("mounts", "user namespaces"),
        ),
    ],
)
def test_the_foreground_is_taken_only_from_what_descends_from_nono(
    stage: list[str], who: str, told: str
) -> None:
    argv = [*stage, sys.executable, "-c", WITH_A_JOB, who]
    asked = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert asked.stdout == f"{told}\n", asked.stderr


def test_two_runs_at_a_terminal_do_not_ask_at_once(
    keyboard: tuple[int, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of two questions at once the kernel would give a typed yes to either."""
    master, slave = keyboard
    other_master, other = pty.openpty()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    terminals = [slave, slave, other, slave]
    monkeypatch.setattr(fcntl, "ioctl", lambda _, *asked, to=fcntl.ioctl: to(terminals.pop(0), *asked))
    fcntl.flock(slave, fcntl.LOCK_EX)  # by a command, whose lock its terminal keeps
    with own_turn() as first:
        assert first.take()
        with own_turn() as second, own_turn() as elsewhere:
            assert not second.take()
            assert not second.wait(tty.TURN_PAUSE_S)
            assert elsewhere.take()
        assert first.take()
        child = os.fork()  # such as a launcher, which holds what is open
        if child == 0:
            os.read(master, 1)
            os._exit(0)
    try:
        with own_turn() as third:
            assert third.wait(1)
    finally:
        os.write(slave, b"x")
        os.waitpid(child, 0)
        os.close(other)
        os.close(other_master)


def test_without_a_state_that_can_be_written_there_are_no_turns(
    keyboard: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "ioctl", lambda _, *asked, to=fcntl.ioctl: to(keyboard[1], *asked))
    monkeypatch.setenv("XDG_STATE_HOME", "/proc")
    with own_turn() as first, own_turn() as second:
        assert first.take()
        assert second.take()


@pytest.mark.parametrize(
    ("changed", "mode"),
    [("nono/asking", 0o777), ("nono/asking", 0), ("nono/asking/TERMINAL", 0), ("nono", 0), (".", 0o600)],
)
def test_a_changed_mode_ends_no_turns(
    keyboard: tuple[int, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, changed: str, mode: int
) -> None:
    """Without namespaces a command can change modes: Landlock does not restrict chmod(2)."""
    monkeypatch.setattr(fcntl, "ioctl", lambda _, *asked, to=fcntl.ioctl: to(keyboard[1], *asked))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with own_turn() as first:
        assert first.take()
    lock = next((tmp_path / "state/nono/asking").iterdir())
    path = tmp_path / "state" / changed.replace("TERMINAL", lock.name)
    before = path.stat().st_mode & 0o777
    path.chmod(mode)
    try:
        if os.geteuid() == 0 and mode != 0o777:  # nothing is closed to root
            with own_turn() as first, own_turn() as second:
                assert first.take()
                assert not second.take()
        else:
            with (
                own_turn() as first,
                pytest.raises(NoTurnsError, match=r"asking cannot be used .*: chmod"),
            ):
                first.take()
            monkeypatch.setenv("NONO_CAP_FILE", "/run/nono")  # a nono inside
            with own_turn() as inside:
                assert inside.take()
            monkeypatch.delenv("NONO_CAP_FILE")
    finally:
        path.chmod(before)
    with own_turn() as again:
        assert again.take()


def test_a_mode_that_is_as_it_was_by_the_time_it_is_looked_at_ends_no_turns(
    keyboard: tuple[int, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def closed(path: str, *, create: bool) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(fcntl, "ioctl", lambda _, *asked, to=fcntl.ioctl: to(keyboard[1], *asked))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(tty, "open_private_dir", closed)
    with own_turn() as first, pytest.raises(NoTurnsError, match=r"cannot be used \(Permission denied\)"):
        first.take()
    # Below `nono wrap`, which tells a nono inside no more than where its state would be.
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ".cache/nono/caches/project/state"))
    with own_turn() as inside:
        assert inside.take()
