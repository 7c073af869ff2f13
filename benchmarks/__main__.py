"""Measures the budgets side by side with the peers: `python -m benchmarks [--quick] [--only NAME]`.

A full run writes docs/benchmarks.md; every run prints the page.
"""

from __future__ import annotations

import argparse
import compileall
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib.metadata import version

from benchmarks import machine
from benchmarks.agent_rows import agent_rows
from benchmarks.budget import Row, Verdict, judge
from benchmarks.build_rows import build_rows
from benchmarks.crowd_rows import crowd_rows
from benchmarks.inside_rows import inside_rows
from benchmarks.intercept_rows import http2_rows, intercept_rows
from benchmarks.listening_row import listening_row
from benchmarks.memory_rows import http2_memory_rows, idle_rows, memory_rows
from benchmarks.peers import Peers, find_peers
from benchmarks.proxies import proxies
from benchmarks.proxy_rows import proxy_rows
from benchmarks.samples import Absent, CannotRunError
from benchmarks.settings import FULL, QUICK, Settings
from benchmarks.stage import NONO, Stage, stage
from benchmarks.start_rows import start_rows
from benchmarks.table import page
from benchmarks.terminal_rows import terminal_rows
from benchmarks.tree_rows import tree_rows
from benchmarks.undo_rows import undo_rows

USUAL = (
    *("start", "listening", "idle", "inside", "crowd", "tree", "undo"),
    *("builds", "proxy", "intercept", "http2", "terminal"),
)
GROUPS = (*USUAL, "agents")  # the last one takes minutes, and is measured where it is named
LIMIT_S = 1800  # without the installation of the peers, which happens once
PAGE = machine.ROOT / "docs/benchmarks.md"
HOW = (
    "Each cell is `median [least to most]` over the rounds of one run, in which all that stands in a row "
    "takes turns. Times drift by a quarter on a shared machine: compare ratios, and those of one page only. "
    "Traffic stays on loopback. The load and the upstream share a CPU that the proxy is not on; "
    "the load has the lowest priority in every place.",
    "Written by `make bench`.",
)


def main(argv: list[str] | None = None) -> int:
    options = _parse(argv)
    settings = QUICK if options.quick else FULL
    started = time.monotonic()
    os.chdir(machine.ROOT)
    signal.signal(signal.SIGALRM, _give_up)
    facts = machine.facts()
    compileall.compile_dir(machine.ROOT / "nono", quiet=1)
    peers = find_peers()
    signal.alarm(LIMIT_S)
    with stage(machine.cpus(), settings.bulk_bytes) as set_up:
        rows = _measure(set_up, peers, settings, options.only or USUAL)
    signal.alarm(0)
    facts |= {"nono": _nono_version(), **peers.versions(), "mitmdump": version("mitmproxy")}
    facts["the run took"] = f"{time.monotonic() - started:.0f} s{', --quick' if options.quick else ''}"
    text = page("Budgets, measured", facts, rows, HOW)
    print(text)
    if not options.quick and not options.only:
        PAGE.write_text(text)
    missed = sum(judge(row) is Verdict.MISSED for row in rows)
    print(f"{missed} of {len(rows)} rows miss their budget", file=sys.stderr)
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="see that it all works; the figures are rough")
    parser.add_argument(
        "--only",
        action="append",
        choices=GROUPS,
        help="this group of rows; may be repeated (agents: only so)",
    )
    return parser.parse_args(argv)


def _measure(set_up: Stage, peers: Peers, settings: Settings, groups: Collection[str]) -> list[Row]:
    alone: Mapping[str, Callable[[], Sequence[Row]]] = {
        "start": lambda: start_rows(set_up, peers, settings),
        "listening": lambda: [listening_row(set_up, peers, settings)],
        "idle": lambda: idle_rows(set_up),
        "tree": lambda: tree_rows(set_up, settings),
        "undo": lambda: undo_rows(set_up, settings),
        "builds": lambda: build_rows(set_up, settings),
        "terminal": lambda: terminal_rows(set_up, settings),
        "agents": lambda: agent_rows(set_up, peers, settings),
    }
    rows = [row for name, measure in alone.items() if name in groups for row in measure()]
    if not {"inside", "crowd", "proxy", "intercept", "http2"} & {*groups}:
        return rows
    try:
        with proxies(set_up, peers) as places:
            if "inside" in groups:
                rows.extend(inside_rows(set_up, places, settings))
            if "crowd" in groups:
                rows.extend(crowd_rows(set_up, places, settings))
            if "proxy" in groups:
                rows.extend(proxy_rows(set_up, places, settings))
            if "intercept" in groups:
                rows.extend(intercept_rows(set_up, places, settings))
            if {"proxy", "intercept"} & {*groups}:
                rows.extend(memory_rows(places))
            if "http2" in groups:
                rows.extend(http2_rows(set_up, places, settings))
                rows.extend(http2_memory_rows(places))
    except CannotRunError as error:
        rows.append(Row("the rest, inside `nono run`", "", Absent(str(error))))
    return rows


def _give_up(*_: object) -> None:
    """End the benchmark. Raises SystemExit, which no row takes for its own error; open blocks are closed."""
    raise SystemExit(f"benchmarks: not done within {LIMIT_S} s")


def _nono_version() -> str:
    said = subprocess.run([NONO, "--version"], capture_output=True, text=True, timeout=20, check=True)
    return said.stdout.split()[-1]


if __name__ == "__main__":
    sys.exit(main())
