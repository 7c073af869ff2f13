"""Shorten a program as long as what it did is still seen (Zeller's ddmin)."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def shortest[Step](
    program: Sequence[Step], is_seen: Callable[[tuple[Step, ...]], bool], attempts: int = 60
) -> tuple[Step, ...]:
    """Return a part that is still seen although none of the parts tried of it is.

    is_seen: Run a program; expensive, so it is called at most `attempts` times.
    """
    left, pieces = tuple(program), 2
    while len(left) > 1 and attempts > 0:
        size = -(-len(left) // pieces)
        parts = [left[start : start + size] for start in range(0, len(left), size)]
        candidates = (
            parts if len(parts) <= 2 else [*parts, *(_without(parts, each) for each in range(len(parts)))]
        )
        for candidate in candidates:
            if attempts <= 0:
                break
            attempts -= 1
            if is_seen(candidate):
                pieces = 2 if candidate in parts else max(pieces - 1, 2)
                left = candidate
                break
        else:
            if pieces >= len(left):
                return left
            pieces = min(pieces * 2, len(left))
    return left


def _without[Step](parts: Sequence[tuple[Step, ...]], left_out: int) -> tuple[Step, ...]:
    return tuple(step for number, part in enumerate(parts) if number != left_out for step in part)
