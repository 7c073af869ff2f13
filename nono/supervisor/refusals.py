"""The audit event of a refused system call."""

from __future__ import annotations

from nono.audit import event
from nono.audit.event import Event
from nono.supervisor.adjudicator import Refuse


def refused(refusal: Refuse) -> Event:
    return event.network(
        mode="connect",
        decision="deny",
        target=refusal.target,
        port=refusal.port,
        reason=refusal.reason,
        denial_category="host_denied",
        rule=refusal.rule,
    )
