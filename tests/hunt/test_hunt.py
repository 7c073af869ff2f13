"""A few seconds of the hunt: nothing is seen but what is planted, and what was once found stays closed.

HUNT_S and HUNT_SEED say another time and the seed of the choices.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nono.kernel import landlock
from support.running.pace import PACE

ROOT = Path(__file__).parents[2]
SECONDS = os.environ.get("HUNT_S", "4")
SEED = [f"--seed={seed}"] if (seed := os.environ.get("HUNT_SEED")) else []
LIMIT_S = (200.0 + 2 * float(SECONDS)) * PACE  # what is seen is reduced, and one run may take a minute
pytestmark = pytest.mark.timeout(LIMIT_S + 20)
NOT_HERE = 2
SEEN = 1


def hunt(*arguments: str, keep: Path) -> subprocess.CompletedProcess[str]:
    if landlock.abi_version() == 0:
        pytest.skip("without Landlock every run is refused")
    done = subprocess.run(
        [sys.executable, "-m", "hunt", f"--keep={keep}", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    if done.returncode == NOT_HERE:
        pytest.skip(done.stderr.strip())
    return done


def test_nothing_is_seen_outside(tmp_path: Path) -> None:
    done = hunt(f"--seconds={SECONDS}", *SEED, keep=tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "runs: " in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_planted_leak_is_seen(tmp_path: Path) -> None:
    """The same machine with a run that is granted the canaries, cut down to steps that touch them."""
    done = hunt("--seconds=1", "--plant", "--rung=block-net", "--sweep=canaries", "--seed=1", keep=tmp_path)
    assert done.returncode == SEEN, done.stdout + done.stderr
    assert "secrets/open: nothing -> hunt-secret-" in done.stdout
    assert "FOUND block-net" in done.stdout
    assert list(tmp_path.iterdir()) != []


def test_no_watcher_is_blind(tmp_path: Path) -> None:
    """The same machine without a sandbox."""
    done = hunt("--control", keep=tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_what_was_once_found_is_closed(tmp_path: Path) -> None:
    done = hunt("--replay", keep=tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
