"""Keep programs in which something was once found, one file each, to be played again by the tests."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from hunt.traffic.programs.program import Program, from_json

FOLDER = Path(__file__).parents[3] / "corpus/traffic"


@dataclass(frozen=True, slots=True)
class Entry:
    """sights: what was seen then. program: None when it is not of one."""

    note: str
    sights: tuple[str, ...]
    program: Program | None

    def to_json(self) -> str:
        program = None if self.program is None else json.loads(self.program.to_json())
        return json.dumps({"note": self.note, "sights": list(self.sights), "program": program}, indent=1)


def read(path: Path) -> Entry:
    found = json.loads(path.read_text())
    return Entry(found["note"], tuple(found["sights"]), from_json(json.dumps(found["program"])))


def entries(folder: Path = FOLDER) -> list[Path]:
    return sorted(folder.glob("*.json"))


def keep(entry: Entry, folder: Path) -> Path:
    """Write it; the name is of its program, so that the same finding is kept once."""
    folder.mkdir(parents=True, exist_ok=True)
    text = entry.to_json()
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"
    path.write_text(text + "\n")
    return path
