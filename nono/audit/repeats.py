"""Tell if an event must be in the log, and how many accesses it decides."""

from __future__ import annotations

from collections.abc import Mapping

from nono.audit.event import WITHDRAWN, Event, part


def is_action(event: Event) -> bool:
    """Return True for an event that must be logged before the action it describes may happen."""
    match event["type"]:
        case "network":
            fields = part(event, "event")
            return "repeats" not in fields and fields["decision"] in _ACTIONS
        case "capability_decision":
            entry = part(event, "entry")
            return "repeats" not in entry and entry["decision"] in ("Requested", "Granted")
        case _:
            return False


_ANSWERS = ("approve_granted", "approve_denied", "approve_timeout", "approve_error")
_ACTIONS = ("allow", "approve_requested", "approve_granted")
_REPEATABLE = (
    "network", "capability_decision", "model_usage", "credential_frozen", "turn_began", "turn_unclear",
    "turn_marked",
)  # fmt: skip


def is_answer(fields: Mapping[str, object]) -> bool:
    """Return True for the fields of a network event that answers a question and decides no access itself.

    What the answer leads to is recorded for each request that waited for it. A question that was withdrawn
    has no other record: its answer counts as the refusal.
    """
    decision = fields.get("decision")
    if decision == "deny":
        return fields.get("approval_backend") == "policy"  # not asked: there were too many questions
    return decision in _ANSWERS and fields.get("reason") != WITHDRAWN


def repeats_of(event: Event) -> int:
    """Return how many decisions an event stands for."""
    fields = event.get("event") or event.get("entry")
    return repeats_in(fields) if isinstance(fields, dict) else 1


def repeats_in(fields: Mapping[str, object]) -> int:
    """Return how many decisions the fields of an event stand for."""
    repeats = fields.get("repeats")
    return repeats if isinstance(repeats, int) else 1


def is_repeatable(event: Event) -> bool:
    """Return True for an event that the command can cause any number of times."""
    return event["type"] in _REPEATABLE
