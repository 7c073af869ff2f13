"""nono.typed.hidden: what is typed stays hidden, and a part of it is never taken for the whole."""

from __future__ import annotations

import os
import select
import signal
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from nono.errors import CredentialError
from nono.typed import hidden
from nono.typed.hidden import LINE_BYTES_MAX, read_hidden

QUESTION = "key: "
PATIENCE_S = 5.0
Typing = Callable[..., list[bool]]


def wait_for_question(terminal: int, times: int) -> None:
    """Wait until the question was asked so often, or never will be."""
    seen = b""
    while seen.count(QUESTION.encode()) < times and select.select([terminal], [], [], PATIENCE_S)[0]:
        seen += os.read(terminal, 100)


def echoes() -> bool:
    return bool(termios.tcgetattr(0)[3] & termios.ECHO)


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Typing]:
    """Let standard input and error be a terminal where this is typed once the question is there.

    The list gets whether the terminal would show it. Called in the test, because pytest replaces both before.
    """
    monkeypatch.setattr(hidden, "in_front", lambda: True)
    with ExitStack() as stack:

        def type_(text: bytes, meanwhile: signal.Signals | None = None, questions: int = 1) -> list[bool]:
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
                wait_for_question(master, 1)
                if meanwhile is not None:
                    signal.pthread_kill(threading.main_thread().ident or 0, meanwhile)
                    wait_for_question(master, questions - 1)
                shown.append(echoes())
                os.write(master, text)
                while text and not is_over.wait(PATIENCE_S):
                    os.write(
                        master, text
                    )  # a wrong handler has flushed it, and the test is to fail, not to hang

            is_over = threading.Event()
            thread = threading.Thread(target=answer)
            thread.start()
            stack.callback(thread.join, 10)
            stack.callback(is_over.set)
            return shown

        yield type_


def test_what_is_typed_is_hidden_while_it_is_asked_for(typing: Typing) -> None:
    before = signal.getsignal(signal.SIGTERM)
    shown = typing(b"c4n4ry \xff\n")
    assert read_hidden(QUESTION) == "c4n4ry \udcff"
    assert (shown, echoes()) == ([False], True)
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_end_of_input_is_no_line(typing: Typing) -> None:
    typing(b"half\x04")
    with pytest.raises(EOFError):
        read_hidden(QUESTION)
    assert echoes()


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_line_that_a_terminal_may_have_cut_is_refused(is_whole: bool, typing: Typing) -> None:
    typed = b"x" * (LINE_BYTES_MAX - 2 if is_whole else LINE_BYTES_MAX)
    typing(typed + b"\n")
    if is_whole:
        assert read_hidden(QUESTION) == typed.decode()
    else:
        with pytest.raises(CredentialError, match="4,094 bytes in one line"):
            read_hidden(QUESTION)


def test_a_question_that_nothing_can_stop_is_asked_again(
    typing: Typing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-Z where no shell could continue it: the kernel ignores that, and the key stays hidden."""
    sent: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append(number))
    shown = typing(b"c4n4ry\n", signal.SIGTSTP, questions=2)
    assert read_hidden(QUESTION) == "c4n4ry"
    assert (shown, sent) == ([False], [signal.SIGTSTP])
    assert signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTSTP])
def test_a_signal_that_the_caller_ignores_stays_ignored(
    typing: Typing, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """As nohup(1) ignores SIGHUP."""
    sent: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append(number))
    before = signal.signal(number, signal.SIG_IGN)
    try:
        shown = typing(b"c4n4ry\n", number)
        assert read_hidden(QUESTION) == "c4n4ry"
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)
    assert (shown, sent) == ([False], [])


def test_a_signal_that_ends_a_program_shows_what_is_typed_again_first(
    typing: Typing, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[int, bool, object]] = []

    def kill(_pid: int, number: int) -> None:
        sent.append((number, echoes(), signal.getsignal(number)))
        raise InterruptedError

    monkeypatch.setattr(os, "kill", kill)
    typing(b"", signal.SIGTERM)
    with pytest.raises(InterruptedError):
        read_hidden(QUESTION)
    assert sent == [(signal.SIGTERM, True, signal.SIG_DFL)]


@pytest.mark.parametrize("is_in_front", [True, False])
def test_a_process_in_the_background_changes_no_modes_and_asks_nothing(
    typing: Typing, monkeypatch: pytest.MonkeyPatch, is_in_front: bool
) -> None:
    """The kernel would stop it for that (SIGTTOU), and the terminal is another's now."""
    monkeypatch.setattr(hidden, "in_front", lambda: is_in_front)
    changed: list[int] = []
    change = termios.tcsetattr

    def tcsetattr(descriptor: int, when: int, modes: list[Any]) -> None:
        changed.append(modes[3] & termios.ECHO)
        change(descriptor, when, modes)

    monkeypatch.setattr(termios, "tcsetattr", tcsetattr)
    typing(b"c4n4ry\n", signal.SIGCONT, questions=2 if is_in_front else 1)
    assert read_hidden(QUESTION) == "c4n4ry"
    assert list(map(bool, changed)) == ([False, False, True] if is_in_front else [False])
