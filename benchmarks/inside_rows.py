"""What the sandbox costs a program that is already running: files, connect(), and a neighbour that floods."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial

from benchmarks.budget import Budget, Figure, Row, at_most
from benchmarks.commands import in_turn, rounds_in_turn
from benchmarks.landlocked import FILTER, rules_of_run
from benchmarks.proxies import Proxies, present
from benchmarks.samples import Absent, CannotRunError, Measured, Samples, percentile
from benchmarks.settings import Settings
from benchmarks.stage import SMALL, Stage
from benchmarks.workers import Worker, worker

OPEN_NOTE = (
    "not trapped. A bare Landlock is landlock.c, which applies the rules of this very run, and nothing else, "
    "to the same worker. Landlock looks at each directory up to the root, because what may be read may not "
    "be truncated. The file lies seven directories deep. Median of batches of 1,000 calls, in five times as "
    "many rounds as elsewhere, each a fifth as long, because processes differ. The filter beside it allows "
    "every call; no filter costs less."
)
# A round of such calls is as many of a fifth of them, each in a process of its own.
CALL_ROUNDS = 5
CONNECT_NOTE = (
    "back to back, so that each waits until the proxy has taken and dropped the connection before it. The "
    "supervisor in C (supervisor.c) makes the same system calls, and accepts and drops as well."
)
FLOODING_PROCESSES = 48
TREE = "/usr/share"
FIND_S = 0.5  # the quickest of as many as take so long, at least
LANDLOCK = "a bare Landlock"
FILTERED = "a bare Landlock and a filter"
# Never trapped.
AS_LANDLOCK = at_most(1.05)
# With 16 notifications per wake-up of the loop, instead of 1 or 2, the median rises to this.
FAIR_MS = 1.2


def inside_rows(stage: Stage, places: Proxies, settings: Settings) -> list[Row]:
    return [
        *_file_rows(stage, places, settings),
        *_connect_rows(stage, places, settings),
        *_flood_rows(stage, places, settings),
    ]


Measure = Callable[[Worker], float]


def _file_rows(stage: Stage, places: Proxies, settings: Settings) -> list[Row]:
    calls, file = settings.calls * 10 // CALL_ROUNDS, stage.ca_file
    many, find = settings.rounds * CALL_ROUNDS, ["find", TREE, "-name", "no-file-is-called-this"]
    measures: dict[str, tuple[str, int, Measure]] = {
        "open + read + close": ("µs", many, _call(stage, "open", file, calls)),
        "stat": ("µs", many, _call(stage, "stat", file, calls)),
        f"find {TREE}": ("ms", settings.rounds, lambda each: each.quickest(find, FIND_S) * 1e3),
    }
    with ExitStack() as stack:
        landlock = _or_absent(stack, partial(_landlocked, stage, places, "landlock"))
        filtered = _or_absent(stack, partial(_landlocked, stage, places, "filtered", FILTER))
        rows: list[Row] = []
        for what, (unit, rounds, measure) in measures.items():
            values = in_turn(
                rounds,
                {
                    "nono": partial(measure, places.nono),
                    LANDLOCK: partial(_measured, measure, landlock),
                    FILTERED: partial(_measured, measure, filtered),
                    "bare": partial(measure, places.bare),
                },
            )
            note = "" if rows else OPEN_NOTE
            for other, budget in ((LANDLOCK, AS_LANDLOCK), (FILTERED, None), ("bare", None)):
                rows.append(Row(f"{what}, inside", unit, values["nono"], other, values[other], budget, note))
                note = ""
        return rows


def _or_absent(stack: ExitStack, start: Callable[[], AbstractContextManager[Worker]]) -> Worker | Absent:
    try:
        return stack.enter_context(start())
    except CannotRunError as error:
        return Absent(str(error))


def _measured(measure: Measure, place: Worker | Absent) -> float:
    return measure(present(place))


def _landlocked(stage: Stage, places: Proxies, name: str, more: str = "") -> AbstractContextManager[Worker]:
    """Start a worker under the rules of nono's worker, and nothing else of nono.

    more: Lines for landlock.c.
    """
    if stage.landlock is None:
        raise CannotRunError("no C compiler to build the restriction with")
    rules = stage.folder / f"{name}.rules"
    rules.write_text(rules_of_run(stage.environ, int(places.nono.ask("proxy_port")[0])) + more)
    argv = [stage.landlock, str(rules), *stage.worker]
    return worker(argv, stage.environ, stage.cpus.load, rules.with_suffix(".log"))


def _probe(stage: Stage) -> str:
    if stage.probe is None:
        raise CannotRunError("no C compiler to build the probe with")
    return stage.probe


def _call(stage: Stage, call: str, *arguments: str | int) -> Measure:
    """Return a function that measures µs per call."""

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
    """Measure a request on its own connection, with and without the flood."""
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
    """Return ms, one value per round."""
    if isinstance(rounds, Absent):
        return rounds
    return Samples(tuple(percentile(taken, share) * 1e3 for taken in rounds))
