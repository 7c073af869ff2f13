"""What every test stands on, and how they run side by side (pytest-xdist)."""

from __future__ import annotations

import gc
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from support.turns import Turns

# No database: an ordinary user may run the suite in a checkout that is not theirs to write.
settings.register_profile("nono", database=None, deadline=None)
settings.register_profile("long", parent=settings.get_profile("nono"), max_examples=5000)
settings.load_profile("long" if os.environ.get("NONO_TEST_LONG") else "nono")

# A script's `make test &` has both ignored, as would be whatever a test starts in order to interrupt it.
for _number, _action in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _action)

WORKERS_PER_CPU = 4  # tests wait more than they work
WORKERS_MAX = 16  # each collects all tests, at 200 MB

TURNS = pytest.StashKey[Turns]()
FOLDER = pytest.StashKey[tempfile.TemporaryDirectory[str]]()


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Answer `--numprocesses=auto`, unless the environment has a number for it."""
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    return min(WORKERS_PER_CPU * len(os.sched_getaffinity(0)), WORKERS_MAX)


def pytest_configure(config: pytest.Config) -> None:
    if shared := getattr(config, "workerinput", {}).get("shared"):
        config.stash[TURNS] = Turns(Path(shared))
    else:
        config.stash[FOLDER] = tempfile.TemporaryDirectory(prefix="nono-tests-")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give a worker that is about to start the folder of all of them."""
    node.workerinput["shared"] = node.config.stash[FOLDER].name


def pytest_unconfigure(config: pytest.Config) -> None:
    if folder := config.stash.get(FOLDER, None):
        folder.cleanup()


def pytest_collection_finish() -> None:
    """Take the ten thousand tests out of what the collector walks: some tests have it walk everything."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Run what is marked `alone` while no other worker runs anything. The wait is not in its time limit."""
    turns = item.config.stash.get(TURNS, None)
    alone = item.get_closest_marker("alone") is not None
    with turns.turn(alone=alone) if turns else nullcontext():
        return (yield)
