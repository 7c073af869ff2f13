"""Hunt until the time is over: each program of each sweep by turns, in each way to run, as each user."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from confined.hosts import Host
from hunt import campaign, control, corpus, options
from hunt.outside.place import Place, settled
from hunt.outside.sights import kind
from hunt.outside.stage import Packets
from hunt.programs import mixed, turns
from hunt.programs.steps import Program, to_json
from hunt.ways import Way, ways

MOST_NAMES = 60
OPTIONS = "nono's options"
STDINS = ("terminal", "terminal", "nothing")
OUTPUTS = ("file", "pipe", "terminal")
CHOICES = (*mixed.SWEEPS, turns.RANDOM, OPTIONS)  # of what is tried
WARM_UP: Program = (("open", "/dev/null", 0),)


@dataclass
class Hunt:
    """What is tried and what was found. ends: by time.monotonic()."""

    packets: Packets
    choice: random.Random
    ends: float
    rungs: Sequence[str] | None = None
    sweeps: Sequence[str] | None = None
    is_planted: bool = False
    host: Host | None = None
    found: dict[tuple[str, ...], corpus.Entry] = field(default_factory=dict)
    known: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)

    def run(self) -> None:
        """Hunt as each user in turn: the machine's IPC has one neighbour at a time. Divides the time."""
        users, begun = self._users(), time.monotonic()
        for number, as_root in enumerate(users, 1):
            ends = begun + (self.ends - begun) * number / len(users)
            with settled(self.packets, as_root=as_root, stage=self._stage()) as place:
                self._hunt(place, [way for way in self._ways(as_root=as_root) if self._is_wanted(way)], ends)

    def replay(self) -> None:
        """Run every program of the corpus on its rung, with and without namespaces."""
        entries = [(path.name, corpus.read(path)) for path in corpus.entries()]
        for as_root in self._users():
            with settled(self.packets, as_root=as_root, stage=self._stage()) as place:
                campaign.run(place, self._ways(as_root=as_root)[0], WARM_UP)
                for name, entry in entries:
                    for way in self._ways(as_root=as_root):
                        if entry.rung == way.rung:
                            self._try(place, way, name, entry.program)

    def control(self) -> None:
        """Run a program without a sandbox: a watcher that sees nothing of it is blind."""
        for as_root in self._users():
            with settled(self.packets, as_root=as_root, stage=self._stage()) as place:
                campaign.run(place, self._ways(as_root=as_root)[0], WARM_UP)
                for missed in control.blind(place):
                    self.found["blind", missed] = corpus.Entry("without nono", (), (f"{missed}: blind",))

    def _stage(self) -> list[str]:
        return self.host.stage() if self.host else []

    def _ways(self, *, as_root: bool) -> list[Way]:
        lacks = (self.host.root if as_root else self.host.user) if self.host else None
        return ways(as_root=as_root, lacks=lacks or ())

    def _users(self) -> list[bool]:
        """Return the users to hunt as: True for root. What is planted shows whether the machine sees it."""
        confines_root = (self.host is None or self.host.root is not None) and not self.is_planted
        return [False, True] if os.geteuid() == 0 and confines_root else [False]

    def _is_wanted(self, way: Way) -> bool:
        return not self.rungs or way.rung in self.rungs

    def _hunt(self, place: Place, those: Sequence[Way], ends: float) -> None:
        campaign.run(place, those[0], WARM_UP)  # what the first run of a home makes
        programs = self._programs(as_root=those[0].as_root)
        while True:
            for way in self.choice.sample(those, len(those)):
                for sweep, program in islice(programs, 1):
                    self._try(place, self._called(way), sweep, program)
                if self._has(OPTIONS):
                    self._try_options(place)
                if time.monotonic() > ends:
                    return

    def _called(self, way: Way) -> Way:
        return replace(way, stdin=self.choice.choice(STDINS), output=self.choice.choice(OUTPUTS))

    def _has(self, sweep: str) -> bool:
        return not self.sweeps or sweep in self.sweeps

    def _programs(self, *, as_root: bool) -> Iterator[tuple[str, Program]]:
        return turns.programs(
            self.choice,
            lambda: mixed.sweeps_of(self.choice, campaign.name_of, list_directory, as_root=as_root),
            self._has,
            as_root=as_root,
        )

    def _try(self, place: Place, way: Way, sweep: str, program: Program) -> None:
        more = [f"--allow={place.facts['paths']['folder']}"] if self.is_planted else []
        seen = campaign.run(place, way, program, more)
        self.known += seen.known
        self.outcomes += seen.outcomes
        self.runs[sweep] += 1
        kinds = tuple(sorted({kind(sight) for sight in seen.broken}))
        if not kinds or (str(way), *kinds) in self.found:
            return
        print(f"seen: {way}, {sweep}: {'; '.join(seen.broken[:6])}\n{seen.said}", flush=True)
        left = campaign.reduce(place, way, program, seen, more)
        note = f"sweep {sweep!r}" if left else f"sweep {sweep!r}; was not seen again"
        self.found[str(way), *kinds] = corpus.Entry(str(way), left or program, seen.broken[:12], note)
        print(f"shortest, {len(left)} of {len(program)} steps: {to_json(left)[:2000]}", flush=True)

    def _try_options(self, place: Place) -> None:
        self.runs[OPTIONS] += 1
        for sight, entry in options.try_one(place, self.choice).items():
            if sight not in self.found:
                print(f"seen: {entry.note}: {entry.sights}", flush=True)
                self.found[sight] = entry

    def report(self, keep: Path) -> int:
        done = ", ".join(f"{count} {name}" for name, count in self.runs.most_common())
        print(f"runs: {done}")
        refused = sum(count for what, count in self.outcomes.items() if not what.endswith(" ok"))
        print(f"steps: {sum(self.outcomes.values())}, of which {refused} were refused or ended")
        ended = self.outcomes["cut short"]
        print(f"steps that ended what ran them: at most {ended}")
        for why, count in self.known.most_common():
            print(f"known gap, {count} times: {why}")
        for entry in self.found.values():
            print(f"FOUND {entry.way}: {'; '.join(entry.sights)[:600]}\n  {to_json(entry.program)[:600]}")
            with suppress(OSError):
                corpus.keep(entry, keep)
        return 1 if self.found else 0


def list_directory(path: str) -> list[str]:
    """List a directory, one name for many that are alike; nothing behind a link."""
    if os.path.islink(path):
        return []
    try:
        names = sorted(os.listdir(path))
    except OSError:
        return []
    if path == "/proc":
        return [name for name in names if not name.isdigit()] + ["1", "self", "thread-self"]
    return names[:MOST_NAMES]
