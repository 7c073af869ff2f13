"""What builds and tests of a small project take in a run that stands, and with its start."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.budget import Row, at_most
from benchmarks.commands import check, in_directory, in_turn, seconds_to_exit
from benchmarks.machine import tool
from benchmarks.samples import Absent, CannotRunError, Measured
from benchmarks.settings import Settings
from benchmarks.stage import NONO, Stage, base_environ
from benchmarks.workers import WORKER, WORKER_READS, Worker, worker

AS_BARE = at_most(1.05)
# A value is the quickest of as many builds as take so long, at least: what others on the machine add is more
# than the twentieth that is to be told apart.
VALUE_S = 1.0
INSIDE_NOTE = (
    "an agent builds in a run that stands. A worker in one is told to build, and tells how long that took; "
    "the worker beside it is in no sandbox. Each build begins without what the one before left. Of each "
    f"{VALUE_S:.0f} s the quickest build counts."
)
START_NOTE = "with a `nono run` for each build, whose start is included. No agent builds so."
CRATE = """
mkdir -p src; printf '[package]\\nname = "m"\\nversion = "0.1.0"\\nedition = "2021"\\n' > Cargo.toml
printf 'fn main() { println!("{}", 1) }\\n' > src/main.rs
"""
PACKAGE = """
mkdir -p p; printf '{"name": "p", "version": "1.0.0"}' > p/package.json
printf '{"name": "m", "version": "1.0.0"}' > package.json; npm install --offline --silent ./p
"""
TESTS = """
printf '[pytest]\\n' > pytest.ini
printf 'def test_a(tmp_path):\\n    assert tmp_path.exists()\\n' > test_a.py
"""


@dataclass(frozen=True, slots=True)
class Build:
    """prepare: makes the project; left: what a build leaves."""

    name: str
    command: str
    profile: str
    prepare: str
    left: str


BUILDS = (
    Build("cargo build", "cargo build -q --offline", "rust-dev", CRATE, "target"),
    Build("npm ci", "npm ci --offline --silent", "node-dev", PACKAGE, "node_modules"),
    Build("pytest", "python3 -m pytest -q", "python-dev", TESTS, ".pytest_cache"),
)


def build_rows(stage: Stage, settings: Settings) -> list[Row]:
    return [row for build in BUILDS for row in _rows(stage, settings, build)]


def _rows(stage: Stage, settings: Settings, build: Build) -> list[Row]:
    paths = (
        f"`{build.name}` of a small project, inside",
        f"`{build.name}` of a small project, start included",
    )
    try:
        project = _project(stage, build)
    except CannotRunError as error:
        return [Row(path, "s", Absent(str(error))) for path in paths]
    first = build is BUILDS[0]
    inside, started = _inside(stage, settings, build, project), _started(stage, settings, build, project)
    return [
        Row(paths[0], "s", inside["nono"], "bare", inside["bare"], AS_BARE, INSIDE_NOTE if first else ""),
        Row(paths[1], "s", started["nono"], "bare", started["bare"], None, START_NOTE if first else ""),
    ]


def _project(stage: Stage, build: Build) -> Path:
    """Prepare the folder of a build. Raises CannotRunError if its tool is missing or fails."""
    program = build.command.split()[0]
    if tool(program) is None:
        raise CannotRunError(f"{program} is not installed")
    project = stage.folder / build.name.replace(" ", "-")
    project.mkdir(exist_ok=True)
    check(in_directory(project, "/bin/sh", "-euc", build.prepare), _environ(stage))
    return project


def _inside(stage: Stage, settings: Settings, build: Build, project: Path) -> dict[str, Measured]:
    """Time the build alone, without the removal of the one before."""
    prefixes = {"nono": _nono(build, WORKER_READS), "bare": []}

    def seconds(place: Worker | Absent) -> float:
        if isinstance(place, Absent):
            raise CannotRunError(place.reason)
        # The worker takes what a command prints for numbers.
        return place.quickest(_shell(f"{build.command} >&2"), VALUE_S, _shell(f"rm -rf {build.left}"))

    with ExitStack() as stack:
        places: dict[str, Worker | Absent] = {}
        for name, prefix in prefixes.items():
            argv = in_directory(project, *prefix, *WORKER)
            log = stage.folder / f"{project.name}-{name}.log"
            try:
                places[name] = stack.enter_context(worker(argv, _environ(stage), None, log))
            except CannotRunError as error:
                places[name] = Absent(str(error))
        return in_turn(settings.rounds, {name: partial(seconds, place) for name, place in places.items()})


def _started(stage: Stage, settings: Settings, build: Build, project: Path) -> dict[str, Measured]:
    environ, run = _environ(stage), _shell(f"rm -rf {build.left}; {build.command}")

    def seconds(argv: Sequence[str]) -> float:
        return seconds_to_exit(argv, environ)

    argvs = {"nono": in_directory(project, *_nono(build), *run), "bare": in_directory(project, *run)}
    return in_turn(settings.rounds, {name: partial(seconds, argv) for name, argv in argvs.items()})


def _shell(script: str) -> list[str]:
    return ["/bin/sh", "-euc", script]


def _nono(build: Build, reads: Sequence[str] = ()) -> list[str]:
    """Return the command that runs a build under the profile for it."""
    flags = [f"--read={path}" for path in (*reads, *_toolchains().values())]
    return [NONO, "--silent", "run", f"--profile={build.profile}", "--allow=.", *flags, "--"]


def _environ(stage: Stage) -> dict[str, str]:
    return base_environ(stage.folder) | _toolchains()


def _toolchains() -> dict[str, str]:
    """Return where rustup has its toolchains, if anywhere: the benchmark has another home."""
    home = Path.home()
    places = {"RUSTUP_HOME": home / ".rustup", "CARGO_HOME": home / ".cargo", "PYENV_ROOT": home / ".pyenv"}
    return {name: str(path) for name, path in places.items() if path.is_dir()}
