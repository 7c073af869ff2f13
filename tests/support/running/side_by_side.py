"""A pytest plugin for running tests in parallel in the workers of pytest-xdist, and what these share."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from support.running.builds import Builds
from support.running.turns import Turns

WORKERS_PER_CPU = 2  # tests wait a little; more workers only push each other out of the caches
WORKERS_MAX = 16  # each collects all the tests, which costs seconds and hundreds of megabytes

FOLDER = pytest.StashKey[Path]()  # all processes of the run have it
OURS = pytest.StashKey[tempfile.TemporaryDirectory[str]]()  # only in the process that was started first
TURNS = pytest.StashKey[Turns]()


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Answer `--numprocesses=auto`, unless the environment gives a number."""
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    return min(WORKERS_PER_CPU * len(os.sched_getaffinity(0)), WORKERS_MAX)


def pytest_configure(config: pytest.Config) -> None:
    gc.disable()  # until everything is collected: it would visit ten thousand tests again and again
    if folder := getattr(config, "workerinput", {}).get("folder"):
        config.stash[FOLDER] = Path(folder)
        config.stash[TURNS] = Turns(Path(folder))
    else:
        config.stash[OURS] = tempfile.TemporaryDirectory(prefix="nono-tests-")
        config.stash[FOLDER] = Path(config.stash[OURS].name)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker that is about to start where the folder is."""
    node.workerinput["folder"] = str(node.config.stash[FOLDER])


def pytest_unconfigure(config: pytest.Config) -> None:
    if turns := config.stash.get(TURNS, None):
        turns.close()
    if ours := config.stash.get(OURS, None):
        ours.cleanup()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move tests marked `alone` to the end, when little is left to run beside them anyway."""
    items.sort(key=_is_alone)


def _is_alone(item: pytest.Item | None) -> bool:
    return item is not None and item.get_closest_marker("alone") is not None


def pytest_collection_finish() -> None:
    """Hide ten thousand tests from the garbage collector, because some tests make it walk everything."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Run tests marked `alone` while no other worker runs one. The wait does not count as test time."""
    turns = item.config.stash.get(TURNS, None)
    alone = _is_alone(item)
    with turns.turn(alone=alone, keeps=alone and _is_alone(nextitem)) if turns else nullcontext():
        return (yield)


@pytest.fixture(scope="session")
def builds(pytestconfig: pytest.Config) -> Builds:
    return Builds(pytestconfig.stash[FOLDER])
