"""What the proxy does for a second of one CPU, beside nono-py's: requests, tunnels, streams, bulk."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.budget import Budget, Figure, Row, at_least, at_most
from benchmarks.commands import in_turn, rounds_in_turn
from benchmarks.machine import tool
from benchmarks.proxies import Proxies, present
from benchmarks.samples import Absent, CannotRunError, Measured, Samples
from benchmarks.settings import Settings
from benchmarks.stage import EVENTS, HOST, SMALL, Stage
from benchmarks.workers import Worker

Loaded = list[float]  # requests that were answered, requests that failed, seconds

CONNECTIONS = 32
NONO_PY = "nono-py"


def proxy_rows(stage: Stage, places: Proxies, settings: Settings) -> list[Row]:
    return [
        *_request_rows(stage, places, settings),
        _tunnel_row(stage, places, settings),
        *_stream_rows(stage, places, settings),
        *_bulk_rows(stage, places, settings),
    ]


def _request_rows(stage: Stage, places: Proxies, settings: Settings) -> list[Row]:
    """Measure nono with and without keep-alive, and nono-py without, which is all that it can do."""
    wrk = tool("wrk")

    def keep_alive(each: Worker) -> Loaded:
        if wrk is None:
            return _load(each, stage, settings, keep=True)
        order = {"path": "/small", "wrk": wrk, "connections": CONNECTIONS, "seconds": settings.seconds}
        return each.ask("wrk", service=SMALL, **order)

    def new(each: Worker) -> Loaded:
        return _load(each, stage, settings, keep=False)

    rates, cpu = columns(
        rounds_in_turn(
            settings.rounds,
            {
                "keep": lambda: with_cpu(places.nono, keep_alive),
                "new": lambda: with_cpu(places.nono, new),
                NONO_PY: lambda: with_cpu(present(places.nono_py), new),
            },
        )
    )
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


def _load(each: Worker, stage: Stage, settings: Settings, *, keep: bool) -> Loaded:
    if stage.probe is None:
        raise CannotRunError("no C compiler to build the load with")
    order = {"path": "/small", "probe": stage.probe, "connections": CONNECTIONS, "seconds": settings.seconds}
    return each.ask("load", service=SMALL, keep=keep, **order)


def with_cpu(each: Worker, load: Callable[[Worker], Loaded]) -> tuple[float, float]:
    """Return the requests per second, and the µs of the proxy's CPU for each."""
    before = each.cpu_seconds()
    answered, failed, seconds = load(each)
    spent = each.cpu_seconds() - before
    if failed > answered / 100 or not answered:
        raise CannotRunError(f"{failed:.0f} requests failed beside {answered:.0f} that were answered")
    return answered / seconds, spent / answered * 1e6


def columns(
    rounds: Mapping[str, list[tuple[float, float]] | Absent],
) -> tuple[dict[str, Measured], dict[str, Measured]]:
    """Return what with_cpu returned, by name: the rates, and the costs."""
    return (
        {name: _column(outcome, 0) for name, outcome in rounds.items()},
        {name: _column(outcome, 1) for name, outcome in rounds.items()},
    )


def _column(rounds: list[tuple[float, float]] | Absent, number: int) -> Measured:
    return rounds if isinstance(rounds, Absent) else Samples(tuple(each[number] for each in rounds))


def _tunnel_row(stage: Stage, places: Proxies, settings: Settings) -> Row:
    def per_second(each: Worker) -> float:
        order = {"host": HOST, "port": stage.ports.tunnel, "path": "/v1/small", "ca_file": stage.ca_file}
        taken = each.ask("tunnels", count=settings.exchanges, **order)
        return len(taken) / sum(taken)

    return _beside_nono_py(
        "tunnel: TCP, CONNECT, TLS and one request", "per s", places, settings, per_second, at_least(9.0)
    )


def _beside_nono_py(
    path: str,
    unit: str,
    places: Proxies,
    settings: Settings,
    measure: Callable[[Worker], float],
    budget: Budget,
) -> Row:
    values = in_turn(
        settings.rounds,
        {"nono": lambda: measure(places.nono), NONO_PY: lambda: measure(present(places.nono_py))},
    )
    return Row(path, unit, values["nono"], NONO_PY, values[NONO_PY], budget)


def _stream_rows(stage: Stage, places: Proxies, settings: Settings) -> list[Row]:
    def first_byte_ms(each: Worker) -> float:
        order = {"path": "/events", "ca_file": stage.ca_file, "count": settings.exchanges}
        return Samples(tuple(each.ask("first_event", service=EVENTS, **order))).median * 1e3

    values = in_turn(
        settings.rounds,
        {
            "nono": lambda: first_byte_ms(places.nono),
            NONO_PY: lambda: first_byte_ms(present(places.nono_py)),
            "direct": lambda: first_byte_ms(places.bare),
        },
    )
    path = "first event of a stream"
    return [
        Row(path, "ms", values["nono"], "direct", values["direct"], at_most(0.5, Figure.ADDED)),
        Row(path, "ms", values["nono"], NONO_PY, values[NONO_PY]),
    ]


def _bulk_rows(stage: Stage, places: Proxies, settings: Settings) -> list[Row]:
    def reverse(each: Worker) -> float:
        return each.ask("bulk_reverse", service=SMALL, path="/bulk")[0] / 1e6

    def tunnel(each: Worker) -> float:
        order = {"host": HOST, "port": stage.ports.tunnel, "path": "/v1/bulk", "ca_file": stage.ca_file}
        return each.ask("bulk_tunnel", **order)[0] / 1e6

    size = f"{settings.bulk_bytes >> 20} MiB"
    return [
        _beside_nono_py(f"{size} down, reverse route", "MB/s", places, settings, reverse, at_least(0.8)),
        _beside_nono_py(f"{size} down, tunnel", "MB/s", places, settings, tunnel, at_least(0.95)),
    ]
