"""Sums a living session up for whoever asks at its socket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nono.approval.listing import NEEDS_YOU, Listed
from nono.audit.broadcast import Broadcast
from nono.policy.live.rule import LiveRule
from nono.sessions.record import RUNNING, Record, document_of


def summary(
    record: Record | None, counts: Broadcast, questions: Sequence[Listed], rules: Sequence[LiveRule]
) -> Mapping[str, Any]:
    """Return the document of GET /v1/session, as JSON types.

    questions: The open ones, the oldest first.
    rules: What is laid over the policy.
    """
    return {
        "state": NEEDS_YOU if questions else RUNNING,
        "needs_you": {
            "count": len(questions),
            "since_unix_ms": questions[0].asked_unix_ms if questions else None,
        },
        "rules": [rule.document for rule in rules],
        "session": None if record is None else document_of(record),
        "counts": {
            "events": counts.events,
            "allowed": counts.allowed,
            "refused": counts.refused,
            "asked": counts.asked,
        },
    }
