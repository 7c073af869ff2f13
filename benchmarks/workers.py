"""Starts a worker (programs/worker.py), with or without a supervisor, and asks it for values."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.commands import on_cpu
from benchmarks.machine import PROGRAMS
from benchmarks.samples import CannotRunError

WORKER = (sys.executable, "-I", str(PROGRAMS / "worker.py"))  # and a CPU, or any
WORKER_READS = tuple(dict.fromkeys((sys.prefix, sys.base_prefix, str(PROGRAMS))))  # what runs one
ANSWER_S = 60.0
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Worker:
    """process: the supervisor when there is one, else the worker itself."""

    process: subprocess.Popen[str]

    def ask(self, job: str, **order: Any) -> list[float]:
        """Do one job and return its values. CannotRunError if it fails or takes more than ANSWER_S."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"job": job, **order}) + "\n")
            self.process.stdin.flush()
        except OSError as error:
            raise CannotRunError(f"the worker is gone: {error}") from error
        return self.answer()

    def answer(self) -> list[float]:
        output = self.process.stdout
        assert output is not None
        # Only one line is ever on its way, so that nothing waits unseen in Python's own buffer.
        if not select.select([output], [], [], ANSWER_S)[0]:
            self.process.kill()  # or a late answer would be taken for that to the next question
            raise CannotRunError(f"no answer within {ANSWER_S:.0f} s")
        line = output.readline()
        if not line:
            raise CannotRunError(f"the worker ended with {self.process.wait(ANSWER_S)}")
        answer = json.loads(line)
        if "error" in answer:
            raise CannotRunError(answer["error"])
        values: list[float] = answer["values"]
        return values

    def quickest(self, argv: Sequence[str], value_s: float, before: Sequence[str] = ()) -> float:
        """Return the seconds of the quickest of as many commands as take `value_s`, at least.

        before: Is run before each of them, and not timed.
        """
        taken: list[float] = []
        while sum(taken) < value_s:
            if before:
                self.ask("spawn", argv=[*before])
            taken.append(self.ask("spawn", argv=[*argv])[0])
        return min(taken)

    def resident_mib(self, field: str = "VmRSS") -> float:
        """Return the memory of the supervisor; "VmHWM" for the most it ever had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(field))
        return int(line.split()[1]) / 1024

    def cpu_seconds(self) -> float:
        """Return the CPU time of the supervisor, all threads; proc(5), fields 14 and 15."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


@contextmanager
def worker(argv: Sequence[str], environ: Mapping[str, str], cpu: int | None, log: Path) -> Iterator[Worker]:
    """Yield a worker on this CPU, or on any. Raises CannotRunError if it does not answer.

    What it says on stderr goes to log: a terminal would slow it down.
    """
    with on_cpu(cpu), log.open("w") as errors:
        process = subprocess.Popen(
            argv, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    try:
        started = Worker(process)
        started.answer()
        yield started
    finally:
        with process:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(ANSWER_S / 6)
            except subprocess.TimeoutExpired:
                process.kill()
        _tell(log)


def _tell(log: Path) -> None:
    """Print what was said on stderr: a supervisor that is well says nothing."""
    lines = log.read_text(errors="replace").splitlines()
    if lines:
        print(f"{log.name}: {len(lines)} lines on stderr, the last: {lines[-1]}", file=sys.stderr)
