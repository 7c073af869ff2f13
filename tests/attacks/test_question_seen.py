"""The question for a file is seen and can be answered, however the command has left the terminal."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.elevation import QUESTION, asked, elevated, python
from support.nono_run import NonoRun
from support.terminal import UNREAD_S

pytestmark = pytest.mark.any_user

LURE = "Press y and Enter"
DRAW_THEN_OPEN = """
import os, sys
os.write(1, bytes.fromhex(sys.argv[1]) + b"\\x1b[1;1H\\x1b[38;5;231;48;5;16mPress y and Enter\\x1b[0m")
open(sys.argv[2]).read()
"""
# What the command does, and what undoes it.
STATES = {
    "default colours alike": (b"\x1b]10;#000000\x1b\\\x1b]11;#000000\x1b\\", b"\x1b]110\x1b\\\x1b]111\x1b\\"),
    "the palette all of one colour": (b"\x1b]4;15;#000000\x1b\\", b"\x1b]104\x1b\\"),
    "bold in a colour of its own": (b"\x1b]5;0;#000000\x1b\\", b"\x1b]105\x1b\\"),
    "the cursor in the background's colour": (b"\x1b]12;#000000\x1b\\", b"\x1b]112\x1b\\"),
    "reversed screen": (b"\x1b[?5h", b"\x1b[?5l"),
    "an image in front": (b"\x1b_Ga=T,z=9,f=24,s=1,v=1;AAAA\x1b\\", b"\x1b_Ga=d\x1b\\"),
    "concealed": (b"\x1b[8m", b"\x1b[0;97;40m"),
    "margins": (b"\x1b[1;2r", b"\x1b[r"),
    "right margin": (b"\x1b[?69h\x1b[1;2s", b"\x1b[?69l"),
    "origin mode": (b"\x1b[2;3r\x1b[?6h", b"\x1b[?6l"),
    "no wrapping": (b"\x1b[?7l", b"\x1b[?7h"),
    "inserting": (b"\x1b[4h", b"\x1b[4l"),
    "VT52": (b"\x1b[?2l", b"\x1b<"),
    "another character set": (b"\x1b%@", b"\x1b%G"),
    "an open link": (b"\x1b]8;;http://x/\x1b\\", b"\x1b]8;;\x1b\\"),
    "a string without an end": (b"\x1b]0;", b"\x18\x1b\\"),
    "a locked keyboard": (b"\x1b[2h", b"\x1b[2l"),
    "each key a sequence, Enter and Ctrl-C too": (b"\x1b[>31u", b"\x1b[=0u"),
    "cursor at the top": (b"\x1b[1;1H", b"\x1b[999;1H"),
}


@pytest.fixture
def outside(sandbox: NonoRun) -> Iterator[Path]:
    file = sandbox.user.home / "outside"
    file.write_text("canary")
    sandbox.give(file)
    yield file
    file.unlink()


@pytest.mark.needs("listener")
def test_each_state_of_the_terminal_is_undone_before_the_question(sandbox: NonoRun, outside: Path) -> None:
    drawn = b"".join(state for state, _ in STATES.values())
    with asked(sandbox, python(DRAW_THEN_OPEN, drawn.hex(), str(outside))) as run:
        run.wait_for_question()
        before = run.person.shown.rpartition(LURE.encode())[2].partition(b"[nono]")[0].replace(b"\r", b"")
        assert {name: undone for name, (_, undone) in STATES.items() if undone not in before} == {}
        assert before.index(b"\x18") == before.index(b"\x1b[0m") + 4  # first of all: it ends any sequence
        assert before.endswith(b"\x1b[0;97;40m\x1b[38:2::255:255:255m\x1b[48:2::0:0:0m\n\n")
        run.person.wait_until_heeded()
        run.person.type(b"n\n")
        assert run.end() == 1
    assert b"Access denied.\x1b[0m" in run.person.shown
    assert run.decisions == ["Requested", {"Denied": {"reason": "a person said no"}}]


@pytest.mark.needs("listener")
def test_tmux_is_asked_to_delete_no_image(sandbox: NonoRun, outside: Path) -> None:
    """It would take the request for a title."""
    command = python(DRAW_THEN_OPEN, "", str(outside))
    with asked(sandbox, command, environment={"TERM": "tmux-256color"}) as run:
        run.answer(b"n\n")
        run.end()
    assert b"\x1b_G" not in run.person.shown


@pytest.mark.needs("listener")
@pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux")
def test_tmux_shows_the_question_in_colours_that_differ(
    sandbox: NonoRun, outside: Path, tmp_path: Path
) -> None:
    black = STATES["default colours alike"][0] + STATES["reversed screen"][0]
    command = elevated(sandbox, python(DRAW_THEN_OPEN, black.hex(), str(outside)))
    tmux = [str(shutil.which("tmux")), "-f", "/dev/null", "-S", str(tmp_path / "tmux")]

    def call(*arguments: str) -> str:
        return subprocess.run(
            [*tmux, *arguments],
            env=sandbox.user.environment({"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}),
            cwd=sandbox.project,
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        ).stdout

    deadline = time.monotonic() + 30

    def wait_for(text: str) -> None:
        while text not in call("capture-pane", "-p") and time.monotonic() < deadline:
            time.sleep(0.05)

    call("new-session", "-d", "-x", "100", "-y", "30", shlex.join(command))
    try:
        wait_for(QUESTION.decode().strip())
        screen = call("capture-pane", "-p", "-e").splitlines()
        # Answered to the end: without its terminal the run would go on, and write to its home.
        time.sleep(UNREAD_S)
        call("send-keys", "n", "Enter")
        wait_for("skip:")
        time.sleep(UNREAD_S)
        call("send-keys", "Enter")
        while call("list-sessions") and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        call("kill-server")
    [line] = [line for line in screen if "Path:" in line]
    [ask] = [line for line in screen if QUESTION.decode().strip() in line]
    text = "\n".join(screen[: screen.index(line) + 1])
    colours = re.findall(r"[34]8;2;\d+;\d+;\d+|[34]8:2:[:\d]+", text.rpartition(LURE)[2])
    assert sorted({each[0] for each in colours}) == ["3", "4"], screen
    assert screen.index(ask) >= 25  # at the bottom, whatever the command wrote above
