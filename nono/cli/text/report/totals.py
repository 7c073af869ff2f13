"""Lay out the report about several sessions for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from nono.amounts import about, money, several, short
from nono.cli.text.report.layout import Section, laid_out
from nono.report.many import Totals


def text_of_totals(totals: Totals, period: str) -> str:
    """Return the report in plain text."""
    return laid_out(_head(totals, period), _sections(totals))


def _head(totals: Totals, period: str) -> Iterator[str]:
    yield f"{several(totals.runs, 'session')} started within {period}."
    if totals.ends:
        yield f"  Ends: {', '.join(f'{count:,} {end}' for end, count in totals.ends)}."
    if totals.models:
        tokens = sum(each.input_tokens + each.output_tokens for each in totals.models)
        cost = totals.cost_usd
        price = "" if cost is None else f", {about(cost)} at list prices of {totals.prices_of}"
        yield f"  Models: {short(tokens)} tokens{price}."


def _sections(totals: Totals) -> Iterator[Section]:
    if totals.days:
        days = [
            (each.day, f"{each.runs:,}", f"{each.requests:,}", short(each.tokens), _cost(each.cost_usd))
            for each in totals.days
        ]
        yield Section("Days", ("DAY", "SESSIONS", "REQUESTS", "TOKENS", "COST"), days, numbers=(1, 2, 3, 4))
    if totals.models:
        models = [
            (
                f"{each.responses:,}",
                short(each.input_tokens),
                short(each.output_tokens),
                _cost(each.cost_usd),
                f"{each.model} ({each.credential})",
            )
            for each in totals.models
        ]
        yield Section("Models", ("RESPONSES", "IN", "OUT", "COST", "MODEL"), models, numbers=(0, 1, 2, 3))
    if totals.hosts:
        hosts = [
            (*(f"{count:,}" if count else "-" for count in each[1:]), each.name) for each in totals.hosts
        ]
        headers = ("SESSIONS", "PASSED", "REFUSED", "FAILED", "HOST")
        yield Section("Hosts", headers, hosts, numbers=(0, 1, 2, 3))
    if totals.denials:
        rules = [
            (f"{each.times:,}", f"{each.runs:,}", f"{each.rule}; such as {each.example}")
            for each in totals.denials
        ]
        yield Section("Denied, by rule", ("TIMES", "SESSIONS", "RULE"), rules, numbers=(0, 1))
    if totals.unread:
        yield Section("Not counted", ("SESSION", "WHY"), [tuple(each) for each in totals.unread])


def _cost(usd: float | None) -> str:
    return "-" if usd is None else money(usd)
