"""Build the proxy's audit events from an Entry and its outcome."""

from __future__ import annotations

from functools import lru_cache

from nono.audit.event import Again, Event, Recurring, network
from nono.proxy.http.refusal import Refusal, one_line
from nono.proxy.verdict.memo import MAX_KEPT
from nono.proxy.verdict.verdict import Entry


def allowed(entry: Entry, *, reason: str | None = None) -> Again:
    """Return the event of a request about to be carried out; `reason` is an additional remark."""
    return Again(_allowed(entry, reason))


@lru_cache(MAX_KEPT)  # clients repeat themselves
def _allowed(entry: Entry, reason: str | None) -> Recurring:
    event = network(
        mode=entry.mode,
        decision="allow",
        target=entry.target,
        port=entry.port,
        method=entry.method,
        path=entry.path,
        reason=reason,
        route_id=entry.route_id,
        auth_mechanism=entry.mechanism,
        auth_outcome="succeeded" if entry.mechanism is not None else None,
        managed_credential_active=entry.credential_active,
        injection_mode=entry.injection_mode,
        upstream=entry.upstream,
        rule=entry.rule,
        origin=entry.origin,
    )
    return Recurring(event)


def denied(entry: Entry, refusal: Refusal) -> Event:
    """Return the event of a request about to be refused, or that failed after it was allowed."""
    return network(
        mode=entry.mode,
        decision="deny",
        target=one_line(entry.target),
        port=0 if _names_service(entry) else entry.port,
        method=entry.method,
        path=entry.path,
        status=refusal.status,
        reason=one_line(refusal.error),
        route_id=entry.route_id,
        auth_mechanism=entry.mechanism,
        auth_outcome="failed" if refusal.category == "authentication_failed" else None,
        managed_credential_active=entry.credential_active,
        denial_category=refusal.category,
        approval_backend=refusal.approval_backend,
        approval_outcome=refusal.approval_outcome,
        upstream=entry.upstream,
        rule=refusal.rule,
        origin=refusal.origin,
        hint=refusal.hint,
    )


def _names_service(entry: Entry) -> bool:
    """Return True if the target is a service, which has no port; `upstream` has that of its host."""
    return entry.mode == "reverse" and entry.route_id is not None


def malformed_request() -> Entry:
    """Return the entry for input that could not be parsed as a request."""
    return Entry("reverse", "", 0, "")
