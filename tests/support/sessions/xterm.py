"""Run terminals of xterm.js without a window, a model that shares nothing with the one nono uses."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from support.agents.programs import installed

PROGRAM = Path(__file__).with_name("xterm.js")


@dataclass
class Xterm:
    """One terminal."""

    _process: subprocess.Popen[str]
    name: str

    def _ask(self, action: str, **fields: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"action": action, "name": self.name, **fields}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer.endswith("\n"), f"the terminals are gone: exit code {self._process.wait(10)}"
        return json.loads(answer)

    def write(self, output: bytes) -> None:
        self._ask("write", output=base64.b64encode(output).decode())

    def resize(self, rows: int, columns: int) -> None:
        self._ask("resize", rows=rows, columns=columns)

    def show(self) -> dict[str, Any]:
        """Return what is seen, cell by cell, with the cursor, the modes, the title and the lines above."""
        shown: dict[str, Any] = self._ask("show")
        return shown


class Xterms:
    """Create terminals."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._names = count()

    def new(self, rows: int = 24, columns: int = 80, *, in_place_of: Xterm | None = None) -> Xterm:
        """Return an empty terminal. in_place_of: a terminal that is no longer needed."""
        made = Xterm(self._process, str(next(self._names)) if in_place_of is None else in_place_of.name)
        made._ask("new", rows=rows, columns=columns)
        return made


@contextmanager
def xterms() -> Iterator[Xterms]:
    """Start the program that keeps terminals. Skips the test if it is not available."""
    if (node := shutil.which("node")) is None:
        pytest.skip("there is no node")
    argv = [node, str(PROGRAM), str(installed("xterm"))]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Xterms(process)
        finally:
            process.kill()
