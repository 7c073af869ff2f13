"""Play a program with each of two twins and compare all that its clients saw; shorten what was found."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import anyio

from hunt.outside.sights import kind
from hunt.programs.reducer import shortest
from hunt.traffic.ends.stage import Stage
from hunt.traffic.play import Play, Read, Seen
from hunt.traffic.programs.program import Head, More, Part, Piece, Program, Step, Steps
from hunt.traffic.programs.secrets import ALIKE
from hunt.traffic.texts import Texts
from support.running.pace import slowness

FROZEN = "text that nearly is a key is searched twice and freezes it after a while, and its reader sees that"
TURN_S = 0.010  # of an ordinary machine's CPU time, the longest that other clients may be kept waiting
PLAY_S = 20.0
FURTHER_PLAYS = 4
MOST_PLAYS = 8  # before a turn is called long
ATTEMPTS, REDUCING_S = 150, 25.0


@dataclass
class Result:
    """is_unsteady: two plays with one and the same secret differed, so that nothing can be said of it."""

    sights: list[str] = field(default_factory=list)
    known: Counter[str] = field(default_factory=Counter)
    answered: int = 0
    is_unsteady: bool = False

    @property
    def kinds(self) -> set[str]:
        return {kind(sight) for sight in self.sights}


class Campaign:
    """Plays on one stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def play(self, program: Program, which: int) -> Seen:
        play = Play(self._stage, program, which)

        async def limited() -> Seen:
            with anyio.fail_after(PLAY_S):
                return await play.run()

        gc.collect(1)
        try:
            return anyio.run(limited, backend_options={"use_uvloop": True})
        except TimeoutError:
            return Seen(sights=[f"loop/end: within {PLAY_S:.0f} s -> never"])

    def compare(self, program: Program) -> Result:
        first, second = self.play(program, 0), self.play(program, 1)
        result = Result([*first.sights, *second.sights], first.known + second.known, first.answered)
        told = difference(first.reads, second.reads) if is_comparable(program) else None
        if told is not None and (first.alarms != second.alarms or _is_near_for_one(program)):
            result.known[FROZEN] += 1
        elif told is not None:
            result.is_unsteady = not (
                self._is_steady(program, 0, first) and self._is_steady(program, 1, second)
            )
            if not result.is_unsteady:
                result.sights.append(told)
        result.sights += self._slow(program, first, second)
        result.sights = list(dict.fromkeys(result.sights))
        return result

    def _is_steady(self, program: Program, which: int, seen: Seen) -> bool:
        """Return True if further plays with the same secret look the same: order and cuts vary anyway."""
        plays = (self.play(program, which) for _ in range(FURTHER_PLAYS))
        return all(difference(seen.reads, again.reads) is None for again in plays)

    def _slow(self, program: Program, *seen: Seen) -> list[str]:
        """Return a turn that was long each time: this machine's other work makes one long now and then."""
        plays = list(seen)
        while (took := min(each.slowest_s for each in plays)) > TURN_S and took > TURN_S * slowness():
            if len(plays) >= MOST_PLAYS:
                return [f"clock/{plays[0].slowest}: {TURN_S * 1000:.0f} ms -> {took * 1000:.0f} ms"]
            plays.append(self.play(program, 0))
        return []

    def reduce(self, program: Program, result: Result) -> Program:
        """Return the shortest part in which one of the same things is seen."""
        kinds, ends = result.kinds, time.monotonic() + REDUCING_S

        def is_seen(part: Program) -> bool:
            return time.monotonic() < ends and bool(kinds & self.compare(part).kinds)

        steps = shortest(program.steps, lambda steps: is_seen(replace(program, steps=steps)), ATTEMPTS)
        shorter = replace(program, steps=steps)
        for simpler in _simpler(shorter):
            if is_seen(simpler):
                shorter = simpler if simpler.scene != shorter.scene else replace(shorter, steps=simpler.steps)
        return _without_parts(shorter, is_seen)


def _is_near_for_one(program: Program) -> bool:
    """Return True if what an upstream says nearly is one twin's key more often than it is the other's."""
    return Texts(program, 0).near() != Texts(program, 1).near()


def is_comparable(program: Program) -> bool:
    """Check that an upstream that quotes a key writes both twins in the same number of octets."""
    coded = {step.number for step in program.steps if isinstance(step, Head) and step.coding}
    packed = [step for step in program.steps if isinstance(step, Piece) and step.number in coded]
    return not any(part.kind == "echo" for step in packed for part in step.body) and all(
        part.kind != "echo" or part.spelling in ALIKE for part in _parts(program.steps)
    )


def _parts(steps: Sequence[Step]) -> list[Part]:
    with_text = [step for step in steps if isinstance(step, Piece | More)]
    extra = [part for step in steps if isinstance(step, Head) for part in step.extra]
    return [part for step in with_text for part in step.body] + extra


def difference(first: Sequence[Read], second: Sequence[Read]) -> str | None:
    """Return what a client can tell the twins apart by; None: nothing."""
    if list(first) == list(second):
        return None
    for client in {read.client for read in (*first, *second)}:
        mine = [each for each in first if each.client == client]
        others = [each for each in second if each.client == client]
        if mine == others:
            continue
        if b"".join(each.octets for each in mine) == b"".join(each.octets for each in others):
            return f"told/cuts: {_shape(mine, others)} -> {_shape(others, mine)}"
        return f"told/octets: {_shape(mine, others)} -> {_shape(others, mine)}"
    return "told/order: one -> another"


def _shape(reads: Sequence[Read], others: Sequence[Read]) -> str:
    """Return the shape from the first read that differs."""
    at = next((n for n, pair in enumerate(zip(reads, others, strict=False)) if pair[0] != pair[1]), 0)
    return str([(each.step, each.kind, len(each.octets), each.octets[:40]) for each in reads[at : at + 3]])


def _simpler(program: Program) -> list[Program]:
    """Return programs with a simpler scene."""
    scene = program.scene
    scenes = [
        replace(scene, http2_upstream=False),
        replace(scene, clients=("reverse",)),
        replace(scene, reads_bodies=True),
        replace(scene, host="api.test"),
        replace(scene, http2_upstream=False, tls=False, clients=("reverse",)),
    ]
    coded = any(isinstance(step, Head) and step.coding for step in program.steps)
    plain = tuple(replace(step, coding="") if isinstance(step, Head) else step for step in program.steps)
    return [
        *([replace(program, steps=plain)] if coded else []),
        *(replace(program, scene=each) for each in scenes if each != scene),
    ]


def _without_parts(program: Program, is_seen: object) -> Program:
    """Return the program with less text in it."""
    assert callable(is_seen)
    for at, step in enumerate(program.steps):
        if not isinstance(step, Piece | More):
            continue
        for number in range(len(step.body) - 1, -1, -1):
            now = program.steps[at]
            assert isinstance(now, Piece | More)
            if len(now.body) < 2:
                break
            fewer: Step = replace(now, body=(*now.body[:number], *now.body[number + 1 :]))
            steps: Steps = (*program.steps[:at], fewer, *program.steps[at + 1 :])
            if is_seen(replace(program, steps=steps)):
                program = replace(program, steps=steps)
    return program
