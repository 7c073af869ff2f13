"""What programs that go through a whole project take inside, with files denied in it and without."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.budget import Row, at_most
from benchmarks.commands import in_turn
from benchmarks.machine import tool
from benchmarks.samples import CannotRunError
from benchmarks.settings import Settings
from benchmarks.stage import Stage
from benchmarks.workers import Worker, worker

DIRECTORIES, FILES, FILE_BYTES = 100, 100, 20_000
MEGABYTES = DIRECTORIES * FILES * FILE_BYTES // 10**6
DENIED = (".env", "d7/key.pem")
SHARED_MEMORY = "/dev/shm"  # where no disk decides how long writing takes
# A value is the quickest of as many commands as take so long, at least: what others on the machine add is
# more than the twentieth that is to be told apart.
VALUE_S = 1.0
AS_BARE = at_most(1.05, noise=0.02)
NOTE = (
    f"{DIRECTORIES * FILES} files in {DIRECTORIES} directories below a granted one, in memory by then. With "
    f"masks: {' and '.join(DENIED)} are denied, so that the command has mounts of its own. Of each "
    f"{VALUE_S:.0f} s the quickest command counts. tar leaves .git out, which holds the same again."
)


def tree_rows(stage: Stage, settings: Settings) -> list[Row]:
    tree = stage.folder / "project"
    _plant(tree, stage.environ)
    archive = Path(SHARED_MEMORY, f"{stage.folder.name}.tar")
    archive.touch()
    grant = [f"--allow={tree}", f"--allow-file={archive}"]
    argvs = {
        "bare": stage.worker,
        "nono": stage.nono_run(*stage.worker, flags=grant),
        "masks": stage.nono_run(*stage.worker, flags=grant, denied=[str(tree / name) for name in DENIED]),
    }
    with ExitStack() as stack:
        stack.callback(archive.unlink)
        places = {
            name: stack.enter_context(
                worker(argv, stage.environ, stage.cpus.load, stage.folder / f"tree-{name}.log")
            )
            for name, argv in argvs.items()
        }
        commands = _commands(tree, archive)
        return [row for what, argv in commands.items() for row in _rows(what, argv, places, settings)]


def _rows(what: str, argv: list[str], places: Mapping[str, Worker], settings: Settings) -> list[Row]:
    def ms(place: Worker) -> float:
        return place.quickest(argv, VALUE_S) * 1e3

    taken = in_turn(settings.rounds, {name: partial(ms, place) for name, place in places.items()})
    path = f"{what}, {MEGABYTES} MB of files, inside"
    bare = taken["bare"]
    return [
        Row(path, "ms", taken["nono"], "bare", bare, AS_BARE, NOTE if what == "git status" else ""),
        Row(f"{path}, with masks", "ms", taken["masks"], "bare", bare, AS_BARE),
    ]


def _commands(tree: Path, archive: Path) -> Mapping[str, list[str]]:
    """Map names to commands. They skip what is denied, since nobody inside can read it."""
    left_out = [f"--exclude={name}" for name in (*(Path(name).name for name in DENIED), ".git")]
    return {
        "git status": ["git", "-C", str(tree), "status", "--porcelain"],
        "find": ["find", str(tree), "-name", "no-file-is-called-this"],
        "tar": ["tar", "-cf", str(archive), *left_out, "-C", str(tree), "."],
    }


def _plant(tree: Path, environ: Mapping[str, str]) -> None:
    """Make a clean working copy. CannotRunError without git."""
    for directory in range(DIRECTORIES):
        (tree / f"d{directory}").mkdir(parents=True)
        for file in range(FILES):
            (tree / f"d{directory}/f{file}").write_bytes(os.urandom(FILE_BYTES))
    for name in DENIED:
        (tree / name).write_text("a secret")
    (tree / ".gitignore").write_text("".join(f"{Path(name).name}\n" for name in DENIED))
    git = tool("git")
    if git is None:
        raise CannotRunError("git is not installed")
    settings = ("user.name=bench", "user.email=bench@example.invalid", "core.compression=0", "gc.auto=0")
    given = [word for setting in settings for word in ("-c", setting)]
    for command in (["init"], ["add", "."], ["commit", "-m", "all"]):
        argv = [git, *given, "-C", str(tree), *command]
        subprocess.run(argv, env=environ, check=True, timeout=60, capture_output=True)
