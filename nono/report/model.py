"""The values of a report about one session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from nono.named_tuple import NamedTuple
from nono.proxy.usage.ledger import UsageTotal

FILES_MAX = 2000  # changes of files that a page lists


class Endpoint(NamedTuple):
    """Requests to one host that are alike: variable parts of the path are `*`."""

    method: str
    path: str
    requests: int  # that were let through
    refused: int
    statuses: Mapping[int, int]  # how they were answered; 0: not at all


class Host(NamedTuple):
    """What went to one host and port."""

    name: str
    requests: int  # requests and tunnels that were let through
    refused: int
    failed: int
    bytes_out: int
    bytes_in: int
    endpoints: tuple[Endpoint, ...]  # the most frequent first


class CredentialUse(NamedTuple):
    """The requests that a credential was put into."""

    service: str
    hosts: tuple[str, ...]
    requests: int
    frozen: str | None  # why no later request got it


class Turn(NamedTuple):
    """What one turn of an agent has used. Number 0: before the first one, or no turns are known."""

    number: int
    at_ms: int | None
    requests: int
    usage: tuple[UsageTotal, ...]


class Approval(NamedTuple):
    """One answer to a question."""

    at_ms: int | None
    what: str
    answer: Literal["granted", "denied", "timeout", "error"]
    by: str
    reason: str | None


class RuleChange(NamedTuple):
    """A rule that a person has laid over the policy of a run, or the end of one."""

    at_ms: int | None
    change: str  # added, taken_back, expired
    rule: str  # such as "allow host example.com"
    by: str


class Moment(NamedTuple):
    """An entry of the timeline: an event, or several alike that follow each other."""

    at_ms: int | None
    kind: str  # request, refused, failed, asked, answered, rule, turn, session, ...
    what: str
    times: int = 1


class FileChange(NamedTuple):
    """A file that the run has changed."""

    path: str
    change: str  # created, modified, deleted, permissions
    size_delta: int | None = None
    turn: int | None = None
    diff: tuple[str, ...] = ()  # lines of a unified diff; empty: none can be shown


class Integrity(NamedTuple):
    """Whether the log is as it was written."""

    is_intact: bool
    what: str
    records: int


class Denial(NamedTuple):
    """One denied access, and the option that would allow it."""

    what: str
    why: str
    times: int
    option: str | None = None  # None: none would, or none is offered
    grants: str | None = None  # what the option grants beyond that access, or why none is offered


class Session(NamedTuple):
    """What the record of a session says, in words."""

    id: str
    name: str
    command: str
    workdir: str
    profile: str
    network: str
    status: str
    why: str  # it ended; empty: it runs
    started_ms: int
    ended_ms: int | None


class RunsLater(NamedTuple):
    """A changed file that a program outside the sandbox will run or obey."""

    path: str
    reason: str


class Report(NamedTuple):
    """Everything that the log of one session comes to."""

    events: int
    damaged: int  # lines that could not be understood
    hosts: tuple[Host, ...]  # the most used first
    sockets: tuple[tuple[str, int], ...]  # Unix sockets that were connected to, the most used first
    credentials: tuple[CredentialUse, ...]
    turns: tuple[Turn, ...]
    approvals: tuple[Approval, ...]
    rules: tuple[RuleChange, ...]
    timeline: tuple[Moment, ...]
    left_out: int  # moments beyond those of the timeline
    notes: tuple[str, ...]  # what was not as usual
    prices_of: str  # year and month
    later: tuple[RunsLater, ...] = ()  # what the run itself found that git outside will run

    @property
    def usage(self) -> tuple[UsageTotal, ...]:
        """Return what all turns have used together, by service and model."""
        found: dict[tuple[str, str], UsageTotal] = {}
        for turn in self.turns:
            for each in turn.usage:
                key = (each.credential, each.model)
                found[key] = united(found[key], each) if key in found else each
        return tuple(found[key] for key in sorted(found))


def united(first: UsageTotal, second: UsageTotal) -> UsageTotal:
    """Add up the usage of one model."""
    costs = [each.cost_usd for each in (first, second) if each.cost_usd is not None]
    return first._replace(
        responses=first.responses + second.responses,
        input_tokens=first.input_tokens + second.input_tokens,
        cached_input_tokens=first.cached_input_tokens + second.cached_input_tokens,
        output_tokens=first.output_tokens + second.output_tokens,
        cost_usd=sum(costs) if costs else None,
    )


def cost_of(usage: tuple[UsageTotal, ...]) -> float | None:
    """Return what the models cost that have a price; None if none has."""
    costs = [each.cost_usd for each in usage if each.cost_usd is not None]
    return sum(costs) if costs else None


class Page(NamedTuple):
    """All that is shown of one session."""

    session: Session
    report: Report
    denials: tuple[Denial, ...]
    files: tuple[FileChange, ...] | None  # None: what the run has changed was not kept
    later: tuple[RunsLater, ...]
    integrity: Integrity
