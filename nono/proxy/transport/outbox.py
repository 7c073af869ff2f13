"""Send what the connections write in one turn of the loop together, when it ends (ADR 65)."""

from __future__ import annotations

import asyncio
from typing import Protocol

HELD_BYTES = 16 * 1024  # of one connection; the transport must know of more, to ask for a pause


class Writer(Protocol):
    """A connection that can keep what it has written until the end of a turn."""

    def send_held(self) -> None:
        """Send what it has kept, if anything."""
        ...


class Outbox:
    """Says which pieces wait for the end of a turn: all but the first, which goes at once.

    A send wakes whoever waits for it, which takes the kernel longer than the send itself. A peer that several
    connections lead to is woken once for all of them if they send one after another.
    """

    __slots__ = ("_has_sent", "_holding")

    def __init__(self) -> None:
        self._has_sent = False  # in this turn
        self._holding: list[Writer] = []

    def holds(self, writer: Writer) -> bool:
        """Return True if `writer` must keep its bytes until send_held(); False if it must send them now."""
        if not self._has_sent:
            self._has_sent = True
            asyncio.get_running_loop().call_soon(self._turn_ended)
            return False
        self._holding.append(writer)
        return True

    def send(self) -> None:
        """Send everything that is held. Call before work that takes long."""
        holding, self._holding = self._holding, []
        try:
            while holding:
                holding.pop(0).send_held()
        finally:
            self._holding = [*holding, *self._holding]  # after a fault of one, for the end of the turn

    def _turn_ended(self) -> None:
        self._has_sent = False
        try:
            self.send()
        finally:
            if self._holding and not self._has_sent:
                self._has_sent = True
                asyncio.get_running_loop().call_soon(self._turn_ended)
