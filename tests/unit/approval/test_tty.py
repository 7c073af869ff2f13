"""nono.approval.tty: the terminal during a question, and after it."""

from __future__ import annotations

import os
import pty
import termios
from collections.abc import Iterator

import pytest

from nono.approval.tty import line_mode

LFLAG = 3


@pytest.fixture
def terminal() -> Iterator[int]:
    """A real terminal on which the user has said `stty tostop`."""
    master, slave = pty.openpty()
    attributes = termios.tcgetattr(slave)
    attributes[LFLAG] |= termios.TOSTOP
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    yield slave
    os.close(slave)
    os.close(master)


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
