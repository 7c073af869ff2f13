"""Add up the tokens a run has used, and check them against the limits of its routes."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from nono.amounts import about, money, several, short
from nono.audit.traffic import Spent
from nono.named_tuple import NamedTuple
from nono.policy.schema.route_rules import UsageLimits
from nono.proxy.usage.meter import UNKNOWN_MODEL, Usage
from nono.proxy.usage.prices import ModelPrices

_UNTOLD = "a response did not say how many tokens it used, or was left before that"
_UNTOLD_BY_MANY = "{} responses did not say how many tokens they used, or were left before that"
_NOT_KEPT = "the limit of costs cannot be kept"
_UNTOLD_MORE = 8  # beyond as many again, with which somebody lets it go on
_OF_OPENAI = "for OpenAI streams ask with stream_options.include_usage"
_MAX_MODELS = 200  # for all credentials together, because an upstream can invent any number of names


class UsageTotal(NamedTuple):
    """The total usage of one model with one credential."""

    credential: str
    model: str
    responses: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None  # an estimate at list prices; None if the price is unknown

    def __str__(self) -> str:
        cached = f" ({self.cached_input_tokens:,} cached)" if self.cached_input_tokens else ""
        return (
            f"{self.credential}, {self.model}: {several(self.responses, 'response')},"
            f" {self.input_tokens:,} tokens in{cached}, {self.output_tokens:,} out, {about(self.cost_usd)}"
        )

    def amounts(self) -> list[str]:
        """Return the tokens and the cost as short texts."""
        return [f"{short(self.input_tokens)} in", f"{short(self.output_tokens)} out", about(self.cost_usd)]


class UsageLedger:
    """Adds up the usage reported by responses."""

    def __init__(self, prices: ModelPrices) -> None:
        self._prices = prices
        self._totals: dict[tuple[str, str], UsageTotal] = {}

    def add(self, credential: str, usage: Usage) -> None:
        key = (credential, usage.model)
        if key not in self._totals and len(self._totals) >= _MAX_MODELS:
            key = (credential, UNKNOWN_MODEL)
        total = self._totals.get(key) or UsageTotal(*key)
        cost = self._prices.cost_usd(usage._replace(model=key[1]))
        self._totals[key] = UsageTotal(
            *key,
            responses=total.responses + 1,
            input_tokens=total.input_tokens + usage.input_tokens,
            cached_input_tokens=total.cached_input_tokens + usage.cached_input_tokens,
            output_tokens=total.output_tokens + usage.output_tokens,
            cost_usd=None if cost is None else cost + (total.cost_usd or 0.0),
        )

    def totals(self) -> list[UsageTotal]:
        """Return the totals, sorted by credential, then model."""
        return [self._totals[key] for key in sorted(self._totals)]

    def spent(self) -> Spent:
        """Return the usage of all models together."""
        totals = self._totals.values()
        costs = [total.cost_usd for total in totals if total.cost_usd is not None]
        return Spent(
            sum(total.responses for total in totals),
            sum(total.input_tokens for total in totals),
            sum(total.cached_input_tokens for total in totals),
            sum(total.output_tokens for total in totals),
            sum(costs) if costs else None,
        )

    def summary_lines(self) -> list[str]:
        """Return the lines for the end of a run; empty if no response reported its usage."""
        lines = [str(total) for total in self.totals()]
        costs = [total.cost_usd for total in self.totals() if total.cost_usd is not None]
        if costs:
            lines.append(
                f"costs are estimates at list prices of {self._prices.as_of}: {money(sum(costs))} in all"
            )
        return lines

    def summary_rows(self) -> list[list[str]]:
        """Return one row of short texts for each model, then one for the total cost."""
        totals = self.totals()
        costs = [total.cost_usd for total in totals if total.cost_usd is not None]
        rows = [[f"{total.credential} {total.model}", *total.amounts()] for total in totals]
        at_prices = f"at list prices of {self._prices.as_of}"
        if len(totals) == 1 and costs:
            rows[0][-1] += f" {at_prices}"
        elif costs:
            rows.append([f"{about(sum(costs))} in all, {at_prices}"])
        return rows


class Reached(NamedTuple):
    """Why no further request may be sent, and so what a person is asked about."""

    reason: str
    limit: str = ""  # "costs", "untold" or "model", of which only that is granted; "": any other
    model: str = ""  # the one whose price is not known
    untold: int = 0  # responses that reported nothing


class UsageLimiter:
    """Decides whether the next request of a route may start.

    Tokens are known only when a response has ended, so the last request may exceed a token limit. Requests
    that use tokens take turns (Tally), so that only one can. A limit of requests is never exceeded. One of
    costs, which are an estimate anyway, may be exceeded by all requests that are under way.
    """

    def __init__(self, limits: UsageLimits, prices: ModelPrices) -> None:
        self._limits = limits
        self._prices = prices
        self._is_set = limits.is_set
        self._requests = 0
        self._input_tokens = 0
        self._output_tokens = 0
        self._cost_usd = 0.0
        self._unmetered = False
        self._untold = 0  # responses that reported nothing
        self._untold_allowed = 0
        self._uncosted = ""  # the model whose price is not known
        self._allowed_uncosted = set[str]()  # those with which somebody has let it go on
        self._costs_allowed = 1  # how many times the limit of costs was granted
        self.allowed_times = 1  # how many times the limits were granted

    def reason(self) -> str | None:
        """Return why no further request may be sent; None: one may."""
        reached = self.reached()
        return None if reached is None else reached.reason

    def reached(self) -> Reached | None:
        return next(self._exceeded(), None) if self._is_set else None

    def reason_of_costs(self) -> str | None:
        """Return why no request that has a cost may be sent."""
        return next((each.reason for each in self._exceeded_costs()), None)

    def extend(self, asked: Reached) -> None:
        """Raise the limits by their original amount. Of costs, grant what was asked about and no more.

        More may have been reached by the time of the answer. Where costs are unknown their limit stays. A
        model without a price is free from now on, and some more responses that report nothing: a command can
        leave each before its end.
        """
        self.allowed_times += 1
        self._unmetered = False
        match asked.limit:
            case "untold":
                self._untold_allowed = max(self._untold_allowed, 2 * asked.untold + _UNTOLD_MORE)
            case "model":
                self._allowed_uncosted.add(asked.model)
                if self._uncosted == asked.model:
                    self._uncosted = ""
            case _:
                self._costs_allowed += 1

    def start(self) -> str | None:
        """Count a request about to be sent. Returns the reason for a 429 if it must not be sent."""
        reason = self.reason()
        if reason is None:
            self._requests += 1
        return reason

    def add(self, usage: Usage | None, *, is_final: bool = True) -> None:
        """Add the usage of a request; None if it is unknown, which uses up everything left.

        is_final: False for what was reported until a client left. Of tokens that is unknown usage; of costs
        it counts as it is, so that whoever interrupts an answer is not asked each time.
        """
        if usage is None or not is_final:
            self._unmetered = True
        else:
            self._input_tokens += usage.input_tokens
            self._output_tokens += usage.output_tokens
        if usage is None:
            self._untold += 1
        elif (cost := self._prices.cost_usd(usage)) is not None:
            self._cost_usd += cost
        elif usage.model not in self._allowed_uncosted:
            self._uncosted = usage.model

    @property
    def _most_usd(self) -> float:
        return inf if self._limits.cost_usd is None else self._limits.cost_usd * self._costs_allowed

    @property
    def _has_cost_its_limit(self) -> bool:
        return self._cost_usd >= self._most_usd

    def _exceeded(self) -> Iterator[Reached]:
        limits = self._limits
        for used, limit, what in (
            (self._requests, limits.requests, "request"),
            (self._input_tokens, limits.input_tokens, "input token"),
            (self._output_tokens, limits.output_tokens, "output token"),
        ):
            most = None if limit is None else limit * self.allowed_times
            if most is not None and used >= most:
                yield Reached(f"the limit of {several(most, what)} is reached ({used:,} used)")
        if self._unmetered and limits.count_tokens:
            reason = f"{_UNTOLD}, so the limit of tokens cannot be kept ({_OF_OPENAI})"
            yield Reached(reason, "untold", untold=self._untold)
        yield from self._exceeded_costs()

    def _exceeded_costs(self) -> Iterator[Reached]:
        if self._has_cost_its_limit:
            spent = about(self._cost_usd)
            most = money(self._most_usd)
            yield Reached(f"the limit of {most} is reached ({spent} at list prices)", "costs")
        if self._limits.cost_usd is None:
            return
        if self._untold > self._untold_allowed:
            told = _UNTOLD if self._untold == 1 else _UNTOLD_BY_MANY.format(self._untold)
            yield Reached(f"{told}, so {_NOT_KEPT}", "untold", untold=self._untold)
        if self._uncosted:
            reason = f"no list price of {self._uncosted} is known, so {_NOT_KEPT}"
            yield Reached(reason, "model", self._uncosted)
