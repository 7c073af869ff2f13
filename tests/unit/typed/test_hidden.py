"""nono.typed.hidden: what is typed stays hidden, and a part of it is never taken for the whole."""

from __future__ import annotations

import os
import signal
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from nono.errors import CredentialError
from nono.typed import hidden
from nono.typed.hidden import LINE_BYTES_MAX, read_hidden

QUESTION = "key: "


def echoes() -> bool:
    return bool(termios.tcgetattr(0)[3] & termios.ECHO)


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], list[bool]]]:
    """Let standard input and error be a terminal where this is typed once the question is there.

    The list gets whether the terminal would show it. Called in the test, because pytest replaces both before.
    """
    monkeypatch.setattr(hidden, "in_front", lambda: True)
    with ExitStack() as stack:

        def type_(text: bytes) -> list[bool]:
            shown: list[bool] = []
            master, slave = os.openpty()
            for number in (0, 2):
                kept = os.dup(number)
                stack.callback(os.close, kept)
                stack.callback(os.dup2, kept, number)
                os.dup2(slave, number)
            for each in (master, slave):
                stack.callback(os.close, each)

            def answer() -> None:
                seen = b""
                while not seen.endswith(QUESTION.encode()):
                    seen += os.read(master, 100)
                shown.append(echoes())
                os.write(master, text)

            thread = threading.Thread(target=answer)
            thread.start()
            stack.callback(thread.join, 10)
            return shown

        yield type_


def test_what_is_typed_is_hidden_while_it_is_asked_for(typing: Callable[[bytes], list[bool]]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    shown = typing(b"c4n4ry \xff\n")
    assert read_hidden(QUESTION) == "c4n4ry \udcff"
    assert (shown, echoes()) == ([False], True)
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_end_of_input_is_no_line(typing: Callable[[bytes], list[bool]]) -> None:
    typing(b"half\x04")
    with pytest.raises(EOFError):
        read_hidden(QUESTION)
    assert echoes()


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_line_that_a_terminal_may_have_cut_is_refused(
    is_whole: bool, typing: Callable[[bytes], list[bool]]
) -> None:
    typed = b"x" * (LINE_BYTES_MAX - 2 if is_whole else LINE_BYTES_MAX)
    typing(typed + b"\n")
    if is_whole:
        assert read_hidden(QUESTION) == typed.decode()
    else:
        with pytest.raises(CredentialError, match="4,094 bytes in one line"):
            read_hidden(QUESTION)
