"""A worker is told what to run, and the quickest of its runs counts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.commands import in_directory
from benchmarks.workers import WORKER, Worker, worker


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Worker]:
    argv = in_directory(tmp_path, *WORKER)
    with worker(argv, os.environ, None, tmp_path / "log") as started:
        yield started


def test_a_worker_runs_commands_where_it_was_started(place: Worker, tmp_path: Path) -> None:
    place.ask("spawn", argv=["touch", "made"])
    assert (tmp_path / "made").exists()


def test_a_worker_that_is_not_pinned_has_all_our_cpus(place: Worker) -> None:
    assert os.sched_getaffinity(place.process.pid) == os.sched_getaffinity(0)


def quickest_of(taken: dict[str, list[float]], monkeypatch: pytest.MonkeyPatch, place: Worker) -> list[str]:
    """Return what is asked while 1 s of commands is timed."""
    asked: list[str] = []

    def ask(_: Worker, job: str, argv: list[str], **order: Any) -> list[float]:
        assert job == "spawn"
        asked.append(argv[0])
        return [taken[argv[0]].pop(0)]

    monkeypatch.setattr(Worker, "ask", ask)
    asked.append(str(place.quickest(["build"], 1.0, ["clean"])))
    return asked


def test_the_quickest_command_counts_and_cleaning_up_does_not(
    place: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = {"build": [0.5, 0.375, 0.25, 0.125], "clean": [0.0, 9.0, 0.0, 0.0]}
    asked = quickest_of(taken, monkeypatch, place)
    assert asked == ["clean", "build", "clean", "build", "clean", "build", "0.25"]
