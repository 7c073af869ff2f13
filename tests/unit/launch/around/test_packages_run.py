"""nono.launch.around.packages_run: what is remembered of the packages that a command has used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest

from nono.audit.event import Event
from nono.launch.around import packages_run
from nono.launch.session import Session
from nono.trust.disk import package_tree
from nono.trust.disk.memory_file import MemoryFile
from nono.trust.memory import Memory

NAME = "npx:mcp-x"


class Run:
    """A run in a project that has used one package."""

    def __init__(self, root: Path) -> None:
        self.environ: Mapping[str, str] = {"HOME": str(root)}
        self.recorded = list[Event]()
        self.warned = list[str]()
        self._project = str(root / "project")
        self.tree = root / ".npm/_npx/0123"
        (self.tree / "node_modules/mcp-x").mkdir(parents=True)
        self.says("mcp-x", "1")

    def says(self, name: str, text: str) -> None:
        (self.tree / "package.json").write_text(f'{{"_npx": {{"packages": ["{name}"]}}}}')
        (self.tree / "node_modules/mcp-x/run.js").write_text(text)

    def record(self, event: Event) -> None:
        self.recorded.append(event)

    def warn(self, text: str) -> None:
        self.warned.append(text)

    def end(self) -> Memory:
        packages_run.conclude(cast(Session, self), self._project, [str(self.tree)])
        memory = MemoryFile(self._project, self.environ).read()
        assert memory is not None
        return memory

    @property
    def sha256(self) -> str:
        return package_tree.read(str(self.tree)).sha256


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_a_package_is_approved_when_it_is_first_used_and_named_in_the_log(run: Run) -> None:
    memory = run.end()
    assert (memory.packages, memory.approved) == ({NAME: str(run.tree)}, {NAME: run.sha256})
    (event,) = run.recorded
    assert (event["type"], event["name"], event["sha256"]) == ("package_used", NAME, run.sha256)
    assert run.warned == []


@pytest.mark.parametrize("name", ["mcp-x", "mcp-y"], ids=["under its name", "under another name"])
def test_a_package_that_changes_in_a_run_is_not_approved_by_that(run: Run, name: str) -> None:
    """It is asked for by the text beside it, which it may write as well."""
    approved = run.end().approved
    run.says(name, "2")
    memory = run.end()
    assert (memory.packages, memory.approved) == ({NAME: str(run.tree)}, approved)
    assert [(event["name"], event["sha256"]) for event in run.recorded[1:]] == [(NAME, run.sha256)]
    assert run.warned == [
        f"{NAME} has changed since it was approved; nono trust approve shows what, and asks"
    ]


def test_a_package_that_cannot_be_read_is_told_and_not_approved(run: Run) -> None:
    (run.tree / "package.json").unlink()
    packages_run.conclude(cast(Session, run), "/project", [str(run.tree)])
    assert (run.recorded, len(run.warned)) == ([], 1)
    assert run.warned[0].startswith(f"the package in {run.tree} cannot be read: ")
