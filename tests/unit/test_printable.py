"""nono.printable: text for a terminal, and words for a shell."""

from __future__ import annotations

import os
import shlex
import subprocess

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nono.printable import printable, shell_word


@given(st.text(st.characters()))
@example("\ud800\udc80")
def test_a_word_for_a_shell_is_one_line_that_can_be_printed(text: str) -> None:
    assert shell_word(text).isprintable()


@pytest.mark.parametrize(
    "name", [b"plain", b"a b", b"it's", b"a\nb", b"\xff\x1b[1m", "é\u202eb".encode(), b"\\x41\t'"]
)
def test_a_shell_reads_the_name_that_is_meant(name: bytes) -> None:
    word = shell_word(os.fsdecode(name))
    assert subprocess.check_output(["bash", "-c", f"printf %s {word}"], env={"LC_ALL": "C.UTF-8"}) == name


def test_a_byte_that_is_no_text_is_shown_as_that_byte() -> None:
    assert printable(os.fsdecode(b"a\xff\x80b")) == "a\\xff\\x80b"
    assert printable("a\ud800b\x1b") == "a\\ud800b\\x1b"


@given(st.text().map(printable).filter(str.isprintable))
def test_a_word_is_quoted_as_shlex_would(text: str) -> None:
    assert shell_word(text) == shlex.quote(text)
