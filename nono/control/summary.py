"""Summarise a running session for clients of its socket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nono.approval.listing import NEEDS_YOU, Listed
from nono.audit.broadcast import Broadcast
from nono.audit.traffic import Spent, Traffic
from nono.policy.live.rule import LiveRule
from nono.sessions.record import RUNNING, Record, document_of


def summary(
    record: Record | None,
    counts: Broadcast,
    questions: Sequence[Listed],
    rules: Sequence[LiveRule],
    traffic: Traffic | None,
    spent: Spent | None,
) -> Mapping[str, Any]:
    """Return the document of GET /v1/session, as JSON values.

    questions: The open questions, oldest first.
    rules: The rules added to the policy.
    traffic: None for a run without a proxy.
    spent: None if nothing counts tokens.
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
        "traffic": None if traffic is None else traffic.counts,
        "usage": None if spent is None else spent._asdict(),
    }
