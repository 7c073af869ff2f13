"""Run programs in real sandboxes and look at everything outside before and after."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hunt.inside.runner import REPORT
from hunt.outside.place import TESTS, Place, module
from hunt.outside.sights import differences, kind
from hunt.outside.victim import NOBODY
from hunt.programs.reducer import shortest
from hunt.programs.steps import Program, numbered
from hunt.running import started, watch
from hunt.ways import Way, gap
from support.ports import unused_port
from support.running.pace import PACE

OWN_FRAME = f'File "{TESTS.parent}/nono/'  # of a traceback; the program's own goes to the same place
ATTEMPTS, REDUCING_S = 40, 60.0 * PACE  # to shorten a program, each of them a run


def number_of(name: str) -> int:
    """KeyError: this machine has no such system call."""
    import pyseccomp

    number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
    if not isinstance(number, int) or number < 0:
        raise KeyError(name)
    return number


def name_of(number: int) -> str | None:
    import pyseccomp

    with suppress(ValueError):
        name = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, number)
        return name.decode() if isinstance(name, bytes) else name
    return None


@dataclass(frozen=True, slots=True)
class Seen:
    """What a run was seen to do: sights that break a promise, and those that SECURITY.md has."""

    broken: tuple[str, ...]
    known: Counter[str]
    outcomes: Counter[str]
    took_s: float
    said: str


def run(place: Place, way: Way, program: Program, more: Sequence[str] = (), *, is_bare: bool = False) -> Seen:
    """Run one program in one sandbox, and compare the outside before and after.

    more: Flags beside those of the way.
    is_bare: Without nono, for the positive control.
    """
    before = place.look()
    if not before["neighbour"]:
        place.end()
        place.start()
        before = place.look()
    begun = time.monotonic()
    proxy, opened = unused_port(), unused_port()
    flags = [*way.arguments, f"--open-port={opened}", *more]
    if way.has_proxy:
        flags.append(f"--proxy-port={proxy}")
    known = [step for step in program if step[0] != "call" or _is_known(str(step[1]))]
    given = {"steps": numbered(known, number_of), "world": place.world({"open": opened})}
    command = module("hunt.inside.runner", json.dumps(given))
    argv = place.sandbox.argv(command, profile=way.profile or {}, flags=flags, stage=place.stage)
    if is_bare:
        argv = place.sandbox.user.command(command)
    with started(place, way, argv) as (process, caller):
        mine = caller.look()
        asked = proxy if way.has_proxy and way.rung != "netns" else None  # which is in a network of its own
        complaints = watch(process, asked, caller, place.sandbox.user.uid)
        said, errors = caller.texts()
        complaints += differences(mine, caller.look())
    after = place.look()
    report = _report(said)
    if OWN_FRAME in errors:
        complaints.append(f"stderr: nothing -> {errors[errors.index(OWN_FRAME) :][:1200]}")
    if f"fix: --allow-domain {NOBODY}" in errors:
        complaints.append(f"supervisor/offered: nothing -> {NOBODY}")
    for number, text in report.get("found", {}).items():
        complaints.append(f"secrets/{known[int(number)][0]}: nothing -> {text}")
    sights = [*complaints, *differences(before, after)]
    gaps = [None if is_bare else gap(way, sight) for sight in sights]
    return Seen(
        broken=tuple(sight for sight, known_gap in zip(sights, gaps, strict=True) if known_gap is None),
        known=Counter(each.why for each in gaps if each),
        outcomes=Counter(report.get("outcomes", {"cut short": len(program)})),
        took_s=time.monotonic() - begun,
        said=f"exit code {process.returncode}: {bytes(caller.shown[-300:])!r} {errors[-300:]}",
    )


def _is_known(name: str) -> bool:
    try:
        numbered([("call", name)], number_of)
    except (KeyError, ValueError):
        return False
    return True


def _report(said: str) -> dict[str, Any]:
    lines = [line for line in said.splitlines() if line.startswith(REPORT)]
    with suppress(IndexError, ValueError):
        return dict(json.loads(lines[-1].removeprefix(REPORT)))
    return {}


def reduce(place: Place, way: Way, program: Program, seen: Seen, more: Sequence[str] = ()) -> Program:
    """Return the shortest part that does one of the same things; empty if the whole no longer does."""
    kinds = {kind(sight) for sight in seen.broken}

    ends = time.monotonic() + REDUCING_S

    def is_seen(part: Program) -> bool:
        return time.monotonic() < ends and bool(
            kinds & {kind(sight) for sight in run(place, way, part, more).broken}
        )

    return shortest(program, is_seen, ATTEMPTS) if is_seen(program) else ()
