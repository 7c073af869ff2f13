"""A step is what one process inside does: a kind and its arguments, as JSON has them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

Value = int | str
Step = tuple[Value, ...]  # its kind, then what that takes; see `inside`
Program = tuple[Step, ...]

KINDS = ("call", "option", "ioctl", "open", "signal", "clone", "request")


def to_json(program: Sequence[Step]) -> str:
    return json.dumps([list(step) for step in program])


def from_json(text: str) -> Program:
    """ValueError: that is no program."""
    found = json.loads(text)
    if not isinstance(found, list):
        raise ValueError("a program is a list of steps")
    return tuple(map(_step, found))


def _step(found: object) -> Step:
    if not isinstance(found, list) or not found or found[0] not in KINDS:
        raise ValueError(f"no step: {found!r}")
    if not all(isinstance(value, int | str) for value in found):
        raise ValueError(f"a step holds numbers and texts: {found!r}")
    return tuple(found)


def numbered(program: Sequence[Step], number_of: Callable[[str], int]) -> Program:
    """Replace the names of system calls by this machine's numbers; "#450" stands for itself."""
    return tuple(
        ("call", _number(str(step[1]), number_of), *step[2:]) if step[0] == "call" else step
        for step in program
    )


def _number(name: str, number_of: Callable[[str], int]) -> int:
    return int(name[1:]) if name.startswith("#") else number_of(name)


def in_batches(steps: Sequence[Step], size: int) -> list[Program]:
    return [tuple(steps[start : start + size]) for start in range(0, len(steps), size)]
