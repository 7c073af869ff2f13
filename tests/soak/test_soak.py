"""Hundreds of clients of every kind of conduct for minutes, and then nothing of them is left.

NONO_SOAK_S is the length in seconds (``make soak``); without it a short one is run. NONO_SOAK_SEED repeats
the choices of another one, as far as clocks and networks allow.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nono.audit import chain
from nono.audit.chain import ChainState, Encoded, record_line
from nono.proxy.http.message import MAX_KEPT_NAMES
from nono.proxy.http.passing import MAX_KEPT_PASSING
from nono.proxy.http.request_reader import MAX_FIRST_HEADS
from nono.proxy.verdict.memo import MAX_KEPT
from support.soak.proxy import KEY, SERVICES
from support.soak.stage import Stage, soak_stage
from support.soak.worker import Worker

LENGTH_S = float(os.environ.get("NONO_SOAK_S", "8"))
IS_LONG = LENGTH_S >= 120
ACTORS = 200 if IS_LONG else 40
MOST_PAUSE_S = 2.0 if IS_LONG else 0.5  # between two conducts of an actor
QUIET_S = 90.0  # how long it may take until nothing is left
ALLOCATOR_KIB = 16 * 1024  # and a tenth, that the process may grow after it has warmed up

# What comes and goes by itself, and is bounded: worker threads for fdatasync, timers without a job, and
# the flow that was written last, with a response or without.
_FLUCTUATING = (
    "uvloop.loop.TimerHandle",
    "uvloop.loop.UVTimer",
    "anyio._backends._asyncio.WorkerThread",
    "nono.proxy.flows.flow._Response",
)

# Of what the memos of verdicts, of records and of first heads are made; an Entry is what the first two go by.
_KEPT = {
    "nono.audit.chain.Encoded": 2 * chain.MAX_KEPT,
    "nono.audit.event.Recurring": chain.MAX_KEPT,
    "nono.credentials.values.credential.Outgoing": MAX_KEPT,
    "nono.credentials.values.credential.RequestFacts": MAX_KEPT,
    "nono.credentials.values.escapes._Layer": 5,  # each is made when it is first needed
    "nono.proxy.conversation.run_turns.RunTurns": 1,  # made for the first request to a model
    "nono.proxy.conversation.turns.TurnTable": 1,
    "nono.proxy.http.message.Body": MAX_FIRST_HEADS,
    "nono.proxy.http.message.RequestHead": MAX_FIRST_HEADS,
    "nono.proxy.http.message._Names": MAX_KEPT_NAMES,
    "nono.proxy.http.passing._Passing": MAX_KEPT_PASSING,
    "nono.proxy.verdict.rewrite.Completed": MAX_KEPT,
    "nono.proxy.verdict.rewrite.RequestWriter": MAX_KEPT,
    "nono.proxy.verdict.rewrite._Unframed": MAX_KEPT,
    "nono.policy.hosts.upstream.Upstream": MAX_KEPT,
    "nono.proxy.verdict.verdict.Entry": 2 * MAX_KEPT,
    "nono.proxy.verdict.verdict.Forward": MAX_KEPT,
    "nono.proxy.verdict.verdict.ConnectTarget": MAX_KEPT,
    "nono.proxy.verdict.verdict.Intercept": MAX_KEPT,
    "nono.proxy.verdict.verdict.Tunnel": MAX_KEPT,
}


@pytest.mark.parametrize("name", [*_FLUCTUATING, *_KEPT])
def test_what_may_stay_is_called_what_it_is_called_there(name: str) -> None:
    module, _, its_class = name.rpartition(".")
    assert hasattr(importlib.import_module(module), its_class)


@pytest.mark.timeout(LENGTH_S + 300)
@pytest.mark.parametrize("records_flows", [False, True], ids=["as a rule", "with --record-flows"])
def test_a_crowd_passes_without_losing_a_byte_or_leaving_a_trace(records_flows: bool) -> None:
    seed = int(os.environ.get("NONO_SOAK_SEED", random.randrange(1 << 32)))
    length_s = LENGTH_S / 5 if records_flows else LENGTH_S
    print(f"\nsoak: {ACTORS} actors for {length_s:.0f} s, seed {seed}")
    with soak_stage(records_flows=records_flows) as stage, stage.clients(seed) as clients:
        clients.ask("once", patience_s=120)
        _no_faults(clients)
        idle = _quiet(stage, lambda state: not _open(state))
        assert _open(idle) == {}
        idle_kib = stage.proxy.ask("reset_peak")
        clients.ask("start", actors=ACTORS, most_pause_s=MOST_PAUSE_S)
        warm_kib, most = _watch(stage, length_s)
        clients.ask("stop", patience_s=120)
        _no_faults(clients)
        left = _quiet(stage, lambda state: not _grown(idle, state))
        results, upstream = clients.ask("report"), _report_when_left(stage.upstream)
        left_kib = stage.proxy.ask("reset_peak")
        _print(results, left, most, [idle_kib, warm_kib, left["rss_kib"], left_kib])
        assert _grown(idle, left) == {}
        if not records_flows:  # which keeps up to 2 MiB of each exchange that is open
            assert left["rss_kib"] <= warm_kib * 1.1 + ALLOCATOR_KIB
        assert left_kib <= idle_kib * 1.1 + ALLOCATOR_KIB
        assert upstream["connections"] == 0
        assert upstream["faults"] == []
        _every_byte_arrived(results, upstream)
        _only_real_keys_arrived(upstream)
        assert left["alarms"] == 1, "one credential was sent back, and nobody is told of it twice"
        log = stage.log
        state_after = stage.proxy.ask("close")
        assert state_after == {"clients": 0, "upstreams": 0}
        stage.proxy.end()
        assert stage.proxy.complaints() == ""
        _everything_is_recorded(log, results, upstream)


def _no_faults(clients: Worker) -> None:
    faults = clients.ask("report")["faults"]
    assert not faults, "\n\n".join(faults)


def _open(state: dict[str, Any]) -> dict[str, int]:
    """Count the open connections and exchanges."""
    names = ("clients", "tunnels", "upstreams", "flows")
    return {name: state["counts"][name] for name in names if state["counts"][name]}


def _grown(before: dict[str, Any], now: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Return what there is more of than before; garbage has been collected."""
    grown = {}
    for part in ("counts", "objects"):
        for name, count in now[part].items():
            allowed = before[part].get(name, 0)
            if name == "threads" or name in _FLUCTUATING:
                allowed += 4
            allowed += _KEPT.get(name, 0)
            if count > allowed:
                grown[name] = (allowed, count)
    return grown


def _quiet(stage: Stage, is_quiet: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return the state once it is quiet, or the last one."""
    deadline = time.monotonic() + QUIET_S
    while True:
        state: dict[str, Any] = stage.proxy.ask("state", objects=True)
        if is_quiet(state) or time.monotonic() > deadline:
            return state
        time.sleep(0.2)  # nothing announces it


def _report_when_left(upstream: Worker) -> dict[str, Any]:
    """Return its report, once it has noticed that all its connections have ended."""
    deadline = time.monotonic() + QUIET_S
    while True:
        report: dict[str, Any] = upstream.ask("report")
        if not report["connections"] or time.monotonic() > deadline:
            return report
        time.sleep(0.2)


def _watch(stage: Stage, length_s: float) -> tuple[int, dict[str, int]]:
    """Return the resident KiB after the first minute (or third), and the highest value of each count."""
    begun = time.monotonic()
    warm_kib, most = 0, dict[str, int]()
    while (elapsed_s := time.monotonic() - begun) < length_s:
        time.sleep(min(1.0, length_s - elapsed_s))
        state = stage.proxy.ask("state", objects=False)
        for name, count in {**state["counts"], "rss_kib": state["rss_kib"]}.items():
            most[name] = max(most.get(name, 0), count)
        if elapsed_s < min(60.0, length_s / 3):
            warm_kib = state["rss_kib"]
    return warm_kib, most


def _every_byte_arrived(results: dict[str, Any], upstream: dict[str, Any]) -> None:
    received, sent = results["received"], upstream["sent"]
    assert received
    wrong = {number: (total, sent.get(number)) for number, total in received.items()}
    assert {number: both for number, both in wrong.items() if both[0] != both[1]} == {}


def _only_real_keys_arrived(upstream: dict[str, Any]) -> None:
    """Check that only real keys arrived, or none, where none belongs."""
    assert set(upstream["keys"]) == {"", *(f"Bearer {KEY}{service}" for service in SERVICES)}


def _everything_is_recorded(log: Path, results: dict[str, Any], upstream: dict[str, Any]) -> None:
    """Check that the chain is whole, and holds what the upstream saw of the proxy's requests."""
    state, recorded = ChainState(), set()
    for line in log.read_bytes().splitlines(keepends=True):
        written = json.loads(line)
        expected, state = record_line(
            state, Encoded.of(written["event_json"].encode("utf-8", "backslashreplace"))
        )
        assert line == expected
        event = written["event"].get("event", {})
        path = event.get("path") or ""
        if event.get("decision") == "allow" and "/v1/" in path:
            recorded.add(int(path.split("/v1/")[1].split("/")[0]))
    unseen = set(results["tunnelled"])
    assert recorded
    assert set(upstream["seen"]) - unseen <= recorded
    assert set(map(int, results["received"])) - unseen <= recorded


def _print(results: dict[str, Any], left: dict[str, Any], most: dict[str, int], kib: list[int]) -> None:
    size = sum(total[0] for total in results["received"].values())
    print(f"  {sum(results['done'].values())} conducts: {results['done']}")
    print(f"  statuses: {results['statuses']}")
    print(f"  {len(results['received'])} responses received whole, {size / (1 << 20):.0f} MiB")
    print(f"  most at a time: {most}")
    print(f"  left: {left['counts']}")
    print("  resident: {} KiB trimmed, {} KiB warm, {} KiB at the end, {} KiB trimmed again".format(*kib))
