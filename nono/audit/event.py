"""The events of the audit log, as plain dictionaries in the field order that is hashed."""

from __future__ import annotations

from typing import Literal, Protocol

from nono.clock import rfc3339, unix_ms

Event = dict[str, object]

NetworkEventMode = Literal["connect", "connect_intercept", "reverse", "external"]
DenialCategory = Literal[
    "authentication_failed",
    "endpoint_policy",
    "managed_credential_unavailable",
    "host_denied",
    "intercept_handshake_failed",
    "upstream_connect_failed",
    "connect_bypasses_l7",
    "external_proxy_rejected",
    "unsupported_upgrade",
]


class Recorder(Protocol):
    """Whoever keeps the record. It has been written when this returns.

    OSError when it could not be: the verdict the event describes is then not carried out.
    """

    def __call__(self, event: Event, /) -> None: ...


def session_started(command: list[str]) -> Event:
    """command: argv, already redacted."""
    return {"type": "session_started", "started": rfc3339(), "command": command}


def session_ended(exit_code: int) -> Event:
    return {"type": "session_ended", "ended": rfc3339(), "exit_code": exit_code}


def not_enforced(what: str) -> Event:
    """A part of the policy that this kernel does not hold the run to."""
    return {"type": "not_enforced", "what": what}


def network(
    *,
    mode: NetworkEventMode,
    decision: Literal["allow", "deny"],
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
    upstream: str | None = None,
    rule: str | None = None,
    origin: str | None = None,
    repeats: int | None = None,
) -> Event:
    """One network decision. Optional fields are left out when None; the last five are always there.

    rule and origin name what decided and where it was written; repeats counts identical refusals that
    were folded into this line because a child repeated them faster than a person could read.
    """
    optional: Event = {
        "route_id": route_id,
        "auth_mechanism": auth_mechanism,
        "auth_outcome": auth_outcome,
        "managed_credential_active": managed_credential_active,
        "injection_mode": injection_mode,
        "denial_category": denial_category,
        "rule": rule,
        "origin": origin,
        "repeats": repeats,
    }
    fields: Event = {"timestamp_unix_ms": unix_ms(), "mode": mode, "decision": decision}
    fields |= {name: value for name, value in optional.items() if value is not None}
    fields["target"] = target
    if upstream is not None:
        fields["upstream"] = upstream
    fields |= {"port": port, "method": method, "path": path, "status": status, "reason": reason}
    return {"type": "network", "event": fields}
