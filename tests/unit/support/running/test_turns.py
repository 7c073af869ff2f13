"""support.running.turns: who is alone has nobody beside, and does not wait for those who come later."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from support.running.turns import Turns

TIMEOUT_S = 20.0
A_MOMENT_S = 0.05


@contextmanager
def waiting_for_a_turn(folder: Path, *, alone: bool) -> Iterator[threading.Event]:
    """Yield a waiter that flock(2) takes for another process; the event is set during its turn."""
    came, leaves = threading.Event(), threading.Event()

    def take_one() -> None:
        with turns.turn(alone=alone):
            came.set()
            leaves.wait(TIMEOUT_S)

    turns = Turns(folder)
    thread = threading.Thread(target=take_one)
    thread.start()
    try:
        yield came
    finally:
        leaves.set()
        thread.join(TIMEOUT_S)
        turns.close()


def test_those_who_are_not_alone_run_beside_each_other(tmp_path: Path) -> None:
    with (
        waiting_for_a_turn(tmp_path, alone=False) as one,
        waiting_for_a_turn(tmp_path, alone=False) as other,
    ):
        assert one.wait(TIMEOUT_S)
        assert other.wait(TIMEOUT_S)


@pytest.mark.parametrize("alone", [False, True], ids=["by one of many", "by another"])
def test_who_is_alone_is_not_joined(alone: bool, tmp_path: Path) -> None:
    with ExitStack() as second, ExitStack() as first:  # left in the opposite order
        begun = first.enter_context(waiting_for_a_turn(tmp_path, alone=True))
        assert begun.wait(TIMEOUT_S)
        other = second.enter_context(waiting_for_a_turn(tmp_path, alone=alone))
        assert not other.wait(A_MOMENT_S)
        first.close()
        assert other.wait(TIMEOUT_S)


def test_who_comes_later_does_not_go_before_who_wants_to_be_alone(tmp_path: Path) -> None:
    with ExitStack() as third, ExitStack() as second, ExitStack() as first:  # left in the opposite order
        begun = first.enter_context(waiting_for_a_turn(tmp_path, alone=False))
        assert begun.wait(TIMEOUT_S)
        alone = second.enter_context(waiting_for_a_turn(tmp_path, alone=True))
        assert not alone.wait(A_MOMENT_S)
        later = third.enter_context(waiting_for_a_turn(tmp_path, alone=False))
        assert not later.wait(A_MOMENT_S)
        first.close()
        assert alone.wait(TIMEOUT_S)
        assert not later.wait(A_MOMENT_S)


def test_nobody_comes_between_two_who_are_alone_one_after_the_other(tmp_path: Path) -> None:
    turns = Turns(tmp_path)
    with waiting_for_a_turn(tmp_path, alone=False) as beside:
        assert beside.wait(TIMEOUT_S)
    with ExitStack() as other:
        with turns.turn(alone=True, keeps=True):
            waits = other.enter_context(waiting_for_a_turn(tmp_path, alone=False))
            assert not waits.wait(A_MOMENT_S)
        assert not waits.wait(A_MOMENT_S)
        with turns.turn(alone=True):
            assert not waits.wait(A_MOMENT_S)
        assert waits.wait(TIMEOUT_S)
    turns.close()
