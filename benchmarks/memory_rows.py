"""How much memory the proxies hold at rest after what they have done so far, and ten idle runs."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.budget import Budget, Figure, Row, at_most
from benchmarks.proxies import Proxies
from benchmarks.samples import Absent, CannotRunError, Measured, Samples
from benchmarks.stage import HOST, Stage
from benchmarks.workers import Worker, worker

LIMIT_MIB = 60
AGENTS, AGENTS_MIB = 10, 450
IDLE_NOTE = (
    "what nono itself takes, of each run its supervisor and its process 1; each has passed on one "
    "intercepted request. Pages that several share count as parts (Pss)."
)
# Right behind a load stand the buffers of its last bodies, which come and go: the highest there ever was has
# a row of its own. An allocator gives back what is free only now and then, nono's once a second.
REST_S = 2.0


def memory_rows(places: Proxies) -> list[Row]:
    """Read the memory before the first HTTP/2 client, with the budget."""
    time.sleep(REST_S)
    budget = at_most(LIMIT_MIB, Figure.VALUE)
    return [
        *_rows(places, "after HTTP/1.1", "VmRSS", budget),
        *_rows(places, "at its highest, HTTP/1.1", "VmHWM"),
    ]


def http2_memory_rows(places: Proxies) -> list[Row]:
    time.sleep(REST_S)
    return _rows(places, "after HTTP/2", "VmRSS")


def _rows(places: Proxies, when: str, field: str, budget: Budget | None = None) -> list[Row]:
    path, ours = f"memory of the supervisor, {when}", _memory(places.nono, field)
    return [
        Row(path, "MiB", ours, "nono-py", _memory(places.nono_py, field), budget),
        Row(path, "MiB", ours, "mitmdump", _memory(places.mitmdump, field)),
    ]


def _memory(place: Worker | Absent, field: str) -> Measured:
    return place if isinstance(place, Absent) else Samples((place.resident_mib(field),))


def idle_rows(stage: Stage) -> list[Row]:
    """Measure ten runs at once. Each gets one request to an intercepted host, and then rests."""
    path = f"memory of {AGENTS} idle runs with the proxy, in all"
    order = {"host": HOST, "port": stage.ports.events, "key": "EVENTS_KEY", "path": "/v1/events"}
    with ExitStack() as stack:
        try:
            runs = [
                stack.enter_context(
                    worker(
                        *(stage.nono_run(*stage.worker), stage.environ, stage.cpus.proxy),
                        stage.folder / f"idle-{number}.log",
                    )
                )
                for number in range(AGENTS)
            ]
            for run in runs:
                run.ask("first_event_intercepted", ca_file=stage.ca_file, count=1, **order)
            time.sleep(REST_S)
            ours = Samples((sum(_own_mib(run.process.pid) for run in runs),))
        except CannotRunError as error:
            return [Row(path, "MiB", Absent(str(error)))]
    return [Row(path, "MiB", ours, budget=at_most(AGENTS_MIB, Figure.VALUE), note=IDLE_NOTE)]


def _own_mib(supervisor: int) -> float:
    """Return the memory of the supervisor and its processes except the command, which is the worker."""
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    ours = [child for child in children if b"worker.py" not in Path(f"/proc/{child}/cmdline").read_bytes()]
    return sum(_shared_mib(pid) for pid in (str(supervisor), *ours))


def _shared_mib(pid: str) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(next(line for line in rollup.splitlines() if line.startswith("Pss:")).split()[1]) / 1024
