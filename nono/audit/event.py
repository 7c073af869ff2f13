"""Build the events of the audit log: plain dictionaries whose field order is hashed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nono.clock import rfc3339, unix_ms
from nono.named_tuple import NamedTuple
from nono.policy.capability import Access
from nono.printable import spelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, Protocol
else:
    Protocol = object

Event = dict[str, object]
TIME = "timestamp_unix_ms"  # the first field of a network event
OF_INSTRUCTIONS = "instruction file: "  # prefix of the reason for an open(2) that no grant would allow
SEVERAL = "<several>"  # target of a record for more kinds of refusals than are recorded separately

# Denials that are failures of an upstream or of a client's handshake, not decisions of a rule.
FAILURES = ("upstream_connect_failed", "external_proxy_rejected", "intercept_handshake_failed")
WITHDRAWN = "the question was withdrawn"  # before an answer: whoever waited for it is gone
TOKEN_ASKED_FOR = "authentication_required"  # of a client that sends the token only when asked, such as git

type NetworkEventMode = Literal["connect", "connect_intercept", "reverse", "external"]
type DenialCategory = Literal[
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
type RepositoryChange = Literal[
    "settings",
    "hooks",
    "removed_settings",
    "removed_hooks",
    "steps",
    "redirected",
    "worktree",
    "exposed",
    "rerouted",
    "unreadable",
]
type NetworkDecision = Literal[
    "allow",
    "deny",
    "approve_requested",
    "approve_granted",
    "approve_denied",
    "approve_timeout",
    "approve_error",
]
REFUSALS = frozenset(("deny", "approve_denied", "approve_timeout", "approve_error"))  # of these
type Failure = Literal[
    "refused",  # the upstream's machine accepts no connection on that port
    "reset",
    "unreachable",
    "timeout",
    "tls",
    "closed",  # before the response was complete
    "malformed",
    "client",  # the client went away, or broke off its request
    "blocked",  # by the proxy, after the request was recorded
    "proxy",  # a fault of the proxy
]
type CapabilityDecision = Literal["Requested", "Granted", "Timeout"] | dict[Literal["Denied"], dict[str, str]]
type FileAccess = Literal["Read", "Write", "ReadWrite"]
FILE_ACCESS: Mapping[Access, FileAccess] = {
    Access.READ: "Read",
    Access.WRITE: "Write",
    Access.READWRITE: "ReadWrite",
}
ACCESS_NAMED: Mapping[str, Access] = {name: access for access, name in FILE_ACCESS.items()}


def part(event: Event, name: str) -> Event:
    """Return the dictionary that an event holds under `name`."""
    fields = event[name]
    assert isinstance(fields, dict)
    return fields


class Recorder(Protocol):
    """Record an event; it is written when the call returns.

    Raises OSError if it cannot be written; the verdict that the event describes is then not carried out.
    """

    def __call__(self, event: Event, /) -> None: ...


def session_started(command: list[str], redaction_policy: Mapping[str, list[str]] = {}) -> Event:
    """Start a session. `command` is argv, already redacted.

    `redaction_policy` holds the differences from the usual redaction, if any.
    """
    started: Event = {"type": "session_started", "started": rfc3339(), "command": command}
    return {**started, "redaction_policy": dict(redaction_policy)} if redaction_policy else started


def run_options(options: Mapping[str, object], left_out: Sequence[str]) -> Event:
    """State by name the options that say what the command may do, for judging the run again later.

    left_out: Flags whose value may be secret.
    """
    return {"type": "run_options", "options": dict(options), "left_out": list(left_out)}


def session_ended(exit_code: int, end: Mapping[str, str | None] | None = None) -> Event:
    """End a session. `end` says why and by whom, as in the session's record; None: a standalone proxy."""
    ended: Event = {"type": "session_ended", "ended": rfc3339(), "exit_code": exit_code}
    return ended if end is None else {**ended, "end": dict(end)}


def terminal_shown(is_attached: bool) -> Event:
    """Report that somebody attached to the terminal of the session, or left it."""
    return {"type": "terminal_shown", "at": rfc3339(), "attached": is_attached}


def enforced_by(rung: str) -> Event:
    """Name the rung of the ladder in ARCHITECTURE.md that confines a proxy-only run to its proxy."""
    return {"type": "enforced_by", "rung": rung}


def instruction_files(
    root: str, enforcement: str, policy: str, files: Sequence[Mapping[str, str | None]], is_refused: bool
) -> Event:
    """Report the result of the check of a project's instruction files, made before the command starts.

    policy: Who vouches for the project's trust policy.
    files: Path, status, sha256, signer and reason of each.
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
    """Report that --trust-override skipped the check of the instruction files below `root`."""
    return {"type": "instructions_unchecked", "at": rfc3339(), "root": spelled(root)}


def flows_recorded(path: str) -> Event:
    """Name the file, by its absolute path, to which --record-flows writes the exchanges of a run."""
    return {"type": "flows_recorded", "at": rfc3339(), "path": spelled(path)}


def package_used(name: str, tree: str, sha256: str) -> Event:
    """Report a package, fetched by npx or uvx, from which the command read files.

    sha256: Hash over the digests of all its files, taken after the command ended.
    """
    used: Event = {"type": "package_used", "at": rfc3339()}
    return {**used, "name": spelled(name), "path": spelled(tree), "sha256": sha256}


def resource_limits(memory_bytes: int | None, max_processes: int | None) -> Event:
    """State the limits shared by the command and everything it starts; None: no limit."""
    return {"type": "resource_limits", "memory_bytes": memory_bytes, "max_processes": max_processes}


type PolicyChange = Literal["added", "taken_back", "expired"]


def policy_changed(
    change: PolicyChange,
    decision: str,
    kind: str,
    target: str,
    by: str,
    expires_unix_ms: int | None,
    *,
    writes: bool = False,
) -> Event:
    """Report that a person added a rule to the policy of a run, or that such a rule ended.

    writes: The rule of a path is about writing too, that of a socket about listening.
    by: Who changed it.
    expires_unix_ms: When an added rule expires; None: when the session ends.
    """
    return {
        "type": "policy_changed",
        "at": rfc3339(),
        "change": change,
        "decision": decision,
        "kind": kind,
        "target": spelled(target),
        "writes": writes,
        "by": by,
        "expires_unix_ms": expires_unix_ms,
    }


def rule_of(change: Mapping[str, object]) -> str:
    """Word the rule of a `policy_changed` without its decision: "path /x with writing"."""
    use = "listening" if change.get("kind") == "socket" else "writing"
    return f"{change.get('kind')} {change.get('target')}{f' with {use}' if change.get('writes') else ''}"


def repository_changed(path: str, what: RepositoryChange, names: Sequence[str], count: int) -> Event:
    """Report that git outside the sandbox will now run other programs, because of what the command wrote.

    path: The settings file, the directory of the hooks, or the file with the steps of a rebase.
    what: What was added or changed there, what was taken away or turned off, that it leads to
        another repository, or that nobody can tell.
    names: The first of the `count` changed settings, hooks or commands.
    """
    changed: Event = {"type": "repository_changed", "at": rfc3339(), "path": spelled(path), "what": what}
    return {**changed, "names": [*map(spelled, names)], "count": count}


def snapshot_taken(number: int, kind: str, files: int, merkle_root: str) -> Event:
    """Report a snapshot that undo keeps. `merkle_root`: over path and content of each file."""
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
    """Report a hook of the person that ran outside the sandbox.

    exit_status: -N: ended by signal N; None: it was not started.
    problem, output: The error, if any, and the end of the hook's output in that case, already redacted.
    variables: Names of the variables that it added to the command's environment.
    """
    ran: Event = {"type": "session_hook", "at": rfc3339(), "hook": hook, "script": spelled(script)}
    ran |= {"exit_status": exit_status, "duration_ms": duration_ms, "variables": variables}
    return ran if problem is None else {**ran, "problem": problem, "output": output}


def variables_withheld(rules: Mapping[str, str]) -> Event:
    """Report the secrets in the caller's environment that the command does not get: name and rule of each."""
    variables = [{"name": name, "rule": rule} for name, rule in rules.items()]
    return {"type": "variables_withheld", "variables": variables}


def not_enforced(what: str) -> Event:
    """Report a part of the policy that this kernel does not enforce on the run."""
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
    approval_outcome: Literal["denied", "timeout", "error"] | None = None,
    upstream: str | None = None,
    rule: str | None = None,
    origin: str | None = None,
    hint: str | None = None,
    repeats: int | None = None,
) -> Event:
    """Report one network decision. Optional fields are left out when None; the last five are always there.

    `rule` and `origin` name the deciding rule and where it was written, `hint` the smallest grant that would
    change the decision. `approval_outcome` is the kind of no that `approval_backend` gave, in the record of
    the request refused for it. `repeats` counts the identical refusals that this record stands for, because
    a command repeated them faster than a person could read.
    """
    optional: Event = {
        "route_id": route_id,
        "auth_mechanism": auth_mechanism,
        "auth_outcome": auth_outcome,
        "managed_credential_active": managed_credential_active,
        "injection_mode": injection_mode,
        "denial_category": denial_category,
        "approval_backend": approval_backend,
        "approval_outcome": approval_outcome,
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
    """A network event that is recorded repeatedly, identical except for its time. Hashed by identity."""

    __slots__ = ("event",)

    def __init__(self, event: Event) -> None:
        self.event = event


class Again(Event):
    """A recurring event happening now: an ordinary event, most of whose text the encoder may have cached.

    `sequence` is its number in the log, once it was written there.
    """

    __slots__ = ("recurring", "sequence", "unix_ms")

    def __init__(self, recurring: Recurring) -> None:
        self.recurring = recurring
        self.sequence: int | None = None
        self.unix_ms = unix_ms()
        # The recurring event already has a time, so the key stays first.
        fields = {**part(recurring.event, "event"), TIME: self.unix_ms}
        super().__init__(type="network", event=fields)


def capability_decision(
    request: Event, decision: CapabilityDecision, backend: str, duration_ms: int
) -> Event:
    """Report the decision by `backend` on an access beyond the grants of the command."""
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
    """An access to a path beyond the grants, decided without asking anybody."""

    path: str
    access: FileAccess
    reason: str  # why it was refused, or its purpose if granted
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
            part(self, "entry")["repeats"] = repeats


def audit_budget_reached(budget_bytes: int) -> Event:
    """Report that the log has reached its size limit. No action is carried out afterwards."""
    return {"type": "audit_budget_reached", "at": rfc3339(), "budget_bytes": budget_bytes}


def audit_unrecorded(refusals: int) -> Event:
    """Report how many refusals and usage events came after the log had reached its budget."""
    return {"type": "audit_unrecorded", "refusals": refusals}
