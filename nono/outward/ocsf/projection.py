"""Build the OCSF document of each record of a log, with the whole event and its place in the chain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from nono import __version__
from nono.amounts import several
from nono.audit.event import rule_of
from nono.audit.reading import Record
from nono.digests import sha256
from nono.outward.ocsf import network, session
from nono.outward.ocsf.parts import OTHER, VERSION, Class, Document, Fields, Projected, Severity

PRODUCT = {"name": "nono", "vendor_name": "nono", "version": __version__}
_SHA256 = 3  # algorithm_id of a fingerprint


def _limits(event: Fields) -> str:
    return f"limits: memory {event.get('memory_bytes')} bytes, {event.get('max_processes')} processes"


def _rule(event: Fields) -> str:
    return f"rule {event.get('change')}: {event.get('decision')} {rule_of(event)}, by {event.get('by')}"


def _withheld(event: Fields) -> str:
    variables = event.get("variables")
    count = len(variables) if isinstance(variables, list) else 0
    return f"kept from the command: {several(count, 'variable')}"


def _settings(event: Fields) -> str:
    count = event.get("count")
    return f"{several(count, 'setting') if isinstance(count, int) else '?'} in {event.get('path')}"


def _options(event: Fields) -> str:
    options = event.get("options")
    return f"options of the run: {', '.join(map(str, options)) if isinstance(options, Mapping) else '?'}"


def _git(event: Fields) -> str:
    what = str(event.get("what"))
    if what == "unreadable":
        return f"changed, and cannot be read: {event.get('path')}"
    if what == "redirected":
        return f"git is led to another repository by {event.get('path')}"
    if what == "exposed":
        return f"git may trust another machine or give away a password by {_settings(event)}"
    if what == "rerouted":
        return f"git may push to another place, or fetch from one, by {_settings(event)}"
    if what == "worktree":
        return f"git writes to another directory by {event.get('path')}"
    change, kind = ("removed", what.removeprefix("removed_")) if "removed" in what else ("changed", what)
    return f"{change}: {event.get('count')} {kind} in {event.get('path')}"


_KINDS: Mapping[str, Callable[[Fields], Projected]] = {
    "session_started": session.started,
    "session_ended": session.ended,
    "terminal_shown": session.terminal_shown,
    "session_hook": session.session_hook,
    "capability_decision": session.capability_decision,
    "network": network.network,
    "requests_ended": network.requests_ended,
    "model_usage": network.model_usage,
    "turn_began": network.turn,
    "turn_unclear": network.turn,
    "turn_marked": session.snapshot,
    "snapshot_taken": session.snapshot,
    "instruction_files": session.instruction_files,
    "instructions_unchecked": session.finding(
        "Instruction files not checked",
        lambda event: f"not checked, by --trust-override: instruction files in {event.get('root')}",
        Severity.MEDIUM,
    ),
    "package_used": session.package_used,
    "flows_recorded": session.state(lambda event: f"exchanges are recorded in: {event.get('path')}"),
    "enforced_by": session.state(lambda event: f"the network is enforced by: {event.get('rung')}"),
    "resource_limits": session.state(_limits),
    "run_options": session.state(_options),
    "masked": session.state(lambda event: f"masked: {event.get('path')}"),
    "variables_withheld": session.state(_withheld),
    "policy_changed": session.state(_rule),
    "not_enforced": session.finding(
        "Not enforced", lambda event: f"not enforced: {event.get('what')}", Severity.MEDIUM
    ),
    "repository_changed": session.finding(
        "Git runs something else",
        _git,
        Severity.MEDIUM,
    ),
    "credential_frozen": session.finding(
        "Credential frozen",
        lambda event: f"frozen: the credential of {event.get('service')}: {event.get('why')}",
        Severity.HIGH,
    ),
    "limit_reached": session.finding(
        "Limit reached",
        lambda event: f"reached: the limit of {event.get('limit')}, {event.get('times')} times",
        Severity.LOW,
    ),
    "audit_anchored": session.anchored,
    "audit_not_anchored": session.finding(
        "Audit log not anchored",
        lambda event: f"not anchored at {event.get('anchor')}: {event.get('why')}",
        Severity.MEDIUM,
    ),
    "audit_not_sent": session.finding(
        "Audit log not sent",
        lambda event: f"not sent to {event.get('endpoint')} for now: {event.get('why')}",
        Severity.LOW,
    ),
    "audit_carrier_ended": session.finding(
        "Audit log not carried",
        lambda event: "the log is neither anchored nor sent any more",
        Severity.MEDIUM,
    ),
    "audit_altered": session.finding(
        "Audit log altered", lambda event: f"altered: {event.get('why')}", Severity.HIGH
    ),
    "audit_budget_reached": session.finding(
        "Audit log full", lambda event: f"full at {event.get('budget_bytes')} bytes", Severity.HIGH
    ),
    "audit_unrecorded": session.finding(
        "Refusals not recorded", lambda event: f"not recorded: {event.get('refusals')}", Severity.MEDIUM
    ),
}


class Projection:
    """The documents of one log, in order. An event without a time gets the time of the one before."""

    def __init__(self, session_id: str, host: str) -> None:
        self._session_id = session_id
        self._host = host
        self._at_ms = 0
        self._previous: str | None = None  # chain hash

    def document(self, record: Record) -> Document:
        """Return the next record's document; class 0 for an unknown or damaged event."""
        self._at_ms = time_of(record.event) or self._at_ms
        kind = str(record.event.get("type"))
        try:
            projected = _KINDS.get(kind, _unknown)(record.event)
        except (KeyError, TypeError, AttributeError, ValueError):
            projected = _unknown(record.event)
        document = _printable(self._document(record, kind, projected))
        self._previous = record.chain_hash
        return {**document, "raw_data": record.event_json.decode("utf-8")}

    def _document(self, record: Record, kind: str, projected: Projected) -> Document:
        class_, uid = projected.class_, f"{self._session_id}/{record.sequence}"
        document: Document = {
            "category_uid": class_ // 1000,
            "class_uid": int(class_),
            "activity_id": projected.activity,
            "type_uid": class_ * 100 + projected.activity,
            "severity_id": int(projected.severity),
            "status_id": int(projected.status),
            "time": self._at_ms,
            "message": projected.message,
            "metadata": {
                "version": VERSION,
                "product": PRODUCT,
                "log_name": "nono audit",
                "uid": uid,
                "sequence": record.sequence,
                "correlation_uid": self._session_id,
                "event_code": kind,
                "profiles": list(projected.profiles),
            },
            "unmapped": {
                "nono": {
                    "session": self._session_id,
                    "sequence": record.sequence,
                    "prev_chain": self._previous,
                    "leaf_hash": record.leaf_hash,
                    "chain_hash": record.chain_hash,
                }
            },
            "raw_data_hash": {"algorithm_id": _SHA256, "value": sha256(record.event_json).hexdigest()},
            "raw_data_size": len(record.event_json),
            **projected.fields,
        }
        if projected.activity == OTHER:
            document["activity_name"] = projected.activity_name or kind
        if class_ // 1000 in (1, 5):
            document["device"] = {"hostname": self._host, "type_id": 0}
        if class_ is Class.PROCESS_ACTIVITY:
            document["process"] = {"uid": uid, **document["process"]}
        if class_ is Class.DETECTION_FINDING:
            document["finding_info"] = {"uid": uid, **document["finding_info"]}
        return document


def time_of(event: Fields) -> int | None:
    """Return the time of an event in milliseconds since the epoch, or None."""
    fields = event.get("event")
    at = (fields if isinstance(fields, dict) else event).get("timestamp_unix_ms")
    if isinstance(at, int):
        return at
    entry = event.get("entry")
    if isinstance(entry, dict) and isinstance(stamp := entry.get("timestamp"), dict):
        seconds, nanos = stamp.get("secs_since_epoch"), stamp.get("nanos_since_epoch")
        if isinstance(seconds, int) and isinstance(nanos, int):
            return seconds * 1000 + nanos // 1_000_000
    text = event.get("at") or event.get("started") or event.get("ended")
    try:
        return int(datetime.fromisoformat(str(text)).timestamp() * 1000) if text else None
    except (ValueError, OverflowError):
        return None


def _unknown(event: Fields) -> Projected:
    return Projected(Class.BASE, OTHER, f"event of nono: {event.get('type')}", {})


def _printable(value: Any) -> Any:
    """Escape lone surrogates, which cannot be encoded as UTF-8."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {key: _printable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_printable(each) for each in value]
    return value
