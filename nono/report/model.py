"""Define the values of a report about one session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from nono.named_tuple import NamedTuple
from nono.proxy.usage.ledger import UsageTotal

FILES_MAX = 2000  # changed files listed on a page


class Endpoint(NamedTuple):
    """Requests to one host whose paths differ only in variable parts, shown as `*`."""

    method: str
    path: str
    requests: int  # allowed ones
    refused: int
    statuses: Mapping[int, int]  # count by status; 0: no response


class AllowedBy(NamedTuple):
    """A rule that let requests through."""

    rule: str
    origin: str | None  # the flag, profile or group it was written in


class Host(NamedTuple):
    """The traffic to one host and port."""

    name: str
    requests: int  # allowed requests and tunnels
    refused: int
    failed: int
    bytes_out: int
    bytes_in: int
    endpoints: tuple[Endpoint, ...]  # most frequent first
    allowed_by: tuple[AllowedBy, ...] = ()  # in the order of their first use


class CredentialUse(NamedTuple):
    """The requests that a credential was injected into."""

    service: str
    hosts: tuple[str, ...]
    requests: int
    frozen: str | None  # why later requests did not get it


class Turn(NamedTuple):
    """The usage of one agent turn. Number 0: before the first turn, or turns are unknown."""

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
    """A rule that a person added to a run's policy, or the end of one."""

    at_ms: int | None
    change: str  # added, taken_back, expired
    rule: str  # for example "allow host example.com"
    by: str


class Moment(NamedTuple):
    """An entry of the timeline: one event, or consecutive similar ones."""

    at_ms: int | None
    kind: str  # request, refused, failed, asked, answered, rule, turn, session, ...
    what: str
    times: int = 1


class FileChange(NamedTuple):
    """A file that the run changed."""

    path: str
    change: str  # created, modified, deleted, permissions
    size_delta: int | None = None
    turn: int | None = None
    diff: tuple[str, ...] = ()  # lines of a unified diff; empty: none can be shown


class Integrity(NamedTuple):
    """Whether the log is unchanged."""

    is_intact: bool
    what: str
    records: int


class Denial(NamedTuple):
    """One denied access, and the option that would allow it."""

    what: str
    why: str
    times: int
    option: str | None = None  # None: no option would, or none is suggested
    grants: str | None = None  # what the option grants beyond that access, or why none is suggested


class Session(NamedTuple):
    """A session's record, in words."""

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
    """The report about the log of one session."""

    events: int
    damaged: int  # unreadable lines
    hosts: tuple[Host, ...]  # most used first
    sockets: tuple[tuple[str, int], ...]  # connected Unix sockets, most used first
    credentials: tuple[CredentialUse, ...]
    turns: tuple[Turn, ...]
    approvals: tuple[Approval, ...]
    rules: tuple[RuleChange, ...]
    timeline: tuple[Moment, ...]
    left_out: int  # events that did not fit into the timeline
    notes: tuple[str, ...]  # unusual events
    prices_of: str  # year and month
    later: tuple[RunsLater, ...] = ()  # files that git outside will run, as the run itself found

    @property
    def usage(self) -> tuple[UsageTotal, ...]:
        """Return the usage of all turns, by service and model."""
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
    """Return the cost of the models with a known price; None if there are none."""
    costs = [each.cost_usd for each in usage if each.cost_usd is not None]
    return sum(costs) if costs else None


class Page(NamedTuple):
    """Everything shown about one session."""

    session: Session
    report: Report
    denials: tuple[Denial, ...]
    files: tuple[FileChange, ...] | None  # None: changes were not kept
    later: tuple[RunsLater, ...]
    integrity: Integrity
