"""Add up the requests of a run from its events, for the report after the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nono.audit.event import FAILURES, SEVERAL, TOKEN_ASKED_FOR, Event
from nono.audit.outcomes import Outcome, RequestsEnded
from nono.audit.repeats import is_answer, repeats_of
from nono.named_tuple import NamedTuple

HOSTS_MAX = 64  # counted separately; a command can request any number
REASONS_MAX = 32
OTHERS = "others"
_OF_UPSTREAMS = frozenset(("refused", "reset", "unreachable", "timeout", "tls", "closed", "malformed"))


class Failed(NamedTuple):
    """A kind of failure at one host."""

    host: str
    reason: str


class Spent(NamedTuple):
    """What a run's models have used so far."""

    responses: int = 0
    input_tokens: int = 0  # including cached ones
    cached_input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None  # at list prices, of the models with a price; None: there are none


class Keys(NamedTuple):
    """What a report says of the keys of a run.

    doubts: By host: the question after an answer 401 to a request with a key.
    lacking: The remedy, where a run that can have a key has none, and no login.
    """

    doubts: Mapping[str, str] = {}
    lacking: str | None = None


class Traffic:
    """The ended requests by host and status, and what was blocked or failed."""

    def __init__(self) -> None:
        self.requests: dict[str, dict[int, int]] = {}  # by host, then status; 0: no response
        self.blocked: dict[str, int] = {}  # by host and port
        self.failed: dict[Failed, int] = {}
        self.usage: Sequence[Sequence[str]] = ()  # rows about the models' tokens
        self.keys = Keys()
        self.unauthorized: dict[str, str] = {}  # the doubts about keys that hosts have answered with 401

    @property
    def has_requests(self) -> bool:
        return bool(self.requests or self.failed)

    @property
    def counts(self) -> Mapping[str, int]:
        """Return how many requests ended, were blocked and failed."""
        return {
            "requests": sum(sum(statuses.values()) for statuses in self.requests.values()),
            "blocked": sum(self.blocked.values()),
            "failed": sum(self.failed.values()),
        }

    def note(self, event: Event) -> None:
        """Count an event of the audit log; ignore events that are not about requests."""
        if isinstance(event, RequestsEnded):
            for outcome in event.outcomes:
                self._ended(outcome)
        elif event["type"] == "network":
            fields: Event = event["event"]  # type: ignore[assignment]  # of a network event
            if fields["decision"] != "allow":
                self._refused(event, fields)

    def _ended(self, outcome: Outcome) -> None:
        host, status, failure = outcome.host, outcome.status or 0, outcome.failure
        statuses = self.requests.get(host)
        if statuses is None:
            statuses = self.requests.setdefault(_kept(host, self.requests, HOSTS_MAX, OTHERS), {})
        statuses[status] = statuses.get(status, 0) + 1
        if status == 401 and not outcome.by_proxy and host in self.keys.doubts:
            self.unauthorized[host] = self.keys.doubts[host]
        if failure is None or outcome.by_proxy:
            return
        if failure == "blocked":
            self._count_blocked(f"{host}:{outcome.port}", 1)
        elif failure in _OF_UPSTREAMS:
            self._count_failed(host, outcome.reason or failure, 1)

    def _refused(self, event: Event, fields: Event) -> None:
        category, decision = fields.get("denial_category"), fields["decision"]
        if decision == "approve_requested" or is_answer(fields) or category == TOKEN_ASKED_FOR:
            return
        if "credential_capture_action" in fields:
            return  # the request that needed the credential is refused too
        host, times = _host(fields), repeats_of(event)  # includes repeats that were only counted
        if category in FAILURES:
            self._count_failed(host, str(fields["reason"]), times)
        elif host and host != SEVERAL and not host.startswith("unix:"):
            port = fields.get("port")
            self._count_blocked(host if not port else f"{host}:{port}", times)

    def _count_blocked(self, target: str, times: int) -> None:
        target = _kept(target, self.blocked, HOSTS_MAX, OTHERS)
        self.blocked[target] = self.blocked.get(target, 0) + times

    def _count_failed(self, host: str, reason: str, times: int) -> None:
        failed = _kept(Failed(host, reason), self.failed, REASONS_MAX, Failed(OTHERS, "other reasons"))
        self.failed[failed] = self.failed.get(failed, 0) + times


def _host(fields: Event) -> str:
    """Return the host that was reached: the target of a request to a service is only the service's name."""
    upstream = fields.get("upstream")
    return str(fields["target"]) if upstream is None else str(upstream).rpartition(":")[0]


def _kept[Key](key: Key, among: Mapping[Key, object], most: int, others: Key) -> Key:
    return key if key in among or len(among) < most else others
