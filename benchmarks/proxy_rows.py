"""What the proxy does for a second of one CPU, beside nono-py's: requests, tunnels, streams, bulk."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.budget import Budget, Figure, Row, at_least, at_most
from benchmarks.commands import in_turn, rounds_in_turn
from benchmarks.machine import tool
from benchmarks.proxies import Trio
from benchmarks.samples import Absent, CannotRunError, Measured, Samples
from benchmarks.settings import Settings
from benchmarks.stage import EVENTS, HOST, SMALL, Stage
from benchmarks.workers import Worker

CONNECTIONS = 32
NONO_PY = "nono-py"


def proxy_rows(stage: Stage, trio: Trio, settings: Settings) -> list[Row]:
    return [
        *_request_rows(stage, trio, settings),
        _tunnel_row(stage, trio, settings),
        *_stream_rows(stage, trio, settings),
        *_bulk_rows(stage, trio, settings),
        *_memory_rows(trio),
    ]


def _request_rows(stage: Stage, trio: Trio, settings: Settings) -> list[Row]:
    """nono with keep-alive and without, nono-py without, which is all that it can."""
    wrk = tool("wrk")

    def keep_alive(each: Worker) -> list[float]:
        if wrk is None:
            return _load(each, stage, settings, keep=True)
        order = {"path": "/small", "wrk": wrk, "connections": CONNECTIONS, "seconds": settings.seconds}
        return each.ask("wrk", service=SMALL, **order)

    def new(each: Worker) -> list[float]:
        return _load(each, stage, settings, keep=False)

    rounds = rounds_in_turn(
        settings.rounds,
        {
            "keep": lambda: _with_cpu(trio.nono, keep_alive),
            "new": lambda: _with_cpu(trio.nono, new),
            NONO_PY: lambda: _with_cpu(trio.nono_py(), new),
        },
    )
    rates = {name: _column(outcome, 0) for name, outcome in rounds.items()}
    cpu = {name: _column(outcome, 1) for name, outcome in rounds.items()}
    other = f"{NONO_PY}, new connections"
    reverse = f"reverse request over TLS, {CONNECTIONS} connections"
    generator = "wrk" if wrk else "probe.c, since wrk is not installed"
    note = (
        f"upstream: {stage.upstream}; load: {generator}, and probe.c for new connections. nono-py closes "
        "after each response without saying so, so what it is given is new connections."
    )
    return [
        Row(f"{reverse}, keep-alive", "per s", rates["keep"], other, rates[NONO_PY], at_least(2.0), note),
        Row(f"{reverse}, new connection each", "per s", rates["new"], other, rates[NONO_PY]),
        Row("CPU of the proxy per request, keep-alive", "µs", cpu["keep"], other, cpu[NONO_PY]),
    ]


def _load(each: Worker, stage: Stage, settings: Settings, *, keep: bool) -> list[float]:
    if stage.probe is None:
        raise CannotRunError("no C compiler to build the load with")
    order = {"path": "/small", "probe": stage.probe, "connections": CONNECTIONS, "seconds": settings.seconds}
    return each.ask("load", service=SMALL, keep=keep, **order)


def _with_cpu(each: Worker, load: Callable[[Worker], list[float]]) -> tuple[float, float]:
    """Requests per second, and µs of the proxy's CPU for each."""
    before = each.cpu_seconds()
    answered, failed, seconds = load(each)
    spent = each.cpu_seconds() - before
    if failed > answered / 100 or not answered:
        raise CannotRunError(f"{failed:.0f} requests failed beside {answered:.0f} that were answered")
    return answered / seconds, spent / answered * 1e6


def _column(rounds: list[tuple[float, float]] | Absent, number: int) -> Measured:
    return rounds if isinstance(rounds, Absent) else Samples(tuple(each[number] for each in rounds))


def _tunnel_row(stage: Stage, trio: Trio, settings: Settings) -> Row:
    def per_second(each: Worker) -> float:
        order = {"host": HOST, "port": stage.ports.tunnel, "path": "/v1/small", "ca_file": stage.ca_file}
        taken = each.ask("tunnels", count=settings.exchanges, **order)
        return len(taken) / sum(taken)

    return _beside_nono_py(
        "tunnel: TCP, CONNECT, TLS and one request", "per s", trio, settings, per_second, at_least(9.0)
    )


def _beside_nono_py(
    path: str,
    unit: str,
    trio: Trio,
    settings: Settings,
    measure: Callable[[Worker], float],
    budget: Budget,
) -> Row:
    values = in_turn(
        settings.rounds, {"nono": lambda: measure(trio.nono), NONO_PY: lambda: measure(trio.nono_py())}
    )
    return Row(path, unit, values["nono"], NONO_PY, values[NONO_PY], budget)


def _stream_rows(stage: Stage, trio: Trio, settings: Settings) -> list[Row]:
    def first_byte_ms(each: Worker) -> float:
        order = {"path": "/events", "ca_file": stage.ca_file, "count": settings.exchanges}
        return Samples(tuple(each.ask("first_event", service=EVENTS, **order))).median * 1e3

    values = in_turn(
        settings.rounds,
        {
            "nono": lambda: first_byte_ms(trio.nono),
            NONO_PY: lambda: first_byte_ms(trio.nono_py()),
            "direct": lambda: first_byte_ms(trio.bare),
        },
    )
    path = "first event of a stream"
    return [
        Row(path, "ms", values["nono"], "direct", values["direct"], at_most(0.5, Figure.ADDED)),
        Row(path, "ms", values["nono"], NONO_PY, values[NONO_PY]),
    ]


def _bulk_rows(stage: Stage, trio: Trio, settings: Settings) -> list[Row]:
    def reverse(each: Worker) -> float:
        return each.ask("bulk_reverse", service=SMALL, path="/bulk")[0] / 1e6

    def tunnel(each: Worker) -> float:
        order = {"host": HOST, "port": stage.ports.tunnel, "path": "/v1/bulk", "ca_file": stage.ca_file}
        return each.ask("bulk_tunnel", **order)[0] / 1e6

    size = f"{settings.bulk_bytes >> 20} MiB"
    return [
        _beside_nono_py(f"{size} down, reverse route", "MB/s", trio, settings, reverse, at_least(0.8)),
        _beside_nono_py(f"{size} down, tunnel", "MB/s", trio, settings, tunnel, at_least(0.95)),
    ]


def _memory_rows(trio: Trio) -> list[Row]:
    """After all of the above."""

    def memory(each: Worker, field: str) -> Samples:
        return Samples((each.resident_mb(field),))

    def row(what: str, field: str, budget: Budget | None) -> Row:
        theirs = trio.peer if isinstance(trio.peer, Absent) else memory(trio.peer, field)
        return Row(
            f"memory of the supervisor, {what}", "MB", memory(trio.nono, field), NONO_PY, theirs, budget
        )

    return [
        row("after the load", "VmRSS", at_most(60, Figure.VALUE)),
        row("at its highest", "VmHWM", None),
    ]
