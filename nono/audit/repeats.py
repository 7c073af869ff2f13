"""Tell if an event must be in the log, and how many decisions it stands for."""

from __future__ import annotations

from collections.abc import Mapping

from nono.audit.event import Event, part


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


_ACTIONS = ("allow", "approve_requested", "approve_granted")
_REPEATABLE = (
    "network", "capability_decision", "model_usage", "credential_frozen", "turn_began", "turn_unclear",
    "turn_marked",
)  # fmt: skip


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
