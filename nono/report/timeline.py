"""Condense the events of a log to a timeline that a person can read."""

from __future__ import annotations

from nono.report.model import Moment

MOMENTS_MAX = 500
# Dropped when a log is too long: only unusual events are then kept.
_USUAL = frozenset(("request", "refused", "socket"))
_USUAL_MAX = 300


class Timeline:
    """Takes events in the order of the log, merging consecutive similar ones."""

    def __init__(self) -> None:
        self._moments: list[Moment] = []
        self._usual = 0
        self.left_out = 0

    def add(self, at_ms: int | None, kind: str, what: str, times: int = 1) -> None:
        last = self._moments[-1] if self._moments else None
        if last is not None and (last.kind, last.what) == (kind, what):
            self._moments[-1] = last._replace(times=last.times + times)
            return
        is_usual = kind in _USUAL
        if len(self._moments) >= MOMENTS_MAX or (is_usual and self._usual >= _USUAL_MAX):
            self.left_out += 1
            return
        self._usual += is_usual
        self._moments.append(Moment(at_ms, kind, what, times))

    def listed(self) -> tuple[Moment, ...]:
        return tuple(self._moments)
