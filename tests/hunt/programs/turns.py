"""Gives the programs of a hunt by turns."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence

from hunt.programs import mixed
from hunt.programs.steps import Program, Step, in_batches

BATCH = 400
RANDOM_LENGTH = 150
RANDOM = "random"

type Sweeps = Mapping[str, Sequence[Step]]
type Turn = tuple[str, Program]


def programs(
    choice: random.Random, sweeps_of: Callable[[], Sweeps], is_wanted: Callable[[str], bool], *, as_root: bool
) -> Iterator[Turn]:
    """Yield the sweeps by turns with random programs, again and again. None: neither is wanted.

    is_wanted: Of the name of a sweep, or RANDOM.
    """
    is_random = is_wanted(RANDOM)
    while True:
        sweeps = sweeps_of()
        pools = list(sweeps.values())
        systematic = list(_systematic(choice, sweeps, is_wanted))
        if not systematic and not is_random:
            return
        for number in range(len(systematic) or BATCH):
            yield from systematic[number : number + 1]
            if is_random:
                yield RANDOM, mixed.program(choice, pools, RANDOM_LENGTH, as_root=as_root)


def _systematic(choice: random.Random, sweeps: Sweeps, is_wanted: Callable[[str], bool]) -> Iterator[Turn]:
    batches = {
        name: in_batches(choice.sample(steps, len(steps)), BATCH)
        for name, steps in sweeps.items()
        if is_wanted(name)
    }
    return mixed.interleaved(choice, batches)
