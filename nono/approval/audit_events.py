"""Build the audit events of questions and answers."""

from __future__ import annotations

from nono.approval.request import (
    Answer,
    EndpointRequest,
    FileOpen,
    HostRequest,
    LimitRequest,
    Outcome,
    Question,
    Request,
)
from nono.audit import event
from nono.audit.event import Event
from nono.printable import spelled

_NETWORK: dict[Outcome, event.NetworkDecision] = {
    "granted": "approve_granted",
    "denied": "approve_denied",
    "timeout": "approve_timeout",
    "error": "approve_error",
}


def asked(question: Question) -> Event:
    """Return the event for a question that is about to be asked."""
    match question.request:
        case FileOpen() as request:
            return event.capability_decision(capability(question, request), "Requested", question.backend, 0)
        case EndpointRequest() | HostRequest() | LimitRequest() as request:
            return _network(request, "approve_requested", question.backend, None)


def answered(question: Question, answer: Answer, duration_ms: int) -> Event:
    """Return the event for its answer. duration_ms: From question to answer."""
    backend = answer.backend or question.backend
    match question.request:
        case FileOpen() as request:
            about = capability(question, request)
            return event.capability_decision(about, _decision(answer), backend, duration_ms)
        case EndpointRequest() | HostRequest() | LimitRequest() as request:
            return _network(request, _NETWORK[answer.outcome], backend, answer.reason or None)


def not_asked(request: Request, reason: str) -> Event:
    """Return the event for a refusal without a question, with its reason."""
    match request:
        case FileOpen(path, access):
            return event.UnaskedDecision(event.Unasked(path, event.FILE_ACCESS[access], reason))
        case EndpointRequest() | HostRequest() | LimitRequest():
            return _network(request, "deny", "policy", reason)


def _decision(answer: Answer) -> event.CapabilityDecision:
    match answer.outcome:
        case "granted":
            return "Granted"
        case "timeout":
            return "Timeout"
        case "denied" | "error":
            return {"Denied": {"reason": answer.reason}}


def capability(question: Question, request: FileOpen) -> Event:
    """Return the request part of a capability decision, which webhooks receive too."""
    what = "truncates and opens" if request.truncates else "opens"
    return {
        "capability_type": "capability",
        "request_id": question.id,
        "path": spelled(request.path),
        "access": event.FILE_ACCESS[request.access],
        "reason": f"the command {what} a {request.kind} beyond its grants",
        "child_pid": request.pid,
        "session_id": question.session_id,
    }


def _network(
    request: EndpointRequest | HostRequest | LimitRequest,
    decision: event.NetworkDecision,
    backend: str,
    reason: str | None,
) -> Event:
    match request:
        case HostRequest(host, port):
            return event.network(
                mode="connect",
                decision=decision,
                target=host,
                port=port,
                rule="--ask",
                approval_backend=backend,
                reason=reason,
            )
        case LimitRequest(service, host, reached):
            return event.network(
                mode="reverse",
                decision=decision,
                target=host,
                route_id=service,
                rule="limits",
                approval_backend=backend,
                reason=reason if reason is not None else reached,
            )
        case EndpointRequest():
            return event.network(
                mode="reverse" if request.route is not None else "connect_intercept",
                decision=decision,
                target=request.host,
                method=request.method,
                path=request.path,
                route_id=request.route,
                rule=request.rule.label,
                approval_backend=backend,
                reason=reason if reason is not None else request.rule.reason,
            )
