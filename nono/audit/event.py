"""The events of the audit log, as plain dictionaries whose field order is hashed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, cast

from nono.clock import rfc3339, unix_ms
from nono.named_tuple import NamedTuple

Event = dict[str, object]
TIME = "timestamp_unix_ms"  # of a network event, its first field
OF_INSTRUCTIONS = "instruction file: "  # before the reason of an open that no grant would let pass
SEVERAL = "<several>"  # target of a record for more kinds of refusals than were kept apart

NetworkEventMode = Literal["connect", "connect_intercept", "reverse", "external"]
DenialCategory = Literal[
    "authentication_failed",
    "authentication_required",
    "endpoint_policy",
    "managed_credential_unavailable",
    "host_denied",
    "intercept_handshake_failed",
    "upstream_connect_failed",
    "connect_bypasses_l7",
    "external_proxy_rejected",
    "unsupported_upgrade",
]
NetworkDecision = Literal[
    "allow",
    "deny",
    "approve_requested",
    "approve_granted",
    "approve_denied",
    "approve_timeout",
    "approve_error",
]
Failure = Literal[
    "refused",  # the upstream's machine takes no connection at that port
    "reset",
    "unreachable",
    "timeout",
    "tls",
    "closed",  # before the response was complete
    "malformed",
    "client",  # it went away, or broke its request off
    "blocked",  # by the proxy, after the request was recorded
    "proxy",  # a fault of it
]
CapabilityDecision = Literal["Requested", "Granted", "Timeout"] | dict[Literal["Denied"], dict[str, str]]
FileAccess = Literal["Read", "Write", "ReadWrite"]
CaptureAction = Literal[
    "captured",
    "cache_hit",
    "spawn_failed",
    "wait_failed",
    "timeout",
    "output_too_large",
    "command_failed",
    "collect_failed",
    "empty_stdout",
    "non_utf8_stdout",
    "invalid_json_output",
]


class Recorder(Protocol):
    """Records an event, and has written it when the call returns.

    Raises OSError if it could not; the verdict the event describes is then not carried out.
    """

    def __call__(self, event: Event, /) -> None: ...


def session_started(command: list[str], redaction_policy: Mapping[str, list[str]] = {}) -> Event:
    """Start a session. `command` is argv, already redacted.

    `redaction_policy` holds its difference from the usual redaction, if any.
    """
    started: Event = {"type": "session_started", "started": rfc3339(), "command": command}
    return {**started, "redaction_policy": dict(redaction_policy)} if redaction_policy else started


def run_options(options: Mapping[str, object], left_out: Sequence[str]) -> Event:
    """State the options that say what the command may do, by name, for who judges the run again.

    left_out: Flags of which a value may be secret.
    """
    return {"type": "run_options", "options": dict(options), "left_out": list(left_out)}


def session_ended(exit_code: int, end: Mapping[str, str | None] | None = None) -> Event:
    """End a session. `end` says why, and who ended it, as its record does; None: a standalone proxy."""
    ended: Event = {"type": "session_ended", "ended": rfc3339(), "exit_code": exit_code}
    return ended if end is None else {**ended, "end": dict(end)}


def terminal_shown(is_attached: bool) -> Event:
    """Report that somebody attached to the terminal of the session, or has left it."""
    return {"type": "terminal_shown", "at": rfc3339(), "attached": is_attached}


def enforced_by(rung: str) -> Event:
    """Name the rung, of the ladder in ARCHITECTURE.md, that holds a proxy-only run to its proxy."""
    return {"type": "enforced_by", "rung": rung}


def instruction_files(
    root: str, enforcement: str, policy: str, files: Sequence[Mapping[str, str | None]], is_refused: bool
) -> Event:
    """Report what the check of a project's instruction files came to, before the command.

    policy: Whose word the project's trust policy is. files: path, status, sha256, signer and reason of each.
    """
    return {
        "type": "instruction_files",
        "at": rfc3339(),
        "root": spelled(root),
        "enforcement": enforcement,
        "policy": policy,
        "refused": is_refused,
        "files": [{**each, "path": spelled(each["path"] or "")} for each in files],
    }


def instructions_unchecked(root: str) -> Event:
    """Report that --trust-override has left out the check of the instruction files below `root`."""
    return {"type": "instructions_unchecked", "at": rfc3339(), "root": spelled(root)}


def flows_recorded(path: str) -> Event:
    """Name the file to which --record-flows writes the exchanges of a run, an absolute path."""
    return {"type": "flows_recorded", "at": rfc3339(), "path": spelled(path)}


def package_used(name: str, tree: str, sha256: str) -> Event:
    """Report a package, fetched by npx or uvx, of which the command has read files.

    sha256: Of the digests of all its files, when the command had ended.
    """
    used: Event = {"type": "package_used", "at": rfc3339()}
    return {**used, "name": spelled(name), "path": spelled(tree), "sha256": sha256}


def resource_limits(memory_bytes: int | None, max_processes: int | None) -> Event:
    """State the limits shared by the command and everything it starts; None: no limit."""
    return {"type": "resource_limits", "memory_bytes": memory_bytes, "max_processes": max_processes}


PolicyChange = Literal["added", "taken_back", "expired"]


def policy_changed(
    change: PolicyChange, decision: str, kind: str, target: str, by: str, expires_unix_ms: int | None
) -> Event:
    """Report a rule that a person has laid over the policy of a run, or the end of one.

    by: Who did it. expires_unix_ms: When a rule that is added ends by itself; None: with the session.
    """
    return {
        "type": "policy_changed",
        "at": rfc3339(),
        "change": change,
        "decision": decision,
        "kind": kind,
        "target": spelled(target),
        "by": by,
        "expires_unix_ms": expires_unix_ms,
    }


def repository_changed(
    path: str, what: Literal["settings", "hooks"], names: Sequence[str], count: int
) -> Event:
    """Report that git outside will run something else now, because of what the command wrote.

    path: The file of the settings, or the directory of the hooks. names: Of these, the first of `count`.
    """
    changed: Event = {"type": "repository_changed", "at": rfc3339(), "path": spelled(path), "what": what}
    return {**changed, "names": [*map(spelled, names)], "count": count}


def snapshot_taken(number: int, kind: str, files: int, merkle_root: str) -> Event:
    """Report a snapshot that undo keeps. `merkle_root`: over path and content of each of the `files`."""
    taken: Event = {"type": "snapshot_taken", "number": number, "kind": kind}
    return {**taken, "files": files, "merkle_root": merkle_root}


def limit_reached(limit: Literal["memory", "processes"], times: int) -> Event:
    """Report that the kernel killed processes for memory, or refused to start some, this many `times`."""
    return {"type": "limit_reached", "limit": limit, "times": times}


def masked(path: str, origin: str) -> Event:
    """Report a mount over a denied path in a granted directory; `origin` is that of the denial."""
    return {"type": "masked", "path": path, "origin": origin}


def session_hook(
    hook: Literal["before", "after"],
    script: str,
    exit_status: int | None,
    duration_ms: int,
    problem: str | None,
    variables: list[str],
    output: str | None,
) -> Event:
    """Report a program of the person's that ran outside the sandbox.

    exit_status: -N: ended by signal N; None: it was not started.
    problem, output: What went wrong, and the end of what it printed then, already redacted.
    variables: Names that it has added to the command's environment.
    """
    ran: Event = {"type": "session_hook", "at": rfc3339(), "hook": hook, "script": spelled(script)}
    ran |= {"exit_status": exit_status, "duration_ms": duration_ms, "variables": variables}
    return ran if problem is None else {**ran, "problem": problem, "output": output}


def variables_withheld(rules: Mapping[str, str]) -> Event:
    """Report the secrets of the caller's environment kept from the command: names, each with its rule."""
    variables = [{"name": name, "rule": rule} for name, rule in rules.items()]
    return {"type": "variables_withheld", "variables": variables}


def not_enforced(what: str) -> Event:
    """Report a part of the policy this kernel does not enforce on the run."""
    return {"type": "not_enforced", "what": what}


def network(
    *,
    mode: NetworkEventMode,
    decision: NetworkDecision,
    target: str,
    port: int | None = None,
    method: str | None = None,
    path: str | None = None,
    status: int | None = None,
    reason: str | None = None,
    route_id: str | None = None,
    auth_mechanism: str | None = None,
    auth_outcome: Literal["succeeded", "failed"] | None = None,
    managed_credential_active: bool | None = None,
    injection_mode: str | None = None,
    denial_category: DenialCategory | None = None,
    approval_backend: str | None = None,
    upstream: str | None = None,
    rule: str | None = None,
    origin: str | None = None,
    hint: str | None = None,
    repeats: int | None = None,
) -> Event:
    """One network decision. Optional fields are left out when None; the last five are always there.

    `rule` and `origin` name the deciding rule and where it was written, `hint` the smallest grant that would
    change the decision. `repeats` counts identical refusals covered by this line, because a child repeated
    them faster than a person could read.
    """
    optional: Event = {
        "route_id": route_id,
        "auth_mechanism": auth_mechanism,
        "auth_outcome": auth_outcome,
        "managed_credential_active": managed_credential_active,
        "injection_mode": injection_mode,
        "denial_category": denial_category,
        "approval_backend": approval_backend,
        "rule": rule,
        "origin": origin,
        "hint": hint,
        "repeats": repeats,
    }
    fields: Event = {TIME: unix_ms(), "mode": mode, "decision": decision}
    fields |= {name: value for name, value in optional.items() if value is not None}
    fields["target"] = target
    if upstream is not None:
        fields["upstream"] = upstream
    fields |= {"port": port, "method": method, "path": path, "status": status, "reason": reason}
    return {"type": "network", "event": fields}


class Recurring:
    """A network event recorded repeatedly, identical but for its time. Hashed by identity."""

    __slots__ = ("event",)

    def __init__(self, event: Event) -> None:
        self.event = event


class Again(Event):
    """A recurring event happening now: an ordinary event, most of whose text the encoder may have cached.

    `sequence` is its number in the log, once it has been written to one.
    """

    __slots__ = ("recurring", "sequence", "unix_ms")

    def __init__(self, recurring: Recurring) -> None:
        self.recurring = recurring
        self.sequence: int | None = None
        self.unix_ms = unix_ms()
        # The recurring event already has a time, so the key keeps its place in front.
        fields = {**cast(Event, recurring.event["event"]), TIME: self.unix_ms}
        super().__init__(type="network", event=fields)


class Outcome(Protocol):
    """How a request or tunnel ended that was recorded when it began, as RequestsEnded reports it."""

    @property
    def number(self) -> int | None:
        """That of the record of its beginning; None without a log."""
        ...

    @property
    def host(self) -> str:
        """The one that was reached."""
        ...

    @property
    def port(self) -> int: ...

    @property
    def status(self) -> int | None:
        """What the client was answered; None if nothing."""
        ...

    @property
    def by_proxy(self) -> bool:
        """True if the proxy answered in place of the upstream, which has a record of its own."""
        ...

    @property
    def sent(self) -> int:
        """Bytes of the body as they went to the upstream; of a tunnel, all bytes."""
        ...

    @property
    def received(self) -> int: ...

    @property
    def duration_ms(self) -> int: ...

    @property
    def failure(self) -> Failure | None:
        """What has ended it, if not its response."""
        ...

    @property
    def reason(self) -> str | None: ...


OUTCOME_COLUMNS = ("request", "status", "bytes_out", "bytes_in", "ms", "failure", "reason", "by_proxy")


class RequestsEnded(Event):
    """Several outcomes in one record, a row for each: to hash and write a record of its own takes longer.

    All else about a request is in the record of its beginning. A row ends behind `ms` if nothing failed.
    """

    __slots__ = ("outcomes",)

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self.outcomes = outcomes
        rows = [*map(_row, outcomes)]
        fields = {"type": "requests_ended", TIME: unix_ms(), "columns": OUTCOME_COLUMNS, "requests": rows}
        super().__init__(fields)


def _row(outcome: Outcome) -> list[object]:
    row: list[object] = [
        outcome.number, outcome.status, outcome.sent, outcome.received, outcome.duration_ms
    ]  # fmt: skip
    return row if outcome.failure is None else [*row, outcome.failure, outcome.reason, outcome.by_proxy]


def outcome_rows(event: Mapping[str, object]) -> list[dict[str, object]]:
    """Return the outcomes in a record of requests_ended, which may be damaged, by their columns."""
    columns, rows = event.get("columns"), event.get("requests")
    if not isinstance(columns, list | tuple) or not isinstance(rows, list):
        return []
    return [dict(zip(map(str, columns), row, strict=False)) for row in rows if isinstance(row, list)]


def capability_decision(
    request: Event, decision: CapabilityDecision, backend: str, duration_ms: int
) -> Event:
    """The decision on access the command was not granted: requested, and answered by `backend`."""
    now_ms = unix_ms()
    entry = {
        "timestamp": {"secs_since_epoch": now_ms // 1000, "nanos_since_epoch": now_ms % 1000 * 1_000_000},
        "request": request,
        "decision": decision,
        "backend": backend,
        "duration_ms": duration_ms,
    }
    return {"type": "capability_decision", "entry": entry}


class Unasked(NamedTuple):
    """Access to a path beyond the grants, decided without asking anybody."""

    path: str
    access: FileAccess
    reason: str  # of the refusal, or the purpose if granted
    is_granted: bool = False


class UnaskedDecision(Event):
    """The event of an Unasked: a capability decision with backend "policy". `repeats` as in network()."""

    __slots__ = ("unasked",)

    def __init__(self, unasked: Unasked, repeats: int | None = None) -> None:
        self.unasked = unasked
        decision: CapabilityDecision = {"Denied": {"reason": unasked.reason}}
        why = "the command opens a file beyond its grants"
        if unasked.is_granted:
            decision, why = "Granted", unasked.reason
        request: Event = {
            "capability_type": "capability",
            "request_id": "",
            "path": spelled(unasked.path),
            "access": unasked.access,
            "reason": why,
        }
        super().__init__(capability_decision(request, decision, "policy", 0))
        if repeats is not None:
            cast(Event, self["entry"])["repeats"] = repeats


def spelled(path: str) -> str:
    """Return a path as valid UTF-8: undecodable bytes, surrogates in Python, become ``\\xNN``."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class CaptureRun(NamedTuple):
    """The course of a capture command; fields that are None are unknown and left out of the event."""

    duration_ms: int
    exit_status: int | None = None  # -N: killed by signal N
    stdout_bytes: int | None = None
    stderr: str | None = None  # already redacted
    header_names: tuple[str, ...] | None = None
    problem: str | None = None  # None: it printed a credential


def credential_capture(
    *,
    action: CaptureAction,
    name: str,
    command: str,
    argv: tuple[str, ...],
    cache_scope: str,
    output_format: Literal["text", "json"],
    stdin_mode: Literal["null", "request_json"],
    route_id: str,
    upstream: str,
    port: int,
    method: str,
    path: str,
    run: CaptureRun | None = None,
) -> Event:
    """Report that a command was asked for a credential, or its cached answer used (`run` is None then).

    command: the program that ran.
    argv, path: already redacted.

    It is a network event whose mode is always ``reverse``: a credential does not learn on which way the
    request came, and the record of the request itself states it.
    """
    captured = action in ("captured", "cache_hit")
    about: Event = {"action": action, "name": name, "command": command, "argv": argv}
    if run is not None:
        about |= {
            "exit_status": run.exit_status,
            "duration_ms": run.duration_ms,
            "stdout_bytes": run.stdout_bytes,
            "stderr": run.stderr,
        }
    about |= {"cache_scope": cache_scope, "output_format": output_format}
    if run is not None:
        about["header_names"] = run.header_names
    about |= {"stdin_mode": stdin_mode, "interactive": False}
    fields: Event = {
        "timestamp_unix_ms": unix_ms(),
        "mode": "reverse",
        "decision": "allow" if captured else "deny",
        "route_id": route_id,
        "managed_credential_active": captured,
    }
    if not captured:
        fields["denial_category"] = "managed_credential_unavailable"
    fields |= {f"credential_capture_{key}": value for key, value in about.items() if value is not None}
    fields |= {"target": route_id, "upstream": upstream, "port": port, "method": method, "path": path}
    fields |= {"status": None, "reason": run.problem if run is not None else None}
    return {"type": "network", "event": fields}


def audit_budget_reached(budget_bytes: int) -> Event:
    """Report that the log is as large as it may be: from here on no action is carried out."""
    return {"type": "audit_budget_reached", "at": rfc3339(), "budget_bytes": budget_bytes}


def audit_unrecorded(refusals: int) -> Event:
    """Count the refusals, and the statements of usage, that followed a log that had reached its budget."""
    return {"type": "audit_unrecorded", "refusals": refusals}


def is_action(event: Event) -> bool:
    """Return True for an event that must be in the log, or what it describes may not happen."""
    match event["type"]:
        case "network":
            fields = cast(Event, event["event"])
            return "repeats" not in fields and fields["decision"] in _ACTIONS
        case "capability_decision":
            entry = cast(Event, event["entry"])
            return "repeats" not in entry and entry["decision"] in ("Requested", "Granted")
        case _:
            return False


_ACTIONS = ("allow", "approve_requested", "approve_granted")
_REPEATABLE = (
    "network", "capability_decision", "model_usage", "credential_frozen", "turn_began", "turn_unclear",
    "turn_marked",
)  # fmt: skip


def repeats_of(event: Event) -> int:
    """Return how many decisions one event stands for."""
    fields = event.get("event") or event.get("entry")
    repeats = cast(Event, fields).get("repeats") if fields is not None else None
    return repeats if isinstance(repeats, int) else 1


def is_repeatable(event: Event) -> bool:
    """Return True for an event of which the command can cause any number."""
    return event["type"] in _REPEATABLE


def credential_frozen(service: str, why: str) -> Event:
    """Report the tripwire: no later request of this run gets the credential of `service`."""
    return {"type": "credential_frozen", "at": rfc3339(), "service": service, "why": why}


def turn_began(turn: int, service: str, model: str, request: int | None) -> Event:
    """Report that a person's message went to a model: what follows belongs to this turn.

    turn: Counted from 1. request: The number of the record of the request; None without one.
    """
    began: Event = {"type": "turn_began", TIME: unix_ms(), "turn": turn, "service": service}
    return {**began, "model": model, "request": request}


def turn_marked(turn: int, snapshot: int, changed: int, ms: int) -> Event:
    """Report the snapshot that undo took before a turn, and how many paths had changed since the last."""
    marked: Event = {"type": "turn_marked", TIME: unix_ms(), "turn": turn, "snapshot": snapshot}
    return {**marked, "changed": changed, "ms": ms}


def turn_unclear(service: str, reason: str, request: int | None) -> Event:
    """Report a request to a model that may have begun a turn. Recorded once for each reason."""
    unclear: Event = {"type": "turn_unclear", TIME: unix_ms(), "service": service}
    return {**unclear, "reason": reason, "request": request}


def model_usage(
    service: str,
    *,
    model: str,
    input_tokens: int,
    cached_input_tokens: int,
    output_tokens: int,
    turn: int | None = None,
    request: int | None = None,
) -> Event:
    """Report the usage that one response of a language model states.

    turn: The one in which its request was sent; None before the first.
    request: The number of the record of its request; None without one.
    """
    return {
        "type": "model_usage",
        "at": rfc3339(),
        "service": service,
        "model": model,
        "input_tokens": input_tokens,
        "cached_input_tokens": cached_input_tokens,
        "output_tokens": output_tokens,
        "turn": turn,
        "request": request,
    }
