"""What a request waits for the proxy while many processes inside do their worst."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from benchmarks.budget import Figure, Row, at_most
from benchmarks.commands import rounds_in_turn
from benchmarks.inside_rows import percentiles
from benchmarks.proxies import Proxies
from benchmarks.samples import Absent, CannotRunError
from benchmarks.settings import Settings
from benchmarks.stage import SMALL, Stage
from benchmarks.workers import Worker, worker

PROCESSES = 64
LIMIT_MS = 10.0
PAUSE_S = 0.005  # between two requests: what the proxy does not need, the crowd has
ELEVATION = ("--capability-elevation",)
NOTE = (
    "on every CPU, that of the proxy among them. The client and the upstream are scheduled before everybody "
    "else, so that what counts is how long the proxy takes; a request every 5 ms."
)


def crowd_rows(stage: Stage, places: Proxies, settings: Settings) -> list[Row]:
    try:
        with _upstream_first(stage.upstream_pid):
            return _all_rows(stage, places, settings)
    except CannotRunError as error:
        return [Row("request latency in a crowd", "ms", Absent(str(error)))]


def _all_rows(stage: Stage, places: Proxies, settings: Settings) -> list[Row]:
    secret = stage.folder / "secret"
    secret.write_text("nobody inside may read this")
    calls, bomb = ["calls", str(secret), str(PROCESSES)], ["bomb", str(PROCESSES)]
    argv, log = stage.nono_run(*stage.worker, flags=ELEVATION), stage.folder / "elevated.log"
    with worker(argv, stage.environ, stage.cpus.proxy, log) as elevated:
        return [
            *_rows(stage, settings, places.nono, f"{PROCESSES} processes make calls that are refused", calls),
            *_rows(stage, settings, elevated, f"{PROCESSES} processes do so, opens trapped as well", calls),
            *_rows(stage, settings, places.nono, f"a fork bomb of {PROCESSES} is at work", bomb),
        ]


def _rows(stage: Stage, settings: Settings, inside: Worker, what: str, crowd: list[str]) -> list[Row]:
    def seconds_of_requests(argv: list[str]) -> list[float]:
        order = {"service": SMALL, "path": "/small", "seconds": settings.seconds, "pause_s": PAUSE_S}
        return inside.ask("latency", crowd=argv, urgent=True, **order)

    if stage.crowd is None:
        raise CannotRunError("no C compiler to build the crowd with")
    orders: Mapping[str, list[str]] = {"crowd": [stage.crowd, *crowd, str(settings.seconds)], "alone": []}
    taken = rounds_in_turn(
        settings.rounds, {kind: partial(seconds_of_requests, argv) for kind, argv in orders.items()}
    )

    def row(name: str, share: float, limit_ms: float | None) -> Row:
        ours, alone = (percentiles(taken[kind], share) for kind in orders)
        budget = None if limit_ms is None else at_most(limit_ms, Figure.VALUE)
        path = f"request latency while {what}, {name}"
        return Row(path, "ms", ours, "without them", alone, budget, NOTE if limit_ms else "")

    return [row("p50", 0.5, None), row("p99", 0.99, LIMIT_MS)]


@contextmanager
def _upstream_first(pid: int) -> Iterator[None]:
    """Let the upstream answer at once. CannotRunError: neither it nor the client can be scheduled first."""
    try:
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError as error:  # not root, or in a control group that has no real time
        raise CannotRunError("only root can have the client scheduled before the crowd") from error
    try:
        yield
    finally:
        os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))
