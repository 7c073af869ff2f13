"""Add up the reports of several sessions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from nono.launch.denials import Denials, Denied
from nono.named_tuple import NamedTuple
from nono.proxy.usage.ledger import UsageTotal
from nono.report.model import Report, Session, cost_of, united

HOSTS_MAX = 500
RULES_MAX = 200
OTHERS = "others"


class Past(NamedTuple):
    """One session and its report."""

    session: Session
    report: Report
    denials: Denials
    day: str  # of its start, local
    end: str  # how it ended: exited(0), stopped, running, ...


class Day(NamedTuple):
    """The sum of the sessions that started on one day."""

    day: str
    runs: int
    requests: int
    tokens: int
    cost_usd: float | None


class HostTotal(NamedTuple):
    """The traffic of all sessions to one host."""

    name: str
    runs: int
    requests: int
    refused: int
    failed: int


class RuleTotal(NamedTuple):
    """The denials of one rule in all sessions."""

    rule: str
    times: int
    runs: int
    example: str


class Unread(NamedTuple):
    """A session whose log could not be read."""

    session: str
    why: str


class Totals(NamedTuple):
    """The sum of many sessions."""

    runs: int
    ends: tuple[tuple[str, int], ...]  # most frequent first
    days: tuple[Day, ...]  # oldest first
    hosts: tuple[HostTotal, ...]  # most used first
    models: tuple[UsageTotal, ...]
    denials: tuple[RuleTotal, ...]  # most frequent first
    unread: tuple[Unread, ...]
    prices_of: str

    @property
    def cost_usd(self) -> float | None:
        return cost_of(self.models)


def total(past: Iterable[Past], unread: Sequence[Unread], prices_of: str) -> Totals:
    """Add up the sessions.

    past: Read one by one, so that many fit into memory.
    unread: May grow while `past` is read.
    """
    ends = Counter[str]()
    days: dict[str, Day] = {}
    hosts: dict[str, HostTotal] = {}
    passed = set[str]()  # hosts that a request was allowed to
    models: dict[tuple[str, str], UsageTotal] = {}
    rules: dict[str, RuleTotal] = {}
    for each in past:
        ends[each.end] += 1
        usage = each.report.usage
        _add_day(days, each, usage)
        _add_hosts(hosts, passed, each.report)
        for model in usage:
            key = (model.credential, model.model)
            models[key] = united(models[key], model) if key in models else model
        _add_denials(rules, each.denials)
    return Totals(
        sum(ends.values()) + len(unread),
        tuple(sorted(ends.items(), key=lambda pair: (-pair[1], pair[0]))),
        tuple(days[day] for day in sorted(days)),
        tuple(sorted(hosts.values(), key=lambda host: (-host.requests, -host.refused, host.name))),
        tuple(models[key] for key in sorted(models)),
        tuple(sorted(rules.values(), key=lambda rule: (-rule.times, rule.rule))),
        tuple(unread),
        prices_of,
    )


def _add_day(days: dict[str, Day], past: Past, usage: tuple[UsageTotal, ...]) -> None:
    known = days.get(past.day, Day(past.day, 0, 0, 0, None))
    costs = [cost for cost in (known.cost_usd, cost_of(usage)) if cost is not None]
    days[past.day] = known._replace(
        runs=known.runs + 1,
        requests=known.requests + sum(host.requests for host in past.report.hosts),
        tokens=known.tokens + sum(each.input_tokens + each.output_tokens for each in usage),
        cost_usd=sum(costs) if costs else None,
    )


def _add_hosts(hosts: dict[str, HostTotal], passed: set[str], report: Report) -> None:
    """Add the hosts of a session. What passed has places that nothing refused can take."""
    counted = set[str]()
    for host in report.hosts:
        is_listed = host.name in hosts or len(passed if host.requests else hosts) < HOSTS_MAX
        name = host.name if is_listed else OTHERS
        if host.requests and name != OTHERS:
            passed.add(name)
        known = hosts.get(name, HostTotal(name, 0, 0, 0, 0))
        hosts[name] = HostTotal(
            name,
            known.runs + (name not in counted),
            known.requests + host.requests,
            known.refused + host.refused,
            known.failed + host.failed,
        )
        counted.add(name)


def _add_denials(rules: dict[str, RuleTotal], denials: Denials) -> None:
    counts = Counter[str]()
    examples: dict[str, str] = {}
    for denied in denials.listed():
        rule = _rule(denied)
        counts[rule] += denials.times(denied)
        examples.setdefault(rule, denied.target)
    counted = set[str]()
    for rule, times in counts.items():
        name = rule if rule in rules or len(rules) < RULES_MAX else OTHERS
        known = rules.get(name, RuleTotal(name, 0, 0, examples[rule]))
        runs = known.runs + (name not in counted)
        rules[name] = known._replace(times=known.times + times, runs=runs)
        counted.add(name)


def _rule(denied: Denied) -> str:
    """Return the rule that denied, or the reason if no rule is named."""
    if denied.rule is None:
        return f"{denied.kind}: {denied.reason.replace(denied.target, '...')}"
    return denied.rule if denied.origin is None else f"{denied.rule} ({denied.origin})"
