"""What it takes to keep a tree for undo, beside git and programs that back trees up."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.budget import Figure, Row, at_most
from benchmarks.commands import rounds_in_turn
from benchmarks.machine import PROGRAMS, tool
from benchmarks.samples import Absent, CannotRunError, Measured, Samples
from benchmarks.settings import Settings
from benchmarks.stage import Stage

DIRECTORIES, FILES = 2500, 20
MEAN_BYTES = 4000
TURNS = 100
ROUNDS_MAX = 3
PATIENCE_S = 120.0
NOTE = (
    f"{DIRECTORIES * FILES:,} files of text in {DIRECTORIES:,} directories, {MEAN_BYTES:,} bytes each. "
    "Each program begins with an empty repository, and what it wrote is removed between the rounds."
)


def undo_rows(stage: Stage, settings: Settings) -> list[Row]:
    tree, place = stage.folder / "kept", stage.folder / "keeps"
    _plant(tree)
    rounds = min(settings.rounds, ROUNDS_MAX)
    others = ("git", "restic", "borg")
    found = rounds_in_turn(
        rounds,
        {
            "nono": partial(_undo, tree, place),
            **{name: partial(_backup, name, tree, place) for name in others},
        },
    )

    def of(figure: str, name: str = "nono", times: float = 1.0) -> Measured:
        taken = found[name]
        return taken if isinstance(taken, Absent) else Samples(tuple(each[figure] * times for each in taken))

    what = f"undo, {DIRECTORIES * FILES:,} files"
    return [
        Row(
            f"{what}: baseline",
            "s",
            of("first_s"),
            "git add -A",
            of("first_s", "git"),
            at_most(1.0, noise=0.05),
            NOTE,
        ),
        Row(f"{what}: baseline", "s", of("first_s"), "restic backup", of("first_s", "restic")),
        Row(f"{what}: baseline", "s", of("first_s"), "borg create", of("first_s", "borg")),
        Row(
            f"{what}: unchanged, again",
            "s",
            of("again_s"),
            "git add -A",
            of("again_s", "git"),
            at_most(1.0, Figure.VALUE),
        ),
        Row(f"{what}: unchanged, again", "s", of("again_s"), "restic backup", of("again_s", "restic")),
        Row(f"{what}: unchanged, again", "s", of("again_s"), "borg create", of("again_s", "borg")),
        Row(f"{what}: end of the run", "s", of("end_s")),
        Row(
            f"{what}: mark, three files changed",
            "ms",
            of("mark_s", times=1e3),
            budget=at_most(50.0, Figure.VALUE),
        ),
        Row(
            f"{what}: kept after {TURNS} marks",
            "MB",
            of("size", times=1e-6),
            note=f"The tree has {_size(tree):.0f} MB.",
        ),
    ]


def _plant(tree: Path) -> None:
    chosen = random.Random(1)
    words = [
        "".join(chosen.choices("abcdefghijklmnopqrstuvwxyz", k=chosen.randint(2, 10))) for _ in range(5000)
    ]
    for directory in range(DIRECTORIES):
        (tree / f"d{directory}").mkdir(parents=True)
        for file in range(FILES):
            count = int(chosen.expovariate(7 / MEAN_BYTES)) + 1
            text = " ".join(chosen.choices(words, k=count))
            (tree / f"d{directory}/f{file}").write_text(f"{text}\n{directory} {file}\n")


def _size(tree: Path) -> float:
    return sum(each.stat().st_size for each in tree.glob("*/*")) / 1e6


def _undo(tree: Path, place: Path) -> Mapping[str, float]:
    try:
        place.mkdir()
        said = _run(
            [sys.executable, "-I", str(PROGRAMS / "undo.py"), str(tree), str(place), str(TURNS)], place
        )
    finally:
        shutil.rmtree(place)
    found: dict[str, float] = json.loads(said)
    return found


def _backup(name: str, tree: Path, place: Path) -> Mapping[str, float]:
    """Take a first and a second backup of the same tree."""
    program = tool(name)
    if program is None:
        raise CannotRunError(f"{name} is not installed")
    repository = str(place / "repository")
    prepare, keep = {
        "git": (
            ["init", "--bare", repository],
            [f"--git-dir={repository}", f"--work-tree={tree}", "-c", "core.bare=false", "add", "-A"],
        ),
        "restic": (["init", "-r", repository], ["-r", repository, "backup", str(tree)]),
        "borg": (["init", "-e", "none", repository], ["create", f"{repository}::{{utcnow}}", str(tree)]),
    }[name]
    try:
        place.mkdir()
        _run([program, *prepare], place)
        taken = []
        for _ in range(2):
            began = time.perf_counter()
            _run([program, *keep], place)
            taken.append(time.perf_counter() - began)
            time.sleep(1)  # the name of an archive has the second in it
        return {"first_s": taken[0], "again_s": taken[1]}
    finally:
        shutil.rmtree(place)


def _run(argv: Sequence[str], home: Path) -> str:
    environ = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "RESTIC_PASSWORD": "benchmark",
        "BORG_BASE_DIR": str(home),
    }
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    if done.returncode:
        said = (done.stderr.strip() or "no word").splitlines()[-1]
        raise CannotRunError(f"exit code {done.returncode}: {said[:160]}")
    return done.stdout
