"""What a session that a terminal comes back to adds: to a key, to output, to coming back; and its memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.budget import Budget, Figure, Row, at_least, at_most
from benchmarks.commands import in_turn, rounds_in_turn
from benchmarks.samples import Absent, CannotRunError, Measured, Samples, percentile
from benchmarks.settings import Settings
from benchmarks.stage import Stage
from benchmarks.terminals import LIMIT_S, LOOK_S, Keeper, Seat, keepers, memory_mib, seat

ECHO = "stty raw -echo; printf READY; exec cat"
KEY = b"Q"  # in no escape sequence that tmux draws with
BETWEEN_KEYS_S = 0.002
HISTORIES_MIB = (1, 10, 100)
REST_S = 1.0
LINE = "".join(f"\x1b[3{colour}m{colour} words in a colour \x1b[0m" for colour in range(1, 6)) + "\n"
PEERS = ("dtach", "tmux")
MORE_ROUNDS = 5  # times the usual of what is relayed: one round and the next differ by a fifth
ECHO_ADDED_US = {"p50": 1000.0, "p99": 3000.0}
RELAYED: dict[str, Budget] = {"dtach": at_least(0.9), "tmux": at_least(1.0)}
ATTACHED_MS = at_most(150.0, Figure.VALUE)


def terminal_rows(stage: Stage, settings: Settings) -> list[Row]:
    kept = keepers(stage)
    with _text(stage, settings.bulk_bytes >> 3) as text:
        return [
            *_echo_rows(stage, kept, settings),
            *_output_rows(stage, kept, settings, text),
            *(row for mib in HISTORIES_MIB for row in _attach_rows(kept, settings, text, mib)),
            *_memory_rows(kept, text),
        ]


@contextmanager
def _text(stage: Stage, size: int) -> Iterator[Path]:
    """Yield a file of coloured lines, as much as is relayed at once."""
    path = Path(stage.shared, "coloured")
    path.write_text(LINE * (size // len(LINE)))
    try:
        yield path
    finally:
        path.unlink()


def _echo_rows(stage: Stage, kept: dict[str, Keeper], settings: Settings) -> list[Row]:
    """Time from a key to its echo by a program that only copies."""
    keys = settings.calls // 10

    def kept_by(keeper: Keeper) -> Callable[[], list[float]]:
        def measure() -> list[float]:
            with keeper.session(ECHO), keeper.attached() as terminal:
                return _echoes(terminal, keys)

        return measure

    def bare() -> list[float]:
        environ = kept["nono"].environ
        with seat(["/bin/sh", "-c", ECHO], environ, stage.shared) as terminal:
            terminal.wait_for(b"READY")
            return _echoes(terminal, keys)

    found = rounds_in_turn(
        settings.rounds, {"bare": bare, **{name: kept_by(keeper) for name, keeper in kept.items()}}
    )
    rows = []
    for title, share in (("p50", 0.5), ("p99", 0.99)):
        values: dict[str, Measured] = {
            name: each
            if isinstance(each, Absent)
            else Samples(tuple(percentile(times, share) * 1e6 for times in each))
            for name, each in found.items()
        }
        path = f"key to echo in a detached session, {title}"
        added = at_most(ECHO_ADDED_US[title], Figure.ADDED)
        rows.append(Row(path, "µs", values["nono"], "bare", values["bare"], added))
        rows += [Row(path, "µs", values["nono"], name, values[name]) for name in PEERS]
    return rows


def _echoes(terminal: Seat, count: int) -> list[float]:
    terminal.forget()
    times = []
    for _ in range(count):
        time.sleep(BETWEEN_KEYS_S)
        started = time.perf_counter()
        terminal.type(KEY)
        terminal.wait_for(KEY)
        times.append(time.perf_counter() - started)
    return times


def _output_rows(stage: Stage, kept: dict[str, Keeper], settings: Settings, text: Path) -> list[Row]:
    """Measure what a command can write while somebody watches."""
    script = f"stty -echo; read go; cat {text}; printf THE-END; exec cat"
    size = text.stat().st_size

    def rate(terminal: Seat) -> float:
        terminal.forget()
        started = time.perf_counter()
        terminal.type(b"\n")
        terminal.wait_for(b"THE-END")
        return size / 1e6 / (time.perf_counter() - started)

    def kept_by(keeper: Keeper) -> Callable[[], float]:
        def measure() -> float:
            with keeper.session(script), keeper.attached() as terminal:
                return rate(terminal)

        return measure

    def bare() -> float:
        with seat(["/bin/sh", "-c", script], kept["nono"].environ, stage.shared) as terminal:
            return rate(terminal)

    names = {name: kept_by(keeper) for name, keeper in kept.items()}
    values = in_turn(settings.rounds * MORE_ROUNDS, {"bare": bare, **names})
    note = "tmux draws what is on the screen now and then, and relays nothing"
    path = "output of a detached session, relayed"
    return [
        Row(
            *(path, "MB/s", values["nono"], name, values[name], RELAYED.get(name)),
            note=note if name == "tmux" else "",
        )
        for name in ("bare", *PEERS)
    ]


def _attach_rows(kept: dict[str, Keeper], settings: Settings, text: Path, mib: int) -> list[Row]:
    """Time from the start of what attaches to the last line of the screen; dtach shows no earlier output."""

    def kept_by(keeper: Keeper) -> Callable[[], float]:
        def measure() -> float:
            with _after(keeper, text, mib):
                started = time.perf_counter()
                with keeper.attached() as terminal:
                    terminal.wait_for(b"THE-LAST-LINE")
                    return (time.perf_counter() - started) * 1e3

        return measure

    values = in_turn(settings.rounds, {name: kept_by(kept[name]) for name in ("nono", "tmux")})
    path = f"attach after {mib} MiB of output"
    return [Row(path, "ms", values["nono"], "tmux", values["tmux"], ATTACHED_MS)]


def _memory_rows(kept: dict[str, Keeper], text: Path) -> list[Row]:
    def kept_by(keeper: Keeper) -> Callable[[], float]:
        def measure() -> float:
            with _after(keeper, text, 1):
                time.sleep(REST_S)
                return memory_mib(keeper.pids())

        return measure

    values = in_turn(1, {name: kept_by(keeper) for name, keeper in kept.items()})
    path = "memory of an idle session after 1 MiB of output"
    return [Row(path, "MiB", values["nono"], name, values[name]) for name in PEERS]


@contextmanager
def _after(keeper: Keeper, text: Path, mib: int) -> Iterator[None]:
    """Run a session until it has written that much, to nobody."""
    done = text.with_name("done")
    script = (
        f"yes \"$(head -c 4000 {text})\" | head -c {mib}M; printf '\\nTHE-LAST-LINE'; echo > {done}; exec cat"
    )
    with keeper.session(script):
        deadline = time.monotonic() + LIMIT_S
        while not done.exists():
            if time.monotonic() > deadline:
                raise CannotRunError(f"does not take {mib} MiB within {LIMIT_S:.0f} s")
            time.sleep(LOOK_S)
        time.sleep(REST_S)
        try:
            yield
        finally:
            done.unlink()
