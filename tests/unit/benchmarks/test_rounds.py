"""Rounds take turns, and what cannot run is left out by name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.commands import check, in_turn, rounds_in_turn, seconds_to_exit
from benchmarks.samples import Absent, CannotRunError, Samples


def counting(calls: list[str], name: str) -> Callable[[], float]:
    def measure() -> float:
        calls.append(name)
        return float(calls.count(name))

    return measure


def fails() -> float:
    raise CannotRunError("no such program")


def test_the_first_round_is_not_counted() -> None:
    calls: list[str] = []
    assert in_turn(2, {"a": counting(calls, "a")}) == {"a": Samples((2.0, 3.0))}


def test_every_round_runs_all_once_beginning_with_another() -> None:
    calls: list[str] = []
    rounds_in_turn(2, {name: counting(calls, name) for name in "abc"})
    assert "".join(calls) == "abc" + "bca" + "cab"


def test_what_cannot_run_is_tried_once_without_stopping_others() -> None:
    calls: list[str] = []

    def fails_and_counts() -> float:
        calls.append("bad")
        return fails()

    outcomes = in_turn(3, {"bad": fails_and_counts, "good": counting(calls, "good")})
    assert outcomes == {"bad": Absent("no such program"), "good": Samples((2.0, 3.0, 4.0))}
    assert calls.count("bad") == 1


def test_another_fault_is_not_hidden() -> None:
    def broken() -> float:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        in_turn(1, {"broken": broken})


def test_a_command_that_succeeds_takes_time() -> None:
    assert 0 < seconds_to_exit(["/bin/true"], {}) < 20


def test_a_command_that_fails_has_no_time() -> None:
    with pytest.raises(CannotRunError, match="exit code 1"):
        seconds_to_exit(["/bin/false"], {})


def test_the_reason_is_what_the_command_said_last() -> None:
    with pytest.raises(CannotRunError, match="exit code 3: socat not installed"):
        check(["/bin/sh", "-c", "echo first >&2; echo socat not installed >&2; exit 3"], {})


def test_a_command_that_is_not_there_cannot_run() -> None:
    with pytest.raises(CannotRunError, match="cannot run"):
        check(["/nonexistent/program"], {})
