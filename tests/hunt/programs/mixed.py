"""Make programs at random: steps of every kind, some of which share what they stand on."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from hunt.programs import calls, sweeps
from hunt.programs.signatures import signatures
from hunt.programs.steps import Program, Step

RANDOM_ARGUMENTS = tuple(calls.POOLS)
SWEEPS = (
    *("canaries", "opens", "typed calls", "odd calls", "options"),
    *("ioctls", "signals", "clones", "requests"),
)


def program(choice: random.Random, pools: Sequence[Sequence[Step]], length: int, *, as_root: bool) -> Program:
    """pools: Steps of each sweep, of which some are taken as they are and some changed."""
    steps: list[Step] = []
    while len(steps) < length:
        step = choice.choice(choice.choice(pools))
        steps.append(changed(choice, step) if choice.random() < 0.4 else step)
        if choice.random() < 0.2:
            steps.append(_untyped(choice, as_root=as_root))
    return tuple(steps)


def changed(choice: random.Random, step: Step) -> Step:
    """Return the step with one argument of another kind."""
    if step[0] != "call" or len(step) < 3:
        return step
    place = choice.randrange(2, len(step))
    kind = choice.choice(RANDOM_ARGUMENTS)
    return (*step[:place], calls.argument(choice, kind), *step[place + 1 :])


def _untyped(choice: random.Random, *, as_root: bool) -> Step:
    """Make a known call with arguments of any types."""
    skipped = calls.left_out(as_root=as_root)
    names = [name for name, _ in signatures() if name not in skipped and name not in UNSAFE_AT_RANDOM]
    count = choice.randrange(1, 7)
    kinds = [choice.choice(RANDOM_ARGUMENTS) for _ in range(count)]
    return ("call", choice.choice(names), *(calls.argument(choice, kind) for kind in kinds))


# Every process that may be signalled would be, or what runs the steps.
UNSAFE_AT_RANDOM = frozenset({"kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "ptrace"})


def sweeps_of(
    choice: random.Random,
    names: calls.Namer,
    list_directory: Callable[[str], list[str]],
    *,
    as_root: bool,
) -> dict[str, list[Step]]:
    """Return every systematic sweep, by its name."""
    return {
        "canaries": list(sweeps.canaries()),
        "opens": list(sweeps.opens(list_directory)),
        "typed calls": calls.typed(choice, as_root=as_root, rounds=12),
        "odd calls": calls.odd(names, as_root=as_root),
        "options": list(sweeps.options()),
        "ioctls": list(sweeps.ioctls(choice)),
        "signals": list(sweeps.signals()),
        "clones": list(sweeps.clones()),
        "requests": list(sweeps.requests()),
    }


def interleaved(choice: random.Random, batches: dict[str, list[Program]]) -> Iterator[tuple[str, Program]]:
    """Yield programs of every sweep by turns, each sweep in an order drawn from the seed."""
    left = {name: choice.sample(those, len(those)) for name, those in batches.items()}
    while left:
        for name in list(left):
            if left[name]:
                yield name, left[name].pop()
            else:
                del left[name]
