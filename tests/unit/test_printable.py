"""nono.printable: text for a terminal, and words for a shell."""

from __future__ import annotations

import os
import shlex
import subprocess

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nono.printable import enumerated, held_together, printable, shell_word


@given(st.text(st.characters()))
@example("\ud800\udc80")
def test_a_word_for_a_shell_is_one_line_that_can_be_printed(text: str) -> None:
    assert shell_word(text).isprintable()


@pytest.mark.parametrize(
    "name",
    [
        b"plain",
        b"a b",
        b"a   b",
        b"\\  x",
        b"it's",
        b"a\nb",
        b"\xff\x1b[1m",
        "é\u202eb".encode(),
        b"\\x41\t'",
    ],
)
def test_a_shell_reads_the_name_that_is_meant(name: bytes) -> None:
    word = shell_word(os.fsdecode(name))
    assert subprocess.check_output(["bash", "-c", f"printf %s {word}"], env={"LC_ALL": "C.UTF-8"}) == name


def test_a_byte_that_is_no_text_is_shown_as_that_byte() -> None:
    assert printable(os.fsdecode(b"a\xff\x80b")) == "a\\xff\\x80b"
    assert printable("a\ud800b\x1b") == "a\\ud800b\\x1b"


@given(st.text().map(printable).filter(lambda text: text.isprintable() and "  " not in text))
def test_a_word_is_quoted_as_shlex_would(text: str) -> None:
    assert shell_word(text) == shlex.quote(text)


def test_no_two_names_look_alike_by_marks_that_are_not_seen() -> None:
    hidden = "\u034f\u17b4\u17b5\u180b\u180d\u180f\ufe00\ufe0f\U000e0100\U000e01ef"
    for mark in hidden:
        assert printable(f"a{mark}") == "a" + mark.encode("ascii", "backslashreplace").decode()
        assert mark not in shell_word(f"a{mark}")
    assert printable("e\u0301\U000e01f0") == "e\u0301\\U000e01f0"


def test_no_blanks_of_a_name_indent_the_rest_of_it() -> None:
    """A terminal breaks a long line wherever it ends, which may be before such blanks."""
    assert shell_word("/a fix: x") == "'/a fix: x'"
    assert shell_word("/a      fix: x") == r"$'/a \x20 \x20 \x20fix: x'"
    assert shell_word("/a\u3164\u2800b") == r"$'/a\xe3\x85\xa4\xe2\xa0\x80b'"
    assert printable("/a\u3164b") == r"/a\u3164b"


@given(st.lists(st.text(" '\"\\ab$(\n", min_size=1), min_size=1))
def test_a_line_is_broken_in_no_name(names: list[str]) -> None:
    words = [shell_word(name) for name in names]
    held = [word.replace(" ", "\0") for word in words]
    assert held_together(" and ".join(words)) == " and ".join(held)


def test_a_line_is_broken_where_there_is_no_name() -> None:
    line = "the users' files (nono's too) and 'a b' and more"
    assert held_together(line) == line.replace("a b", "a\0b")


@pytest.mark.parametrize(
    ("count", "shown"), [(0, ""), (2, "n, n"), (3, "n, n and 1 more"), (1_002, "n, n and 1,000 more")]
)
def test_no_number_of_names_is_spelled_out(count: int, shown: str) -> None:
    assert enumerated(["n"] * count, 2) == shown


def test_names_that_a_command_chose_are_quoted() -> None:
    assert enumerated(["a b", "c"], 1, shell_word) == "'a b' and 1 more"
