"""How much memory the proxies hold, at rest, after what they have done so far."""

from __future__ import annotations

import time

from benchmarks.budget import Budget, Figure, Row, at_most
from benchmarks.proxies import Proxies
from benchmarks.samples import Absent, Measured, Samples
from benchmarks.workers import Worker

LIMIT_MIB = 60
# Right behind a load stand the buffers of its last bodies, which come and go: the highest there ever was has
# a row of its own. An allocator gives back what is free only now and then, nono's once a second.
REST_S = 2.0


def memory_rows(places: Proxies) -> list[Row]:
    """Before the first client of HTTP/2, with the budget."""
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
