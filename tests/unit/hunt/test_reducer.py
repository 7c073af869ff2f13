"""The shortest program that is still seen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hunt.programs.reducer import shortest
from hunt.programs.steps import Program, Step

PROGRAM: Program = tuple(("open", f"/{number}", 0) for number in range(100))


def containing(*wanted: int) -> list[Step]:
    return [PROGRAM[number] for number in wanted]


def test_one_step_of_many_is_found() -> None:
    assert shortest(PROGRAM, lambda part: PROGRAM[37] in part) == (PROGRAM[37],)


def test_steps_far_apart_are_found_in_their_order() -> None:
    needed = containing(3, 60, 99)
    assert shortest(PROGRAM, lambda part: all(step in part for step in needed), 1000) == tuple(needed)


def test_it_gives_up_after_so_many_attempts() -> None:
    tried: list[Program] = []

    def never(part: Program) -> bool:
        tried.append(part)
        return False

    shortest(PROGRAM, never, 5)
    assert len(tried) == 5


@given(st.sets(st.integers(0, 99), min_size=1, max_size=5))
def test_what_is_left_is_seen_as_the_whole_was(wanted: set[int]) -> None:
    needed = {PROGRAM[number] for number in wanted}
    assert set(shortest(PROGRAM, needed.issubset, 2000)) == needed
