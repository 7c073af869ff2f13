"""Define one rule that a person adds to a run's policy while it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast, get_args

from nono.errors import UsageError
from nono.named_tuple import NamedTuple
from nono.policy.capability import Access
from nono.policy.endpoints.entry import parse_allow_endpoint
from nono.policy.endpoints.policy import EndpointRule
from nono.policy.hosts.host_filter import HostError, HostRule, parse_rule
from nono.policy.live.port_target import PortTarget, parse_port_target
from nono.printable import shell_word

Decision = Literal["allow", "deny"]
Kind = Literal["host", "endpoint", "path", "port", "socket"]
_KINDS = get_args(Kind)
# Of POST /v1/rules. With another one ignored, a rule could last longer or reach further than was meant.
_FIELDS = frozenset({"decision", "kind", "target", "writes", "for_s"})
TARGET_MAX = 4096
FOR_MAX_S = 366 * 86_400


class Wanted(NamedTuple):
    """A rule as requested."""

    decision: Decision
    kind: Kind
    target: (
        str  # a host as in --allow-domain, an endpoint as in --allow-endpoint, a port, or an absolute path
    )
    access: Access  # to a path: for reading, or for both; to a socket: connect, or bind as well
    for_s: int | None  # None: until the session ends


class LiveRule(NamedTuple):
    """A rule in force."""

    id: str
    decision: Decision
    kind: Kind
    target: str  # canonical
    access: Access
    by: str  # the person who added it
    made_unix_ms: int
    expires_unix_ms: int | None

    @property
    def origin(self) -> str:
        """The name that messages show where other rules name their flag or profile."""
        return f"nono {self.decision}, by {self.by}"

    @property
    def document(self) -> Mapping[str, object]:
        """Return it as JSON values."""
        return {**self._asdict(), "access": self.access.value}

    @property
    def host_rule(self) -> HostRule:
        rule = parse_rule(self.target, self.origin)
        return rule._replace(lift=self._lift)

    @property
    def port_target(self) -> PortTarget:
        return parse_port_target(self.target)

    @property
    def endpoint(self) -> tuple[str, EndpointRule]:
        """The service and its endpoint rule."""
        service, rule = parse_allow_endpoint(self.target)
        return service, EndpointRule(rule.method, rule.path, lift=self._lift)

    @property
    def _lift(self) -> str:
        """The command that takes the rule back."""
        return f"nono {self.decision} {shell_word(self.target)} --undo"


def parse_wanted(document: Mapping[str, object]) -> Wanted:
    """Parse the body of POST /v1/rules. Raises ValueError that names the mistake."""
    if unknown := document.keys() - _FIELDS:
        raise ValueError(f"no such field: {min(unknown)!a}")
    decision, kind, target = document.get("decision"), document.get("kind"), document.get("target")
    for_s, writes = document.get("for_s"), document.get("writes", False)
    if decision != "allow" and decision != "deny":
        raise ValueError('"decision" is allow or deny')
    if kind not in _KINDS:
        raise ValueError('"kind" is host, endpoint, path, port or socket')
    kind = cast(Kind, kind)
    if not isinstance(writes, bool):
        raise ValueError('"writes" is true or false')
    if not isinstance(target, str) or not 0 < len(target) <= TARGET_MAX:
        raise ValueError(f'"target" is a text of at most {TARGET_MAX} characters')
    if for_s is not None and (
        not isinstance(for_s, int) or isinstance(for_s, bool) or not 0 < for_s <= FOR_MAX_S
    ):
        raise ValueError('"for_s" is a number of seconds, up to a year')
    access = Access.READWRITE if writes or decision == "deny" else Access.READ
    return Wanted(decision, kind, _canonical(kind, target), access, for_s)


def _canonical(kind: Kind, target: str) -> str:
    if kind == "host":
        try:
            return str(parse_rule(target, ""))
        except HostError as error:
            raise ValueError(f"{target!a} is not a host: {error}") from error
    if kind == "endpoint":
        try:
            service, rule = parse_allow_endpoint(target)
        except UsageError as error:
            raise ValueError(error.message) from error
        return f"{service}:{rule.method.upper()}:{rule.path}"
    if kind == "port":
        return str(parse_port_target(target))
    if not target.startswith("/") or "\0" in target:
        raise ValueError(f"{target!a} is not an absolute path")
    path = target.rstrip("/") or "/"
    # Paths are compared by their text: a denial of another spelling would be in force and deny nothing.
    if any(part in ("", ".", "..") for part in path[1:].split("/")) and path != "/":
        raise ValueError(f"{target!a} is not spelled as the kernel spells it: leave out '.', '..' and '//'")
    return path
