"""What is found out in another process is believed when that process has said all of it."""

from __future__ import annotations

import os
import signal

import pytest

from nono import apart
from nono.apart import found_apart


def test_what_is_found_comes_back_and_the_process_is_gone() -> None:
    assert found_apart(lambda: {"pid": [os.getppid()]}) == {"pid": [os.getpid()]}
    gone = found_apart(os.getpid)
    assert gone is not None
    with pytest.raises(ProcessLookupError):
        os.kill(gone, 0)


def test_more_than_a_pipe_holds_comes_back_whole() -> None:
    assert found_apart(lambda: "x" * 1_000_000) == "x" * 1_000_000


def test_one_that_raises_or_ends_otherwise_found_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    def fails() -> int:
        raise ValueError("no")

    def leaves() -> int:
        os._exit(0)

    assert found_apart(fails) is None
    assert found_apart(leaves) is None
    assert capfd.readouterr() == ("", "")


def test_a_process_that_is_killed_while_it_answers_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(_: object, say: int) -> None:
        os.write(say, b"\x80\x05K\x01.")  # a whole pickle, which is what it might have been
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(apart, "_find", find)
    assert found_apart(lambda: 1) is None
