"""Add up the tokens of models, turn by turn."""

from __future__ import annotations

from nono.proxy.usage.ledger import UsageLedger
from nono.proxy.usage.meter import Usage
from nono.proxy.usage.prices import ModelPrices
from nono.report.model import Turn

TURNS_MAX = 1000  # later turns are added to the last one


class _Sum:
    """The usage of one turn so far."""

    def __init__(self, number: int, at_ms: int | None, prices: ModelPrices) -> None:
        self.number = number
        self.at_ms = at_ms
        self.requests = 0
        self.ledger = UsageLedger(prices)


class Turns:
    """Takes the beginnings of turns and the usage in each. Usage before the first turn counts for turn 0."""

    def __init__(self, prices: ModelPrices) -> None:
        self._prices = prices
        self._sums = {0: _Sum(0, None, prices)}
        self._now = self._sums[0]
        self._last: int | None = None  # record number of the last request

    def begin(self, number: int, at_ms: int | None, request: int | None) -> None:
        """Begin a turn. request: The request that began it, whose record comes earlier."""
        if number in self._sums or len(self._sums) >= TURNS_MAX:
            return
        before, self._now = self._now, _Sum(number, at_ms, self._prices)
        self._sums[number] = self._now
        if request is not None and request == self._last:
            before.requests -= 1
            self._now.requests += 1

    def request(self, number: int | None, times: int) -> None:
        self._now.requests += times
        self._last = number

    def used(self, service: str, usage: Usage, turn: int | None) -> None:
        """Add the usage of a response. turn: The turn of its request; None: before the first."""
        self._sums.get(turn or 0, self._now).ledger.add(service, usage)

    def listed(self) -> tuple[Turn, ...]:
        """Return the turns in which something happened."""
        turns = (
            Turn(each.number, each.at_ms, each.requests, tuple(each.ledger.totals()))
            for each in self._sums.values()
        )
        return tuple(turn for turn in turns if turn.number or turn.requests or turn.usage)
