"""What interception does for a second of one CPU, beside the peers that intercept: requests, streams, bulk.

nono's policy, audit log and phantom check are on, and but for the rows that say so its tripwire.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.budget import Budget, Figure, Row, at_least, at_most
from benchmarks.commands import Round, in_turn, rounds_in_turn
from benchmarks.proxies import Proxies, present
from benchmarks.proxy_rows import CONNECTIONS, Loaded, columns, with_cpu
from benchmarks.samples import CannotRunError, Samples
from benchmarks.settings import Settings
from benchmarks.stage import HOST, Stage
from benchmarks.workers import Worker

NEW_CONNECTIONS = 4
STREAMS = 16
HTTP2_CONNECTIONS = 2
NONO, UNWATCHED, NONO_PY, MITMDUMP, SRT = "nono", "nono, tripwire off", "nono-py", "mitmdump", "srt"
DIRECT = "no proxy"


def intercept_rows(stage: Stage, places: Proxies, settings: Settings) -> list[Row]:
    return [
        *_keep_alive_rows(stage, places, settings),
        *_new_rows(stage, places, settings),
        *_stream_rows(stage, places, settings),
        *_bulk_rows(stage, places, settings),
    ]


def http2_rows(stage: Stage, places: Proxies, settings: Settings) -> list[Row]:
    """Measure without nono-py and srt, which know no HTTP/2."""
    load = _loads(stage, settings, "h2", HTTP2_CONNECTIONS, streams=STREAMS)
    rates, cpu = columns(
        rounds_in_turn(
            settings.rounds,
            {
                NONO: lambda: with_cpu(places.nono, load),
                MITMDUMP: lambda: with_cpu(present(places.mitmdump), load),
                DIRECT: lambda: with_cpu(places.bare, load),
            },
        )
    )
    path = f"intercepted HTTP/2 request, {HTTP2_CONNECTIONS} connections of {STREAMS} streams"
    return [
        Row(path, "per s", rates[NONO], MITMDUMP, rates[MITMDUMP], at_least(6.0)),
        Row(path, "per s", rates[NONO], DIRECT, rates[DIRECT]),
        Row("CPU of the proxy per request, intercepted HTTP/2", "µs", cpu[NONO], MITMDUMP, cpu[MITMDUMP]),
    ]


def _keep_alive_rows(stage: Stage, places: Proxies, settings: Settings) -> list[Row]:
    load = _loads(stage, settings, "keep", CONNECTIONS)
    unwatched = _loads(stage, settings, "keep", CONNECTIONS, watched=False)
    rounds = _everywhere(places, lambda each: with_cpu(each, load))
    rounds[UNWATCHED] = lambda: with_cpu(places.nono, unwatched)
    rounds[DIRECT] = lambda: with_cpu(places.bare, load)
    rates, cpu = columns(rounds_in_turn(settings.rounds, rounds))
    path = f"intercepted request, {CONNECTIONS} connections, keep-alive"
    note = (
        "nono-py announces after each response that it closes, so what it is given is new connections. "
        f"Load: tls_load.c, the same for all; {DIRECT}: it and the upstream share their CPU with nobody. The "
        "clock starts when all connections are open; the CPU of the proxy counts from before that."
    )
    budgets = {NONO_PY: at_least(11.0), MITMDUMP: at_least(10.0), SRT: at_least(2.5)}
    others = (NONO_PY, MITMDUMP, SRT, UNWATCHED, DIRECT)
    rows = [
        Row(path, "per s", rates[NONO], other, rates[other], budgets.get(other), note if not number else "")
        for number, other in enumerate(others)
    ]
    path = "CPU of the proxy per request, intercepted"
    return [
        *rows,
        *(Row(path, "µs", cpu[NONO], other, cpu[other]) for other in (NONO_PY, MITMDUMP, UNWATCHED)),
    ]


def _new_rows(stage: Stage, places: Proxies, settings: Settings) -> list[Row]:
    load = _loads(stage, settings, "new", NEW_CONNECTIONS)
    rounds = _everywhere(places, lambda each: with_cpu(each, load))
    rounds[DIRECT] = lambda: with_cpu(places.bare, load)
    rates, cpu = columns(rounds_in_turn(settings.rounds, rounds))
    path = f"intercepted: TCP, CONNECT, TLS and one request, {NEW_CONNECTIONS} at a time"
    return [
        Row(path, "per s", rates[NONO], NONO_PY, rates[NONO_PY], at_least(1.2)),
        *(Row(path, "per s", rates[NONO], other, rates[other]) for other in (MITMDUMP, SRT, DIRECT)),
        Row(
            *("CPU of the proxy per intercepted connection", "µs", cpu[NONO], NONO_PY, cpu[NONO_PY]),
            at_most(1.2),
        ),
    ]


def _stream_rows(stage: Stage, places: Proxies, settings: Settings) -> list[Row]:
    order = {
        "host": HOST,
        "port": stage.ports.events,
        "key": "EVENTS_KEY",
        "path": "/v1/events",
        "ca_file": stage.ca_file,
        "count": settings.exchanges,
    }

    def first_event_ms(each: Worker) -> float:
        return Samples(tuple(each.ask("first_event_intercepted", **order))).median * 1e3

    rounds: dict[str, Round] = _everywhere(places, first_event_ms)
    rounds[DIRECT] = lambda: first_event_ms(places.bare)
    ms = in_turn(settings.rounds, rounds)
    path = "first event of a stream, intercepted"
    return [
        Row(path, "ms", ms[NONO], DIRECT, ms[DIRECT], at_most(0.5, Figure.ADDED)),
        *(Row(path, "ms", ms[NONO], other, ms[other]) for other in (NONO_PY, MITMDUMP, SRT)),
    ]


def _bulk_rows(stage: Stage, places: Proxies, settings: Settings) -> list[Row]:
    down = f"{settings.bulk_bytes >> 20} MiB down, intercepted"
    at_random = f"{settings.bulk_bytes >> 20} MiB at random down, intercepted"
    note = "A file of NULs, which is searched for the key at once; at random, what compressed files are like."
    budgets: Mapping[str, Budget] = {NONO_PY: at_least(0.8)}
    return [
        *_download_rows(stage, places, settings, "/v1/bulk", down, budgets, note),
        *_download_rows(stage, places, settings, "/v1/random", at_random, {}, ""),
    ]


def _download_rows(
    stage: Stage,
    places: Proxies,
    settings: Settings,
    document: str,
    path: str,
    budgets: Mapping[str, Budget],
    note: str,
) -> list[Row]:
    def megabytes(each: Worker, *, watched: bool = True) -> float:
        order = _destination(stage, watched=watched) | {"path": document}
        return each.ask("bulk_intercepted", **order)[0] / 1e6

    rounds: dict[str, Round] = _everywhere(places, megabytes)
    rounds[UNWATCHED] = lambda: megabytes(places.nono, watched=False)
    rounds[DIRECT] = lambda: megabytes(places.bare)
    rates = in_turn(settings.rounds, rounds)
    others = (NONO_PY, MITMDUMP, SRT, UNWATCHED, DIRECT)
    return [
        Row(path, "MB/s", rates[NONO], other, rates[other], budgets.get(other), "" if number else note)
        for number, other in enumerate(others)
    ]


def _everywhere[T](places: Proxies, measure: Callable[[Worker], T]) -> dict[str, Callable[[], T]]:
    return {
        NONO: lambda: measure(places.nono),
        NONO_PY: lambda: measure(present(places.nono_py)),
        MITMDUMP: lambda: measure(present(places.mitmdump)),
        SRT: lambda: measure(present(places.srt)),
    }


def _loads(
    stage: Stage, settings: Settings, kind: str, connections: int, *, watched: bool = True, streams: int = 1
) -> Callable[[Worker], Loaded]:
    """Return the load for with_cpu."""

    def load(each: Worker) -> Loaded:
        order = _destination(stage, watched=watched) | {"path": "/v1/small", "kind": kind}
        amount = {"connections": connections, "seconds": settings.seconds, "streams": streams}
        return each.ask("tls_load", **order, **amount)

    return load


def _destination(stage: Stage, *, watched: bool) -> dict[str, str | int]:
    if stage.tls_load is None:
        raise CannotRunError("no OpenSSL (libssl-dev) to build the load with")
    port, key = (stage.ports.small, "SMALL_KEY") if watched else (stage.ports.unwatched, "UNWATCHED_KEY")
    return {"program": stage.tls_load, "host": HOST, "port": port, "key": key, "ca_file": stage.ca_file}
