"""Collect the denials of a run from its audit events, for the report after the run."""

from __future__ import annotations

from collections.abc import Sequence

from nono.audit.event import FAILURES, REFUSALS, SEVERAL, TOKEN_ASKED_FOR, Event, part
from nono.audit.repeats import is_answer, repeats_of
from nono.named_tuple import NamedTuple
from nono.str_enum import StrEnum

KEPT_MAX = 100  # distinct denials; a command can make up any number


class Kind(StrEnum):
    PATH = "path"
    SOCKET = "unix_socket"
    NETWORK = "network"


class Denied(NamedTuple):
    """One denied access; repeats are equal."""

    kind: Kind
    target: str  # a path, or a host
    reason: str
    access: str | None = None  # for a path: Read, Write or ReadWrite
    port: int | None = None
    method: str | None = None  # for a request, like path
    path: str | None = None
    route: str | None = None  # the credential route the request used
    rule: str | None = None
    origin: str | None = None
    hint: str | None = None
    by: str | None = None  # the approval backend asked; None: the policy decided
    timed_out: bool = False
    is_authentic: bool = True  # False: it came without the session's token or phantom
    is_answered: bool = False  # by the proxy, whose hint names what would allow it, if anything would


_UNIX = "unix:"
# Sockets that the C library tries in any program, and can do without.
_PROBED = ("/run/nscd/", "/var/run/nscd/", "/run/systemd/userdb/", "/run/systemd/resolve/")
# The first is tried by libuv, and so by Node, which works without it. The second is tried by each systemd
# program that connects to a bus, such as systemd-inhibit, with which agents keep the machine awake. The third
# is tried by syslog(3), and by the C library for if_nametoindex(3), which Bubblewrap calls, and with it each
# agent that checks whether Bubblewrap works. The last two hear of changes of devices (udev) and of routes:
# Chromium tries both at each start.
_TRIED = (
    "io_uring_setup",
    "<abstract>",
    "socket(family=1, type=2, protocol=0)",
    "socket(family=16, type=3, protocol=15)",
    "rtnetlink",
)
# The C library probes these for if_nametoindex(3), until it gets one.
_PROBES = tuple(f"socket(family={family}, type=2, protocol=0)" for family in (1, 2, 10))
# UDP that leads out of the sandbox: tried for HTTP/3, or to learn which address this machine has.
_OUTWARD_UDP = "udp:"
# Name servers, and sockets of UDP where there are none. Some programs try one and work without, others look
# names up by it.
_LOOK_UP = "dns:"
_UDP = (_LOOK_UP, *(f"socket(family={family}, type=2," for family in (2, 10)))
# Reports of use are sent there by many programs, which work without (telemetry.nextjs.org). Wrangler asks the
# other host for values to show, and makes them up otherwise.
_OPTIONAL_HOSTS = ("telemetry.", "workers.cloudflare.com")
_NO_DENIALS = (*FAILURES, TOKEN_ASKED_FOR)  # no grant would change them


def tried_among(targets: Sequence[str]) -> frozenset[str]:
    """Return what runtimes try at each start and work without. targets: What was denied, oldest first."""
    is_probed = any(tuple(targets[at : at + len(_PROBES)]) == _PROBES for at in range(len(targets)))
    outward = (target for target in targets if target.startswith(_OUTWARD_UDP))
    return frozenset((*_TRIED, *outward, *(_PROBES if is_probed else ())))


def may_be_tried(target: str) -> bool:
    """Return True for what some programs only try, so that it may have nothing to do with a failure."""
    return target.startswith((*_UDP, *_OPTIONAL_HOSTS))


def is_look_up(target: str) -> bool:
    """Return True for a name server, which some programs ask for their own name, and work without."""
    return target.startswith(_LOOK_UP)


class Denials:
    """The denials of a run, without repeats, in order of arrival."""

    def __init__(self) -> None:
        self._kept: dict[Denied, int] = {}  # how often each was denied
        self.is_complete = True  # False: there were more than KEPT_MAX

    def note(self, event: Event) -> None:
        """Keep the denial in an audit event; ignore other events."""
        denied = _denied(event)
        if denied is None:
            return
        if denied in self._kept:
            self._kept[denied] += repeats_of(event)
            return
        if denied.kind is Kind.SOCKET and denied.target.startswith(_PROBED):
            return
        if len(self._kept) == KEPT_MAX or denied.target == SEVERAL:
            self.is_complete = False
        else:
            self._kept[denied] = repeats_of(event)

    def listed(self) -> tuple[Denied, ...]:
        return tuple(self._kept)

    def times(self, denied: Denied) -> int:
        """Return how often a listed denial occurred."""
        return self._kept[denied]


def _denied(event: Event) -> Denied | None:
    match event.get("type"):
        case "network":
            return _of_network(part(event, "event"))
        case "capability_decision":
            return _of_file(part(event, "entry"))
        case _:
            return None


def _of_network(fields: Event) -> Denied | None:
    if (
        fields["decision"] not in REFUSALS
        or is_answer(fields)
        or fields.get("denial_category") in _NO_DENIALS
        or "credential_capture_action" in fields  # the request that needed the credential is refused too
    ):
        return None
    target = str(fields["target"])
    is_socket = target.startswith(_UNIX)
    return Denied(
        Kind.SOCKET if is_socket else Kind.NETWORK,
        target.removeprefix(_UNIX),
        str(fields["reason"] or fields.get("denial_category") or "denied"),
        port=_number(fields["port"]),
        method=_text(fields["method"]),
        path=_text(fields["path"]),
        route=_text(fields.get("route_id")),
        rule=_text(fields.get("rule")),
        origin=_text(fields.get("origin")),
        hint=_text(fields.get("hint")),
        by=_text(fields.get("approval_backend")),
        timed_out=fields["decision"] == "approve_timeout" or fields.get("approval_outcome") == "timeout",
        is_authentic=fields.get("denial_category") != "authentication_failed",
        is_answered=fields["status"] is not None,
    )


def _of_file(entry: Event) -> Denied | None:
    request, decision = part(entry, "request"), entry["decision"]
    if decision == "Timeout":
        reason = "nobody answered in time"
    elif isinstance(decision, dict):
        reason = str(decision["Denied"]["reason"])
    else:
        return None
    backend = str(entry["backend"])
    return Denied(
        Kind.PATH,
        str(request["path"]),
        reason,
        access=str(request["access"]),
        by=None if backend == "policy" else backend,
        timed_out=decision == "Timeout",
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None
