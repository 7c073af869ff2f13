"""Run cases that need no start of their own below one nono, once for all processes of a run of the tests."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from support.running.builds import Builds
from support.workday.case import Case, Ended, Workplace

BATCH = 15

Chosen = tuple[Case, str]  # the case, and the way to run nono


@dataclass(frozen=True, slots=True)
class SharedStarts:
    """Cases inside. Those without a profile share a start: each has no grant but its project."""

    person: Workplace
    builds: Builds
    _batches: dict[Chosen, tuple[str, list[Case]]] = field(default_factory=dict)

    def plan(self, chosen: Iterable[Chosen]) -> None:
        """Say which cases will be run."""
        by_way: dict[str, list[Case]] = {}
        for case, way in chosen:
            if case.may_share and not (case.profile or case.is_slow):
                by_way.setdefault(way, []).append(case)
        for way, cases in by_way.items():
            for first in range(0, len(cases), BATCH):
                batch = cases[first : first + BATCH]
                self._batches.update({(case, way): (f"workday-{way}-{first}", batch) for case in batch})

    def inside(self, case: Case, way: str) -> Ended:
        """Run the case, or look how it ended when its batch was run."""
        if (case, way) not in self._batches:
            return self.person.inside(case, way)
        name, batch = self._batches[case, way]

        def make(file: Path) -> None:
            ended = self.person.batch(batch, way)
            file.write_text(json.dumps([[each.exit_code, each.output[-4000:]] for each in ended]))

        outcomes = json.loads(self.builds.get(name, make).read_text())
        return Ended(case, *outcomes[batch.index(case)])
