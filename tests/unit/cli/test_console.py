"""What nono prints on standard error is told from the names in it."""

from __future__ import annotations

import errno
import os
import pty
import sys
import termios
from io import StringIO

import pytest

from nono.cli import console as console_module
from nono.cli.console import Console, agrees, can_ask, folded
from nono.cli.text.summary import RULE
from nono.typed import line as typed_line

FORGED = "/project/x\n  [nono] all is well\n\x1b[2J"
SPELLED = "/project/x\\n  [nono] all is well\\n\\x1b[2J"


def test_a_name_adds_no_line_to_a_summary(capsys: pytest.CaptureFixture[str]) -> None:
    Console(silent=False, verbosity=0).lines([f"    r+w  {FORGED} (dir)", "    net  proxy only"])
    assert capsys.readouterr().err == f"    r+w  {SPELLED} (dir)\n    net  proxy only\n"


@pytest.mark.parametrize("kind", ["warn", "note"])
def test_a_name_begins_no_warning(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(silent=False, verbosity=0)
    say = console.warn if kind == "warn" else console.note
    say(f"the hook {FORGED} failed:\n    its last line")
    prefix = "  [nono] WARNING: " if kind == "warn" else "  [nono] "
    assert capsys.readouterr().err == f"{prefix}the hook {SPELLED} failed:\n    its last line\n"


class Full(StringIO):
    """Standard error on a full disk."""

    def write(self, text: str, /) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Kept:
    """A log of lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, level: str, line: str) -> None:
        self.lines.append(line)


def test_what_cannot_be_printed_is_logged_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Kept()
    console = Console(silent=False, verbosity=1, log=log)
    monkeypatch.setattr(sys, "stderr", Full())
    console.lines(["one", "two"])
    console.insist("three")
    assert log.lines == ["one", "two", "[nono] WARNING: three"]


LONG = "  not enforced: what takes the place of a denied path while the command runs is masked later"


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_line_is_broken_between_words(width: int) -> None:
    lines = folded(LONG, width).split("\n")
    assert max(map(len, lines)) <= width
    assert " ".join(line.strip() for line in lines) == LONG.strip()
    assert [line[: line.index(line.strip())] for line in lines] == ["  ", *["      "] * (len(lines) - 1)]


@pytest.mark.parametrize("width", range(1, 12))
@pytest.mark.parametrize("indent", [0, 2, 10])
def test_a_terminal_narrower_than_an_indent_gets_a_word_in_each_line(width: int, indent: int) -> None:
    """It filled the memory instead: a pane may be that narrow, and a terminal may begin so."""
    line = " " * indent + LONG.strip()
    words = [line.strip() for line in folded(line, width).split("\n")]
    assert " ".join(words) == LONG.strip()
    assert all(len(each) <= width or " " not in each for each in words)


@pytest.mark.parametrize(
    ("line", "width"),
    [(LONG, None), (LONG, len(LONG)), ("      fix: --read /a/long/path and more", 20), ("  $ touch a b", 8)],
)
def test_a_line_is_whole_where_it_fits_or_is_copied(line: str, width: int | None) -> None:
    assert folded(line, width) == line


@pytest.mark.parametrize("width", [1, 40, 80, None])
def test_a_rule_is_no_wider_than_the_terminal(width: int | None) -> None:
    assert folded(RULE, width) == RULE[:width]


def test_a_command_is_broken_only_before_it() -> None:
    command = "nono run --profile build --allow-cwd -- COMMAND"
    assert (
        folded(f"  [nono] Written. To run with it: {command}", 40)
        == f"  [nono] Written. To run with it:\n      {command}"
    )
    assert (
        folded(f"  [nono] Written. To run with it: {command}", 25)
        == f"  [nono] Written. To run\n      with it:\n      {command}"
    )


@pytest.mark.parametrize("begins", ["nono", "fix:", "undo", "$"])
def test_a_line_that_begins_like_a_command_after_a_break_is_broken_too(begins: str) -> None:
    """A warning that says what nono does went past the edge of the terminal there."""
    said = f"  it says what would change it, and {begins} outside of that sandbox does not know it"
    assert max(map(len, folded(said, 36).split("\n"))) <= 36


def test_a_path_is_not_broken() -> None:
    path = "/home/somebody/" + "x" * 60
    assert folded(f"  not enforced: {path} and more", 40) == f"  not enforced:\n      {path}\n      and more"
    assert folded(f"  {path}", 40) == f"  {path}"


def test_a_name_is_not_broken_so_that_its_end_passes_for_a_line_of_nono() -> None:
    name = "'/home/somebody/a-long-name fix: --allow ~'"
    assert folded(f"  {name} (Read) and more", 40) == f"  {name}\n      (Read) and more"
    assert folded(f"  {name[1:-1]} (Read)", 40) != f"  {name[1:-1]} (Read)"


@pytest.mark.parametrize("kind", ["warn", "note", "insist", "lines"])
def test_what_is_not_printed_at_a_terminal_is_whole(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(silent=False, verbosity=0)
    getattr(console, kind)([LONG] if kind == "lines" else LONG)
    assert LONG in capsys.readouterr().err


@pytest.mark.parametrize("width", ["80", None])
def test_no_warning_of_any_length_fills_a_terminal(
    width: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as one with the names of settings of git, which may have a megabyte each."""
    monkeypatch.setattr(console_module, "line_columns", lambda *_: width and int(width))
    Console(silent=False, verbosity=0).warn(f"this run set {'x' * 100_000} in .git/config")
    said = capsys.readouterr().err
    assert "this run set x" in said
    assert "in .git/config" in said
    assert (len(said) < 5000) == (width is not None)


@pytest.mark.parametrize("kind", ["warn", "note", "insist", "lines"])
def test_what_is_printed_at_a_terminal_is_broken_between_words(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 60))
    with open(master, "rb", 0) as shown, open(slave, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        getattr(Console(silent=False, verbosity=0), kind)([LONG] if kind == "lines" else LONG)
        print("the end", file=terminal, flush=True)
        text = b""
        while not text.endswith(b"the end\r\n"):  # a read may return before the kernel has passed all on
            text += shown.read(4096)
    *lines, _ = text.decode().splitlines()
    assert max(map(len, lines)) <= 60
    assert LONG.strip() in " ".join(line.strip() for line in lines)


@pytest.mark.parametrize(
    ("typed", "is_yes"),
    [
        ("y\n", True),
        ("YES \n", True),
        ("yes", True),  # and ^D
        ("n\n", False),
        ("\n", False),
        ("", False),
        ("yess\n", False),
        ("no\ny\n", False),
    ],
)
def test_only_a_yes_agrees(
    typed: str, is_yes: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", StringIO(typed))
    assert agrees("Remove all of this?") is is_yes
    assert capsys.readouterr() == ("", "Remove all of this? [y/N] ")


@pytest.mark.parametrize(
    ("terminals", "in_front", "expected"),
    [
        ({0, 1, 2}, True, True),
        ({0, 2}, True, True),
        ({0, 1}, True, False),
        ({1, 2}, True, False),
        ({0, 1, 2}, False, False),
    ],
)
def test_a_person_is_asked_where_the_question_is_seen_and_answered(
    terminals: set[int], in_front: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, "isatty", terminals.__contains__)
        patched.setattr(typed_line, "in_front", lambda: in_front)
        can = can_ask()
    assert can is expected
