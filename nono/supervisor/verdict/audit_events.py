"""Build the audit events of trapped system calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nono.audit import event
from nono.audit.event import Event
from nono.policy.capability import Access
from nono.policy.files.unix_sockets import shown
from nono.supervisor.verdict.adjudicator import Perform, PerformUnix, Refuse

if TYPE_CHECKING:
    from nono.supervisor.verdict import open_verdict
    from nono.supervisor.verdict.virtual_addresses import Refused
    from nono.trust.verdict import Verdict


def refused(refusal: Refuse) -> Event:
    return event.network(
        mode="connect",
        decision="deny",
        target=refusal.target,
        port=refusal.port,
        reason=refusal.reason,
        denial_category="host_denied",
        rule=refusal.rule,
        hint=refusal.hint,
    )


def refused_look_up(refused: Refused) -> Event:
    """Record a name that was looked up to no end, as the proxy records one that is asked of it."""
    refusal = refused.refusal
    return event.network(
        mode="connect",
        decision="deny",
        target=refused.name,
        reason=refusal.reason,
        denial_category="host_denied",
        rule=refusal.rule,
        origin=refusal.origin,
        hint=refusal.hint,
    )


def performed(verdict: Perform | PerformUnix) -> Event:
    """Record a connection that bypasses the proxy, or one to a Unix socket: neither leaves another trace."""
    if isinstance(verdict, PerformUnix):
        target = f"unix:{shown(verdict.path)}"
        return event.network(mode="connect", decision="allow", target=target, rule=verdict.rule)
    return event.network(
        mode="connect",
        decision="allow",
        target=str(verdict.address.host),
        port=verdict.address.port,
        rule=verdict.rule,
    )


def refused_open(refusal: open_verdict.Refuse) -> Event:
    """Record an open that was refused without asking anybody."""
    return event.UnaskedDecision(
        event.Unasked(refusal.path, event.FILE_ACCESS[refusal.access], refusal.reason)
    )


def opened_by_rule(path: str, access: Access, origin: str) -> Event:
    """Record that a file beyond the grants was opened for the command by a rule made during the run."""
    return event.UnaskedDecision(event.Unasked(path, event.FILE_ACCESS[access], origin, is_granted=True))


def instructions_opened(path: str, verdict: Verdict) -> Event:
    """Record that the command opened an instruction file, and why it may: this is what an agent was told."""
    by = f"signed by {verdict.signer}" if verdict.signer is not None else verdict.status.value
    reason = f"instruction file, {by}; sha256 {verdict.sha256}"
    return event.UnaskedDecision(event.Unasked(path, "Read", reason, is_granted=True))


def named_thread(path: str, access: Access) -> Event:
    """Record that a name of the command's own threads was opened for it."""
    reason = "the command names one of its threads"
    return event.UnaskedDecision(event.Unasked(path, event.FILE_ACCESS[access], reason, is_granted=True))
