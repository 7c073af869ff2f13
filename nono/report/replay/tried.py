"""Extract what the command tried, and how that was decided, from the events of a log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nono.audit.event import ACCESS_NAMED, REFUSALS, SEVERAL
from nono.audit.repeats import is_answer, repeats_in
from nono.named_tuple import NamedTuple
from nono.policy.capability import Access
from nono.str_enum import StrEnum

Fields = Mapping[str, Any]
TRIED_MAX = 20_000  # accesses counted separately
_HTTPS = 443
_CUT = "... ["  # marks a shortened text in a record (nono.audit.chain.shortened)
_UNIX = "unix:"
# Refusals that no profile decides: failed authentication, silent hosts, clients' mistakes.
_NOT_POLICY = frozenset(
    (
        "authentication_failed",
        "authentication_required",
        "intercept_handshake_failed",
        "upstream_connect_failed",
        "connect_bypasses_l7",
        "external_proxy_rejected",
        "unsupported_upgrade",
        "managed_credential_unavailable",
    )
)

NAMELESS = "Unix sockets without a path, UDP, and sockets of other families"
TOO_LONG = "paths and targets that were cut in the record"
ODD = "names that are not UTF-8, which the record spells out"
MANY = "refusals that were only counted"
FURTHER = "accesses beyond those kept apart"


class Kind(StrEnum):
    HOST = "host"
    REQUEST = "request"
    SOCKET = "socket"
    FILE = "file"


class Tried(NamedTuple):
    """One access, with everything its verdict depends on."""

    kind: Kind
    target: str  # a host, or a path
    port: int = 0
    method: str = ""
    path: str = ""
    service: str = ""  # the service whose credential or route the request used
    is_reverse: bool = False  # through the service's route, whose prefix the path has
    access: Access | None = None

    def __str__(self) -> str:
        match self.kind:
            case Kind.FILE:
                return f"{self.target} ({self.access.value if self.access else '?'})"
            case Kind.SOCKET:
                return f"unix socket {self.target}"
            case Kind.HOST:
                return f"{self.target}:{self.port}"
            case Kind.REQUEST:
                # The path of a reverse route begins with the service's name.
                path = self.path.removeprefix(f"/{self.service}") if self.is_reverse else self.path
                return f"{self.method} {self.target}:{self.port}{path}"


class Log:
    """The accesses of one log, each once, with counts of allowed and refused attempts."""

    def __init__(self) -> None:
        self.allowed: dict[Tried, int] = {}
        self.refused: dict[Tried, int] = {}
        self.unjudged: dict[str, int] = {}
        self.damaged = 0

    def feed(self, events: Iterable[Fields]) -> None:
        for event in events:
            try:
                self._take(event)
            except (KeyError, TypeError, ValueError, AttributeError):
                self.damaged += 1

    def _take(self, event: Fields) -> None:
        if event["type"] == "network":
            self._network(event["event"])
        elif event["type"] == "capability_decision":
            self._file(event["entry"])

    def _network(self, fields: Fields) -> None:
        decision = fields["decision"]
        if "credential_capture_action" in fields or fields.get("denial_category") in _NOT_POLICY:
            return
        if is_answer(fields) or (decision not in REFUSALS and decision != "allow"):
            return  # what became of a question has an event of its own
        times = repeats_in(fields)
        target = str(fields["target"])
        if target == SEVERAL:
            self._unjudged(MANY, times)
            return
        if (
            fields.get("method") == "CONNECT"
            and fields.get("mode") == "connect_intercept"
            and decision == "allow"
        ):
            return  # the requests inside have their own events
        tried = _of_network(fields, target)
        if isinstance(tried, str):
            self._unjudged(tried, times)
        elif tried is not None:
            self._add(tried, times, is_allowed=decision == "allow")

    def _file(self, entry: Fields) -> None:
        request, decision = entry["request"], entry["decision"]
        if decision == "Requested":
            return
        path, times = str(request["path"]), repeats_in(entry)
        if "\\" in path:
            self._unjudged(ODD, times)
        elif _CUT in path:
            self._unjudged(TOO_LONG, times)
        else:
            tried = Tried(Kind.FILE, path, access=ACCESS_NAMED[request["access"]])
            self._add(tried, times, is_allowed=decision == "Granted")

    def wrote(self, path: str) -> None:
        """Add a file that the run is known to have written, by its path as records spell it."""
        if "\\" in path:
            self._unjudged(ODD, 1)
        else:
            self._add(Tried(Kind.FILE, path, access=Access.WRITE), 1, is_allowed=True)

    def _add(self, tried: Tried, times: int, *, is_allowed: bool) -> None:
        known = self.allowed if is_allowed else self.refused
        if tried not in known and len(self.allowed) + len(self.refused) >= TRIED_MAX:
            self._unjudged(FURTHER, times)
        else:
            known[tried] = known.get(tried, 0) + times

    def _unjudged(self, why: str, times: int) -> None:
        self.unjudged[why] = self.unjudged.get(why, 0) + times


def _of_network(fields: Fields, target: str) -> Tried | str | None:
    """Return the access in a network event; a reason if it cannot be judged; None if there is none."""
    method, path, upstream = fields.get("method"), fields.get("path"), fields.get("upstream")
    port = fields.get("port") or 0
    if target.startswith(_UNIX):
        name = target.removeprefix(_UNIX)
        return Tried(Kind.SOCKET, name) if name.startswith("/") else NAMELESS
    if target.startswith(("family=", "udp:", "dns:")) or " " in target:
        return NAMELESS
    if not target:
        return None  # the request was malformed
    if any(isinstance(text, str) and _CUT in text for text in (target, path, upstream)):
        return TOO_LONG
    # Plain http requests have this mode too.
    is_reverse = fields.get("mode") == "reverse" and fields.get("route_id") is not None
    if upstream is not None:
        host, _, number = str(upstream).rpartition(":")
        target, port = host.strip("[]"), int(number)
    elif not port:
        if method is not None:
            return None  # no service has that name
        port = _HTTPS  # of a look-up, which names none
    service = (
        str(fields.get("route_id") or "") if fields.get("managed_credential_active") or is_reverse else ""
    )
    if method in (None, "", "CONNECT") or path is None:
        return Tried(Kind.HOST, target, port, service=service) if port else None
    return Tried(Kind.REQUEST, target, port, str(method), str(path), service, is_reverse)
