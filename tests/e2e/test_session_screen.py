"""Attaching shows the screen of a session as it is, and costs the person's own screen nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from nono.supervisor.screen.library import library_path
from support.nono_run import NonoRun
from support.sessions.detached import KEYS, attached, detached
from support.sessions.xterm import Xterm, Xterms, xterms
from support.terminal import Terminal

pytestmark = pytest.mark.skipif(library_path() is None, reason="there is no libghostty-vt")
SHELL = ["bash", "--norc", "--noprofile"]
VIM = b"vim -u NONE -N -i NONE text\r"


@pytest.fixture(scope="module")
def terminals() -> Iterator[Xterms]:
    with xterms() as made:
        yield made


def persons(terminals: Xterms, viewer: Terminal) -> Xterm:
    """Return a person's terminal that had some lines on its screen before."""
    seen = terminals.new(24, 80)
    seen.write(b"mine 1\r\nmine 2\r\n$ nono attach one\r\n")
    seen.write(viewer.shown)
    return seen


def lines(shown: list[list[list[str]]]) -> list[str]:
    return ["".join(cell[0] for cell in row).rstrip() for row in shown]


def leave(viewer: Terminal) -> None:
    viewer.type(KEYS)
    assert viewer.end() == 0


def test_what_a_shell_has_printed_is_shown_to_a_terminal_that_comes_later(sandbox: NonoRun) -> None:
    with detached(sandbox, SHELL):
        with attached(sandbox) as viewer:
            viewer.type(b"seq -f 'number %g' 100; echo last=$((1+1))\r")
            viewer.wait_for(b"last=2")
            leave(viewer)
        with attached(sandbox) as again:
            again.wait_for(b"last=2")
            assert b"number 1\r\n" in again.shown  # from above the screen


@pytest.mark.fetched
def test_what_a_person_had_on_the_screen_moves_up(sandbox: NonoRun, terminals: Xterms) -> None:
    with detached(sandbox, SHELL), attached(sandbox) as viewer:
        viewer.type(b"echo here=$((1+1))\r")
        viewer.wait_for(b"here=2")
        leave(viewer)
        seen = persons(terminals, viewer).show()
        assert seen["history"][:2] == ["mine 1", "mine 2"]
        assert b"\x1b[2J" not in viewer.shown
        assert b"\x1b[3J" not in viewer.shown


@pytest.mark.skipif(shutil.which("vim") is None, reason="there is no vim")
@pytest.mark.fetched
def test_the_screen_from_before_an_editor_is_there_after_it(sandbox: NonoRun, terminals: Xterms) -> None:
    (sandbox.project / "text").write_text("first line of the text\n")
    with detached(sandbox, SHELL):
        with attached(sandbox) as viewer:
            viewer.type(b"echo before=$((1+1))\r")
            viewer.wait_for(b"before=2")
            viewer.type(VIM)
            viewer.wait_for(b"first line of the text")
            leave(viewer)
        with attached(sandbox) as again:
            again.wait_for(b"first line of the text")
            assert "first line of the text" in lines(persons(terminals, again).show()["screen"])
            again.type(b":q\r")
            again.wait_for(b"\x1b[?1049l")
            again.type(b"echo after=$((1+1))\r")
            again.wait_for(b"after=2")
            shown = lines(persons(terminals, again).show()["screen"])
            assert shown.index("before=2") < shown.index("after=2")
            assert "first line of the text" not in shown


def test_the_title_of_the_program_comes_and_goes(sandbox: NonoRun) -> None:
    with detached(sandbox, ["sh", "-c", "printf '\\033]2;of the program\\007'; read line"]):
        for _ in range(2):
            with attached(sandbox) as viewer:
                viewer.wait_for(b"\x1b]2;of the program")
                assert viewer.shown.startswith(b"\x1b[22;2t")
                leave(viewer)
                assert b"\x1b[23;2t" in viewer.shown


@pytest.mark.fetched
def test_leaving_within_a_sequence_leaves_the_sequence(sandbox: NonoRun, terminals: Xterms) -> None:
    command = ["sh", "-c", "printf 'begun\\033]2;half a title'; read line"]
    with detached(sandbox, command), attached(sandbox) as viewer:
        viewer.wait_for(b"half a title")
        leave(viewer)
        assert "[nono] Session detached." in lines(persons(terminals, viewer).show()["screen"])
