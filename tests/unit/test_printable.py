"""nono.printable: text for a terminal, and words for a shell."""

from __future__ import annotations

import shlex

from hypothesis import given
from hypothesis import strategies as st

from nono.printable import printable, shell_word


@given(st.text())
def test_a_shell_reads_one_word_which_can_be_printed(text: str) -> None:
    [word] = shlex.split(shell_word(text))
    assert word.isprintable()
    assert word == text or not text.isprintable()


@given(st.text().map(printable).filter(str.isprintable))
def test_a_word_is_quoted_as_shlex_would(text: str) -> None:
    assert shell_word(text) == shlex.quote(text)
