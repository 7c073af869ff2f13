"""Runs commands to their end, in rounds that take turns, with a limit on each."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.samples import Absent, CannotRunError, Measured, Samples

PATIENCE_S = 20.0

Round = Callable[[], float]  # one value; CannotRunError when there is none


def in_turn(rounds: int, measurements: Mapping[str, Round]) -> dict[str, Measured]:
    """Return the values of each measurement, as rounds_in_turn() gets them."""
    outcomes = rounds_in_turn(rounds, measurements)
    return {
        name: outcome if isinstance(outcome, Absent) else Samples(tuple(outcome))
        for name, outcome in outcomes.items()
    }


def rounds_in_turn[T](
    rounds: int, measurements: Mapping[str, Callable[[], T]]
) -> dict[str, list[T] | Absent]:
    """Measure round by round. What drifts on the machine affects all measurements alike.

    The first round is not counted: it warms caches up. What raises CannotRunError is left out from then on.
    """
    outcomes: dict[str, list[T] | Absent] = {name: [] for name in measurements}
    names = [*measurements]
    for number in range(rounds + 1):
        # Nobody is always the one that runs after the most expensive neighbour.
        first = number % len(names)
        for name in names[first:] + names[:first]:
            values = outcomes[name]
            if isinstance(values, Absent):
                continue
            try:
                value = measurements[name]()
            except CannotRunError as error:
                outcomes[name] = Absent(str(error))
            else:
                values.extend([value] if number else [])
    return outcomes


def in_directory(directory: Path, *argv: str) -> list[str]:
    """Return a command that runs `argv` in a directory."""
    return ["/bin/sh", "-c", 'cd "$0" && exec "$@"', str(directory), *argv]


def check(argv: Sequence[str], environ: Mapping[str, str]) -> None:
    """Run a command once. CannotRunError with what it said when it fails."""
    try:
        ended = subprocess.run(
            argv,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotRunError(f"cannot run: {error}") from error
    if ended.returncode:
        said = (ended.stderr.strip() or ended.stdout.strip() or "no word").splitlines()[-1]
        raise CannotRunError(f"exit code {ended.returncode}: {said[:160]}")


def seconds_to_exit(argv: Sequence[str], environ: Mapping[str, str], terminal: str | None = None) -> float:
    """Time argv, an absolute path first, from posix_spawn(3) to its exit. Raises CannotRunError if it fails.

    terminal: The one that it gets as its own, and whose other end somebody holds; else it is heard by nobody.
    """
    streams = [(os.POSIX_SPAWN_OPEN, number, terminal or os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    start = time.perf_counter()
    pid = os.posix_spawn(argv[0], [*argv], environ, file_actions=streams, setsid=terminal is not None)
    # Polled through a pidfd: subprocess's wait with a time limit sleeps up to 50 ms between looks.
    descriptor = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        ended = poll.poll(PATIENCE_S * 1000)
        seconds = time.perf_counter() - start
        if not ended:
            os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
    finally:
        os.close(descriptor)
    if status:
        raise CannotRunError(f"{argv[0]}: exit code {os.waitstatus_to_exitcode(status)}")
    return seconds


@contextmanager
def on_cpu(cpu: int | None) -> Iterator[None]:
    """Let what is started within the block inherit one CPU; None: all that we have."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before if cpu is None else {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
