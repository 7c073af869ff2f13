"""Keep programs that were once seen to break something, one file each, to be run again by the tests."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from hunt.programs.steps import Program, from_json, to_json

FOLDER = Path(__file__).parents[1] / "corpus/hunt"


@dataclass(frozen=True, slots=True)
class Entry:
    """way: As it prints, its rung first. sights: What was seen then."""

    way: str
    program: Program
    sights: tuple[str, ...]
    note: str = ""

    @property
    def rung(self) -> str:
        return self.way.split(",")[0]

    def to_json(self) -> str:
        return json.dumps(
            {
                "way": self.way,
                "note": self.note,
                "sights": list(self.sights),
                "program": json.loads(to_json(self.program)),
            },
            indent=1,
        )


def read(path: Path) -> Entry:
    found = json.loads(path.read_text())
    program = from_json(json.dumps(found["program"]))
    return Entry(found["way"], program, tuple(found["sights"]), found["note"])


def entries(folder: Path = FOLDER) -> list[Path]:
    return sorted(folder.glob("*.json"))


def keep(entry: Entry, folder: Path) -> Path:
    """Write it; the name is of its program, so that the same finding is kept once."""
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(f"{entry.way}{to_json(entry.program)}".encode()).hexdigest()[:12]
    path = folder / f"{name}.json"
    path.write_text(entry.to_json() + "\n")
    return path
