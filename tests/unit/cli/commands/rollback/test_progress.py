"""Progress is shown at a terminal, and to nobody else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.terminal import terminal

CODE = (
    "from nono.cli.commands.rollback import progress\n"
    "progress.PATIENCE_S = {patience}\n"
    "with progress.shown_progress('keeping') as shown:\n"
    "    shown(1)\n"
    "    shown(1234)\n"
)


def argv(patience_s: float) -> list[str]:
    return [sys.executable, "-c", CODE.format(patience=patience_s)]


@pytest.mark.parametrize(("patience_s", "is_shown"), [(-1.0, True), (60.0, False)], ids=["long", "short"])
def test_what_takes_long_is_shown_at_a_terminal(patience_s: float, is_shown: bool, tmp_path: Path) -> None:
    with terminal(argv(patience_s), os.environ | {"TERM": "xterm"}, tmp_path) as person:
        assert person.end() == 0
    assert (b"keeping: " in person.shown) == is_shown


def test_nothing_is_shown_in_a_pipe() -> None:
    done = subprocess.run(argv(-1.0), capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
