"""Checks the lines of an audit log: each must be, byte for byte, what the events before it make it."""

from __future__ import annotations

import json
from typing import Any

from nono.audit.chain import ChainState, Encoded, record_line
from nono.report.gather import Numbered
from nono.report.model import Integrity


class Checked:
    """Takes the lines of a log in their order, and gives back the events that are hashed in them."""

    def __init__(self) -> None:
        self._state = ChainState()
        self._problem: str | None = None
        self._lines = 0

    def line(self, line: bytes) -> Numbered:
        """Return the event of one line with its number; an event of type `damaged` if there is none."""
        self._lines += 1
        try:
            text = json.loads(line)["event_json"]
            expected, following = record_line(self._state, Encoded.of(text.encode("utf-8")))
            event: Any = json.loads(text)
            if not isinstance(event, dict):
                raise ValueError("not an object")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self._is_wrong()
            return None, {"type": "damaged"}
        number = self._state.sequence
        if line != expected:
            self._is_wrong()
        self._state = following
        return number, event

    def result(self, *, is_cut: bool, is_ended: bool) -> Integrity:
        """Return the verdict. is_cut: Half a record is at the end. is_ended: The session has ended."""
        if self._problem is not None:
            return Integrity(False, self._problem, self._lines)
        if is_cut and is_ended:
            return Integrity(False, f"the record behind number {self._lines - 1} is incomplete", self._lines)
        return Integrity(True, f"{self._lines:,} records, each chained to the one before", self._lines)

    def _is_wrong(self) -> None:
        if self._problem is None:
            self._problem = f"line {self._lines} is not what was written there"
