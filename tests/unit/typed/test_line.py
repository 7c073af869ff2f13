"""nono.typed.line: whether a person can answer at the terminal of standard input."""

from __future__ import annotations

import errno
import io
import os
from types import SimpleNamespace

import pytest

from nono.typed import line


def tty_nr(major: int, minor: int) -> int:
    """Encode a terminal as proc_pid_stat(5) does."""
    return (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)


@pytest.mark.parametrize(
    ("terminal", "group", "foreground", "is_in_front"),
    [
        pytest.param((136, 1), 77, 77, True, id="in front"),
        pytest.param((136, 1), 77, 78, False, id="in the background"),
        pytest.param((136, 2), 77, 77, False, id="at another terminal"),
        pytest.param((136, 1 + 256), 77, 77, False, id="at one whose number begins alike"),
        pytest.param((137, 1), 77, 77, False, id="at one of another driver"),
    ],
)
def test_a_process_asks_for_its_parent_only_in_front_of_the_same_terminal(
    monkeypatch: pytest.MonkeyPatch,
    terminal: tuple[int, int],
    group: int,
    foreground: int,
    is_in_front: bool,
) -> None:
    stands_before(monkeypatch, f"9 (a) b) S 1 {group} {group} {tty_nr(*terminal)} {foreground} 0", (136, 1))
    assert line.in_front() == is_in_front


def test_a_terminal_with_a_large_number_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    stands_before(monkeypatch, f"9 (sh) S 1 77 77 {tty_nr(136, 4711)} 77 0", (136, 4711))
    assert line.in_front()


def test_a_parent_that_is_gone_is_not_in_front(monkeypatch: pytest.MonkeyPatch) -> None:
    stands_before(monkeypatch, None, (136, 1))
    assert not line.in_front()


def stands_before(monkeypatch: pytest.MonkeyPatch, stat: str | None, terminal: tuple[int, int]) -> None:
    """Let standard input be a terminal of another session, and this be the parent's line in /proc.

    stat: None if the parent is gone.
    """

    def refused(descriptor: int) -> int:
        raise OSError(errno.ENOTTY, "not its terminal")

    # Not in the module os itself, which pytest calls before the test is over.
    calls = SimpleNamespace(
        tcgetpgrp=refused,
        getpgrp=os.getpgrp,
        getppid=os.getppid,
        makedev=os.makedev,
        fstat=lambda descriptor: SimpleNamespace(st_rdev=os.makedev(*terminal)),
    )
    monkeypatch.setattr(line, "os", calls)

    def opened(path: str, mode: str) -> io.BytesIO:
        if stat is None:
            raise FileNotFoundError(path)
        return io.BytesIO(stat.encode())

    monkeypatch.setattr(line, "open", opened, raising=False)
