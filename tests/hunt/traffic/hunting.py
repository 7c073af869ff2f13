"""Hunt until the time is over: a program, two plays, and the shortest of what was found."""

from __future__ import annotations

import ctypes
import gc
import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from hunt.outside.sights import kind
from hunt.programs.reducer import shortest
from hunt.traffic.campaign import Campaign, Result
from hunt.traffic.programs import corpus
from hunt.traffic.programs.drawn import programs
from hunt.traffic.programs.program import Program, shown
from hunt.traffic.servers.asking import Sent, ask, drawn
from hunt.traffic.servers.real import SERVERS, Running

WARM_UP = 20  # programs, after which the process has all it needs
MOST_GROWTH_KIB = 200 * 1024
MOST_FOUND = 12
MOST_REPLAYS = 5
LONG_S = 300.0  # from which on a hunt has the time to start every server
EVERY = 20  # programs: then a real server is asked
REQUESTS = 12
REDUCING_S = 10.0


@dataclass
class Hunt:
    """found: by what was seen. ends: by time.monotonic()."""

    campaign: Campaign
    seed: int
    ends: float
    found: dict[tuple[str, ...], corpus.Entry] = field(default_factory=dict)
    known: Counter[str] = field(default_factory=Counter)
    plays: int = 0
    answered: int = 0
    unsteady: int = 0
    rounds: Counter[str] = field(default_factory=Counter)

    def run(self, servers: Sequence[Running] = ()) -> None:
        choice = random.Random(self.seed)
        resident = 0
        for number, program in enumerate(programs(choice)):
            if time.monotonic() > self.ends or len(self.found) >= MOST_FOUND:
                break
            if number < WARM_UP:
                self.campaign.compare(program)
                resident = _resident_kib()
            else:
                self.try_one(f"seed {self.seed}, program {number}", program)
            if servers and number >= WARM_UP and number % EVERY == 0:
                self._ask(servers[number // EVERY % len(servers)])
        grown = _resident_kib() - resident
        if grown > MOST_GROWTH_KIB:
            sight = f"left/memory: {resident} KiB -> {resident + grown} KiB"
            self.found["left/memory",] = corpus.Entry(f"seed {self.seed}", (sight,), None)

    def replay(self) -> None:
        """Play each program of the corpus twice: the first play of a kind makes what later ones find."""
        for path in corpus.entries():
            entry = corpus.read(path)
            assert entry.program is not None
            self.campaign.compare(entry.program)
            for _ in range(MOST_REPLAYS):  # an unsteady one says nothing
                result = self._compared(entry.program)
                if not result.is_unsteady:
                    break
            if result.sights:
                self.found[path.name,] = corpus.Entry(path.name, tuple(result.sights), entry.program)

    def try_one(self, name: str, program: Program) -> None:
        result = self._compared(program)
        kinds = tuple(sorted(result.kinds))
        if not kinds or any(set(kinds) <= set(each) for each in self.found):
            return
        print(f"seen: {name}: {'; '.join(result.sights[:4])[:900]}", flush=True)
        left = self.campaign.reduce(program, result)
        again = self.campaign.compare(left)
        only_slow = not again.sights and all(each.startswith("clock/") for each in kinds)
        # A machine that others use is slow for seconds now and then, and the short form came later.
        if only_slow and not self.campaign.compare(program).kinds:
            self.unsteady += 1
            return
        note = name if again.sights else f"{name}; its short form was not seen again"
        program, sights = (left, again.sights) if again.sights else (program, result.sights)
        self.found[kinds] = corpus.Entry(note, tuple(sights[:6]), program)

    def _compared(self, program: Program) -> Result:
        """Compare twice, and keep what is seen both times: a busy machine shows something once in a while."""
        result = self.campaign.compare(program)
        if result.sights:
            again = self.campaign.compare(program).kinds
            lasting = [sight for sight in result.sights if kind(sight) in again]
            result.is_unsteady |= len(lasting) < len(result.sights)
            result.sights = lasting
        self.plays += 2
        self.answered += result.answered
        self.unsteady += result.is_unsteady
        self.known += result.known
        return result

    def _ask(self, server: Running) -> None:
        self.rounds[server.name] += 1
        number = self.rounds[server.name]
        choice = random.Random(f"{self.seed}/{server.name}/{number}")
        sent = drawn(choice, number * 1000, REQUESTS)
        kinds = {kind(sight) for sight in ask(server, sent)}
        if not kinds or any(kinds <= set(each) for each in self.found):
            return

        ends = time.monotonic() + REDUCING_S

        def is_seen(part: Sequence[Sent]) -> bool:
            return time.monotonic() < ends and bool(kinds & {kind(sight) for sight in ask(server, part)})

        left = shortest(sent, is_seen, attempts=40)
        sights = ask(server, left)
        note = "\n  ".join([f"seed {self.seed}, {server.name}, round {number}", *map(str, left)])
        self.found[tuple(sorted(kinds))] = corpus.Entry(note, tuple(sights or sorted(kinds)), None)

    def report(self, keep: Path) -> int:
        print(
            f"plays: {self.plays}, in which {self.answered} answers came back; {self.unsteady} were unsteady"
        )
        if self.rounds:
            print("servers asked: " + ", ".join(f"{name} {count}" for name, count in self.rounds.items()))
        for why, count in self.known.most_common():
            print(f"known gap, {count} times: {why}")
        for entry in self.found.values():
            print(f"FOUND {entry.note}: {'; '.join(entry.sights)[:1200]}")
            if entry.program is not None:
                print(shown(entry.program))
                with suppress(OSError):
                    print(f"  kept: {corpus.keep(entry, keep)}")
        return 1 if self.found else 0


@contextmanager
def real_servers(folder: Path, *, all_of_them: bool) -> Iterator[list[Running]]:
    """Return the servers that are installed; print which are not, with the reason."""
    with ExitStack() as stack:
        running = list[Running]()
        for each in SERVERS:
            if not each.is_quick and not all_of_them:
                print(f"not asked in a short hunt: {each.name}")
            elif (reason := each.missing) is not None:
                print(f"not asked: {each.name}: {reason}")
            else:
                try:
                    running.append(stack.enter_context(each.running(folder / each.name)))
                except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
                    print(f"not asked: {each.name}: {error}")
        yield running


def _resident_kib() -> int:
    """Measure memory in use: bodies of all sizes leave holes in the C library's heap, which it would keep."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    text = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS:"))
