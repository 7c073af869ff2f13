"""Build the JSON sent to a webhook, and parse the reply."""

from __future__ import annotations

import json
from typing import Any

from nono.approval.audit_events import capability
from nono.approval.request import (
    Answer,
    EndpointRequest,
    FileOpen,
    HeldBody,
    HostRequest,
    LimitRequest,
    Question,
)
from nono.trust.json_text import parse_object

RESPONSE_BYTES_MAX = 64 * 1024

_YES = ("grant", "granted", "approve", "approved", "allow", "allowed")
_NO = ("deny", "denied", "reject", "rejected", "block", "blocked")


def body(question: Question, expires_s: float) -> bytes:
    """Return the JSON to post: the backend asked, and the request."""
    match question.request:
        case FileOpen() as request:
            about: dict[str, Any] = capability(question, request)
        case EndpointRequest(host, method, path, route, rule, target):
            about = {
                "capability_type": "endpoint",
                "request_id": question.id,
                "route_id": route,
                "upstream": host,
                "method": method,
                "path": path,
                "target": target or path,
                "body": _body(question.request.body),
                "rule_label": rule.label,
                "reason": rule.reason,
                "child_pid": 0,
                "session_id": question.session_id,
            }
        case HostRequest(host, port):
            about = {
                "capability_type": "host",
                "request_id": question.id,
                "upstream": host,
                "port": port,
                "child_pid": 0,
                "session_id": question.session_id,
            }
        case LimitRequest(service, host, reason):
            about = {
                "capability_type": "limit",
                "request_id": question.id,
                "route_id": service,
                "upstream": host,
                "reason": reason,
                "child_pid": 0,
                "session_id": question.session_id,
            }
    about |= {"scope": "once", "expires_secs": expires_s}
    document = {"backend": question.backend, "request": about}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _body(held: HeldBody | None) -> dict[str, Any] | None:
    if held is None:
        return None
    return {
        "length": held.length,
        "sha256": held.sha256,
        "media_type": held.media_type,
        "begins": held.begins.decode("utf-8", "backslashreplace"),
        "is_whole": held.is_whole,
    }


def answer(question: Question, status: int, reply: bytes) -> Answer:
    """Parse the reply. An unknown decision is an error, and an error never allows anything."""
    if not 200 <= status < 300:
        return Answer("denied", f"the webhook answered with status {status}")
    try:
        document = parse_object(reply, "the webhook's reply")
    except ValueError as error:
        return Answer("error", str(error))
    decision = document.get("decision")
    if not isinstance(decision, str):
        return Answer("error", "the webhook's reply has no decision")
    if document.get("request_id", question.id) != question.id:
        return Answer("error", "the webhook's reply is to another request")
    word = decision.lower()
    if word in _YES:
        return Answer("granted")
    if word in _NO:
        return Answer("denied", "the webhook said no", is_remembered=True)
    if word == "timeout":
        return Answer("timeout", "nobody has answered the webhook")
    return Answer("error", "the webhook's decision is a word that is not known")
