"""Define one everyday command, and how a person runs it outside and inside."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp

from support.nono_run import NONO, NonoRun, nono_run
from support.running import fork_server

TIMEOUT_S = 100.0
BATCH_TIMEOUT_S = 1800.0
# Runs each script of a batch in its own project, from a directory beside them.
DRIVER = """
for script in *.script; do
  number=${script%.script} text=$(cat "$script")
  (cd "../$number/project" && exec timeout 300 sh -euc "$text") > "$number.out" 2>&1 < /dev/null
  echo $? > "$number.status"
done
"""
# These ask for no proxy, which a network namespace is for.
WITHOUT_NETWORK = (None, "coding-agent")
GIT_SETTINGS = "[user]\n\tname = A Person\n\temail = person@host.example\n[init]\n\tdefaultBranch = main\n"


@dataclass(frozen=True, slots=True)
class Case:
    """A shell script that ends with 0 outside.

    profile: The profile that a person uses; None for `--allow .` alone.
    by_design: Why it fails inside, in the words of the rule; None if it works.
    unshared: Why it fails without namespaces of its own.
    unmasked: Why it fails in a project with a denied file.
    at: The directory, below the project's, in which both nono and the script start.
    stage: A script that first runs outside, in the project's directory.
    is_slow: It takes many seconds, so only `make test-long` runs it.
    """

    claim: str
    script: str
    profile: str | None = None
    by_design: str | None = None
    unshared: str | None = None
    unmasked: str | None = None
    at: str = "."
    stage: str = ""
    is_slow: bool = False

    @property
    def name(self) -> str:
        return f"{self.profile or 'plain'}: {self.claim}"

    @property
    def may_share(self) -> bool:
        """True if it may run below one nono with others: it needs no start and no stage of its own."""
        return self.at == "." and not (self.stage or self.by_design or self.unmasked)

    def refused(self, way: str) -> str | None:
        """Return why it should fail inside; None if it should work."""
        return self.by_design or {"off": self.unshared, "masked": self.unmasked}.get(way)


# Each way to run nono that a person may have chosen or been left with.
WAYS: Mapping[str, Sequence[str]] = {
    "auto": (),
    "off": ("--namespaces=off",),
    "netns": ("--sandbox-policy=netns",),
    "masked": (),
}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a case ended."""

    case: Case
    exit_code: int
    output: str


@dataclass(frozen=True, slots=True)
class Workplace:
    """A person with a home, in which projects come and go."""

    runner: NonoRun
    _outside: dict[str, subprocess.CompletedProcess[str]] = field(default_factory=dict)

    def outside(self, case: Case) -> subprocess.CompletedProcess[str]:
        """Run the case outside, once for all ways."""
        if case.name not in self._outside:
            with self._project(case) as project:
                self._outside[case.name] = self._finish(self._shell(case), project / case.at)
        return self._outside[case.name]

    def inside(self, case: Case, way: str) -> Ended:
        with self._project(case) as project:
            argv = [*NONO, "run", *self._options(case, way, project), "--", *self._shell(case)]
            ended = self._finish(argv, project / case.at)
            return Ended(case, ended.returncode, ended.stdout[-1000:] + ended.stderr[-3000:])

    def batch(self, cases: Sequence[Case], way: str | None) -> list[Ended]:
        """Run cases of one profile one after the other below a single nono; way None: outside."""
        around = Path(mkdtemp(prefix="batch-", dir=self.runner.user.home))
        self.runner.give(around)
        outcomes = around / "outcomes"
        self._own(outcomes)
        numbers = [f"{number:03}" for number in range(len(cases))]
        try:
            for number, case in zip(numbers, cases, strict=True):
                self.runner.give(_written(outcomes / f"{number}.script", case.script))
            projects = [self._prepared(around / number) for number in numbers]
            shell = ["sh", "-uc", DRIVER]
            if way is not None:
                granted = [f"--allow={project}" for project in projects]
                shell = [*NONO, "run", *self._options(cases[0], way, *projects), *granted, "--", *shell]
            ended = self._finish(shell, outcomes, BATCH_TIMEOUT_S)
            return [
                _ended(case, outcomes / number, ended.stderr)
                for number, case in zip(numbers, cases, strict=True)
            ]
        finally:
            shutil.rmtree(around, ignore_errors=True)  # what was left running may still write there

    def _own(self, directory: Path) -> None:
        directory.mkdir()
        self.runner.give(directory)

    def _prepared(self, around: Path) -> Path:
        """Make a project that contains something masked."""
        project = around / "project"
        for directory in (around, project, project / "kept"):
            self._own(directory)
        self.runner.give(_written(project / "kept" / "secret", "a secret of the project\n"))
        return project

    def _options(self, case: Case, way: str, *projects: Path) -> list[str]:
        options = [*WAYS[way], *([] if case.profile else ["--allow=."])]
        profile = case.profile
        if way == "masked":
            file = self.runner.user.home / "masked.json"
            denied = [str(project / "kept" / "secret") for project in projects]
            base = {"extends": profile} if profile else {}
            file.write_text(json.dumps(base | {"filesystem": {"deny": denied}}))
            profile = str(file)
        if way == "netns" and case.profile in WITHOUT_NETWORK:
            options.append("--network-profile=developer")
        if profile:
            options += [f"--profile={profile}", "--allow-cwd"]
        return options

    @staticmethod
    def _shell(case: Case) -> list[str]:
        return ["sh", "-euc", case.script]

    @contextmanager
    def _project(self, case: Case) -> Iterator[Path]:
        """Yield a project; removed with its surroundings afterwards."""
        around = self.runner.user.home / "work"
        project = self._prepared(around)
        try:
            if case.stage:
                staged = self._finish(["sh", "-euc", case.stage], project)
                assert staged.returncode == 0, staged.stderr
            yield project
        finally:
            shutil.rmtree(around)

    def _finish(
        self, argv: Sequence[str], cwd: Path, timeout_s: float = TIMEOUT_S
    ) -> subprocess.CompletedProcess[str]:
        user = self.runner.user
        with open(os.devnull, "rb") as empty:
            return fork_server.run(
                user.command(argv),
                env=user.environment({"PATH": f"{user.home}/.local/bin:/usr/local/bin:/usr/bin:/bin"}),
                cwd=cwd,
                stdin=empty.fileno(),
                timeout=timeout_s,
                errors="replace",
            )


def _ended(case: Case, outcome: Path, stderr: str) -> Ended:
    """Read how a case of a batch ended; it did not begin if nono refused to run the batch."""
    try:
        code = int(outcome.with_suffix(".status").read_text())
        return Ended(case, code, outcome.with_suffix(".out").read_text(errors="replace"))
    except (FileNotFoundError, ValueError):
        return Ended(case, -1, stderr)


@contextmanager
def workplace() -> Iterator[Workplace]:
    """Yield a person's home with common settings; removed at the end of the block."""
    with nono_run() as runner:
        runner.give(_written(runner.user.home / ".gitconfig", GIT_SETTINGS))
        local = runner.user.home / ".local"
        for directory in (local, local / "bin", local / "share"):  # homes have these from their first day on
            directory.mkdir()
            runner.give(directory)
        # Where its installer puts it, because Debian has no package of it.
        shutil.copy(Path(sys.executable).parent / "uv", local / "bin")
        yield Workplace(runner)


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path
