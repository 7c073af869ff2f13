"""Build the audit events of credentials: a capture command that ran, and a credential that was frozen."""

from __future__ import annotations

from typing import Literal

from nono.audit.event import Event
from nono.clock import rfc3339, unix_ms
from nono.named_tuple import NamedTuple

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
    path: str | None,
    run: CaptureRun | None = None,
) -> Event:
    """Report that a command was asked for a credential, or its cached answer used (`run` is None then).

    command: the program that ran.
    argv, path: already redacted; path as the record of the request has it.

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


def credential_frozen(service: str, why: str) -> Event:
    """Report the tripwire: no later request of this run gets the credential of `service`."""
    return {"type": "credential_frozen", "at": rfc3339(), "service": service, "why": why}
