"""Tell the time: in the two formats of the audit log, and since boot."""

from __future__ import annotations

import time


def unix_ms() -> int:
    """Return milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def boot_s() -> float:
    """Return seconds since boot, which go on while the machine is suspended: time.monotonic() stands still.

    For what ends at a time of the world outside, such as a token or a rule with an end. Timers stand still.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def rfc3339() -> str:
    """Return local time with its offset, e.g. `2026-01-02T03:04:05+01:00` (RFC 3339 section 5.6)."""
    text = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    return f"{text[:-2]}:{text[-2:]}"


def local_time(at_ms: int) -> str:
    """Return a time in milliseconds since the epoch in the format of rfc3339()."""
    text = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(at_ms // 1000))
    return f"{text[:-2]}:{text[-2:]}"
