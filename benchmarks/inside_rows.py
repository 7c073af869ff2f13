"""What the sandbox costs a program that is already running: files, connect(), and a neighbour that floods."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from benchmarks.budget import Budget, Figure, Row, at_most
from benchmarks.commands import in_turn, rounds_in_turn
from benchmarks.proxies import Proxies
from benchmarks.samples import Absent, CannotRunError, Measured, Samples, percentile
from benchmarks.settings import Settings
from benchmarks.stage import SMALL, Stage
from benchmarks.workers import Worker

OPEN_NOTE = (
    "not trapped; Landlock looks at each directory up to the root, because what may be read may not be "
    "truncated. The file lies seven directories deep."
)
CONNECT_NOTE = (
    "back to back, so that each waits until the proxy has taken and dropped the connection before it. The "
    "supervisor in C (supervisor.c) makes the same system calls, and accepts and drops as well."
)
FLOODING_PROCESSES = 48
TREE = "/usr/share"
# Never trapped. Landlock itself walks up the tree once for each open.
UNTOUCHED = at_most(1.0, noise=0.15)
# With 16 notifications per wake-up of the loop, instead of 1 or 2, the median rises to this.
FAIR_MS = 1.2


def inside_rows(stage: Stage, places: Proxies, settings: Settings) -> list[Row]:
    calls, file = settings.calls, stage.ca_file
    find = ["find", TREE, "-name", "no-file-is-called-this"]
    rows = [
        _beside_bare(
            "open + read + close", "µs", places, settings, _call(stage, "open", file, calls * 10), OPEN_NOTE
        ),
        _beside_bare("stat", "µs", places, settings, _call(stage, "stat", file, calls * 10)),
        _beside_bare(
            f"find {TREE}", "ms", places, settings, lambda each: each.ask("spawn", argv=find)[0] * 1e3
        ),
        *_connect_rows(stage, places, settings),
    ]
    return [*rows, *_flood_rows(stage, places, settings)]


Measure = Callable[[Worker], float]


def _beside_bare(
    path: str, unit: str, places: Proxies, settings: Settings, measure: Measure, note: str = ""
) -> Row:
    values = in_turn(
        settings.rounds, {"nono": lambda: measure(places.nono), "bare": lambda: measure(places.bare)}
    )
    return Row(f"{path}, inside", unit, values["nono"], "bare", values["bare"], UNTOUCHED, note)


def _probe(stage: Stage) -> str:
    if stage.probe is None:
        raise CannotRunError("no C compiler to build the probe with")
    return stage.probe


def _call(stage: Stage, call: str, *arguments: str | int) -> Measure:
    """µs per call."""

    def measure(each: Worker) -> float:
        argv = [_probe(stage), call, *map(str, arguments)]
        return each.ask("spawn", argv=argv)[1] / 1e3

    return measure


def _connect_rows(stage: Stage, places: Proxies, settings: Settings) -> list[Row]:
    def measure(each: Worker, port: int) -> float:
        return _call(stage, "connect", port, settings.calls)(each)

    def supervised_in_c() -> float:
        if stage.supervisor is None:
            raise CannotRunError("no C compiler to build the supervisor with")
        argv = [stage.supervisor, str(stage.cpus.proxy), _probe(stage), str(settings.calls)]
        return places.bare.ask("spawn", argv=argv)[1] / 1e3

    proxy_port = int(places.nono.ask("proxy_port")[0])
    rounds: dict[str, Callable[[], float]] = {
        "nono": lambda: measure(places.nono, proxy_port),
        "supervisor in C": supervised_in_c,
        "bare": lambda: measure(places.bare, stage.ports.events),
    }
    values = in_turn(settings.rounds, rounds)
    path = "connect() inside, p50"
    return [
        Row(path, "µs", values["nono"], other, values[other], budget, CONNECT_NOTE if budget else "")
        for other, budget in (("supervisor in C", at_most(1.15)), ("bare", None))
    ]


def _flood_rows(stage: Stage, places: Proxies, settings: Settings) -> list[Row]:
    """A request on a connection of its own, with and without the flood."""
    port = int(places.nono.ask("proxy_port")[0])

    def seconds_of_requests(processes: int) -> list[float]:
        order = {"service": SMALL, "path": "/small", "seconds": settings.seconds}
        crowd = [_probe(stage), "flood", str(port), str(processes), str(settings.seconds)]
        return places.nono.ask("latency", crowd=crowd if processes else [], **order)

    kinds = {"flood": FLOODING_PROCESSES, "idle": 0}
    taken = rounds_in_turn(
        settings.rounds, {kind: partial(seconds_of_requests, count) for kind, count in kinds.items()}
    )

    def row(name: str, share: float, budget: Budget | None) -> Row:
        flood, idle = (percentiles(taken[kind], share) for kind in kinds)
        path = f"request latency while {FLOODING_PROCESSES} processes flood connect(), {name}"
        return Row(path, "ms", flood, "without the flood", idle, budget)

    return [row("p50", 0.5, at_most(FAIR_MS, Figure.VALUE)), row("p99", 0.99, None)]


def percentiles(rounds: list[list[float]] | Absent, share: float) -> Measured:
    """ms, one per round."""
    if isinstance(rounds, Absent):
        return rounds
    return Samples(tuple(percentile(taken, share) * 1e3 for taken in rounds))
