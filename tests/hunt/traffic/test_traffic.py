"""What the hunt of the proxy once found stays closed, and is seen where it is planted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
LIMIT_S = 100.0
SEEN = 1


def hunt(*arguments: str, keep: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hunt.traffic", f"--keep={keep}", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def test_what_was_once_found_is_closed(tmp_path: Path) -> None:
    done = hunt("--replay", keep=tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_a_planted_fault_is_seen(tmp_path: Path) -> None:
    """The same programs with a tripwire that tells, and connections that belong to everybody."""
    done = hunt("--replay", "--plant", keep=tmp_path)
    assert done.returncode == SEEN, done.stdout + done.stderr
    assert "FOUND cuts-of-an-answer-with-a-length.json: told/cuts: " in done.stdout
    assert "FOUND frames-over-http2.json: told/octets: " in done.stdout
    assert "FOUND a-body-that-begins-the-request-of-another-service.json: desync/key: " in done.stdout
    assert list(tmp_path.iterdir()) != []
