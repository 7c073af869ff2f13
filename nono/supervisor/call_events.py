"""The audit events of trapped system calls."""

from __future__ import annotations

from nono.audit import event
from nono.audit.event import Event
from nono.supervisor.adjudicator import Perform, Refuse


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


def performed(verdict: Perform) -> Event:
    """A connection past the proxy, which leaves no other trace."""
    return event.network(
        mode="connect",
        decision="allow",
        target=str(verdict.address.host),
        port=verdict.address.port,
        rule=verdict.rule,
    )
