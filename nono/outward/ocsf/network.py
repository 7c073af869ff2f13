"""Map network decisions, ended requests and model usage to OCSF network, HTTP and API activity."""

from __future__ import annotations

from nono.amounts import several
from nono.audit.event import FAILURES
from nono.audit.outcomes import outcome_rows
from nono.outward.ocsf.parts import (
    AI_OPERATION,
    COMMAND_NAME,
    OTHER,
    SECURITY_CONTROL,
    Action,
    Class,
    Disposition,
    Document,
    Fields,
    Projected,
    Severity,
    Status,
    controlled,
    endpoint,
)

_OPEN, _FAIL, _REFUSE, _TRAFFIC = 1, 4, 5, 6
_METHODS = {"CONNECT": 1, "DELETE": 2, "GET": 3, "HEAD": 4, "OPTIONS": 5, "POST": 6, "PUT": 7, "TRACE": 8}
_METHODS |= {"PATCH": 9}
_DECIDED = {
    "allow": (Action.ALLOWED, Disposition.ALLOWED),
    "deny": (Action.DENIED, Disposition.BLOCKED),
    "approve_requested": (Action.OBSERVED, Disposition.DELAYED),
    "approve_granted": (Action.ALLOWED, Disposition.APPROVED),
    "approve_denied": (Action.DENIED, Disposition.REJECTED),
    "approve_timeout": (Action.DENIED, Disposition.BLOCKED),
    "approve_error": (Action.DENIED, Disposition.ERROR),
}
COMMAND = {"name": COMMAND_NAME}  # as an OCSF endpoint


def network(event: Fields) -> Projected:
    """Map a decision on a connection or a request."""
    fields: Fields = event["event"]
    if "credential_capture_action" in fields:
        return _capture(fields)
    decision, target = str(fields["decision"]), str(fields["target"])
    action, disposition = _DECIDED.get(decision, (Action.DENIED, Disposition.ERROR))
    has_failed = fields.get("denial_category") in FAILURES
    if has_failed:
        disposition = Disposition.ERROR
    is_refused = action is Action.DENIED
    said = controlled(action, disposition, fields)
    upstream, port = str(fields.get("upstream") or target), fields.get("port")
    host, colon, number = upstream.rpartition(":")
    if fields.get("upstream") and colon and number.isdecimal():
        upstream, port = host, port or int(number)
    said["dst_endpoint"] = endpoint(upstream, port)
    said["src_endpoint"] = COMMAND
    method, path = fields.get("method"), fields.get("path")
    where = f"{target}:{port}" if port else target
    what = {Action.ALLOWED: "allowed", Action.DENIED: "refused", Action.OBSERVED: "asked about"}[action]
    severity = Severity.LOW if is_refused else Severity.INFORMATIONAL
    status = Status.FAILURE if is_refused else Status.SUCCESS
    if not method or not path:
        activity = _FAIL if has_failed else _REFUSE if is_refused else _OPEN
        message = f"{what}: connection to {where}"
        profiles = (SECURITY_CONTROL,)
        return Projected(Class.NETWORK_ACTIVITY, activity, message, said, severity, status, profiles)
    # The path of a request to a service is one of nono's own port: it begins with the name of the service.
    is_own = fields.get("mode") == "reverse" and fields.get("route_id") is not None
    said["http_request"] = {
        "url": _url({}, None, str(path)) if is_own else _url(said["dst_endpoint"], port, str(path))
    }
    if str(method) in _METHODS:  # the schema allows only these
        said["http_request"]["http_method"] = str(method)
    if isinstance(code := fields.get("status"), int):
        said["http_response"] = {"code": code}
    activity = _METHODS.get(str(method).upper(), OTHER)
    return Projected(
        Class.HTTP_ACTIVITY,
        activity,
        f"{what}: {method} {where}{path}",
        said,
        severity,
        status,
        (SECURITY_CONTROL,),
        str(method),
    )


def _url(host: Document, port: object, path: str) -> Document:
    path, question, query = path.partition("?")
    found: Document = {"path": path or "/"}
    if question:
        found["query_string"] = query
    if "hostname" in host:
        found["hostname"] = host["hostname"]
    return {**found, "port": port} if isinstance(port, int) and port else found


def _capture(fields: Fields) -> Projected:
    """Map a command's request for a credential."""
    captured = fields["decision"] == "allow"
    name, action = str(fields.get("credential_capture_name")), str(fields["credential_capture_action"])
    said: Document = {
        "api": {"operation": "capture a credential", "service": {"name": name}},
        "actor": {"app_name": str(fields.get("credential_capture_command") or name)},
        "src_endpoint": COMMAND,
        "dst_endpoint": endpoint(str(fields["target"]), fields.get("port")),
        "status_detail": str(fields.get("reason") or action),
        "status_code": action,
    }
    status = Status.SUCCESS if captured else Status.FAILURE
    severity = Severity.INFORMATIONAL if captured else Severity.LOW
    message = f"credential {name}: {action}"
    return Projected(Class.API_ACTIVITY, OTHER, message, said, severity, status, activity_name="Capture")


def requests_ended(event: Fields) -> Projected:
    """Map several outcomes to one traffic report; the event has each of them."""
    rows = outcome_rows(event)
    received, sent = _sum(rows, "bytes_in"), _sum(rows, "bytes_out")
    said: Document = {
        "src_endpoint": COMMAND,
        "count": len(rows),
        "traffic": {"bytes_in": received, "bytes_out": sent, "bytes": received + sent},
    }
    failed = sum(1 for row in rows if row.get("failure"))
    message = f"ended: {several(len(rows), 'request')}, {failed} of them by a failure"
    status = Status.FAILURE if rows and failed == len(rows) else Status.SUCCESS
    return Projected(Class.NETWORK_ACTIVITY, _TRAFFIC, message, said, status=status)


def _sum(rows: list[dict[str, object]], column: str) -> int:
    return sum(value for row in rows if isinstance(value := row.get(column), int))


def model_usage(event: Fields) -> Projected:
    """Map the usage of a language model."""
    service, model = str(event["service"]), str(event.get("model") or "unknown")
    prompt, completion = _count(event.get("input_tokens")), _count(event.get("output_tokens"))
    said: Document = {
        "api": {"operation": "inference", "service": {"name": service}},
        "actor": {"app_name": COMMAND["name"]},
        "src_endpoint": COMMAND,
        "dst_endpoint": {"svc_name": service},
        "ai_model": {"name": model, "ai_provider": service},
        "message_context": {
            "service": {"name": service},
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        },
    }
    message = f"used: {model} of {service}, {prompt} tokens in, {completion} out"
    profiles = (AI_OPERATION,)
    return Projected(Class.API_ACTIVITY, OTHER, message, said, profiles=profiles, activity_name="Inference")


def turn(event: Fields) -> Projected:
    """Map the beginning, or possible beginning, of an agent's turn."""
    service, model = str(event.get("service")), event.get("model")
    number, reason = event.get("turn"), event.get("reason")
    said: Document = {
        "api": {"operation": "begin a turn", "service": {"name": service}},
        "actor": {"app_name": COMMAND["name"]},
        "src_endpoint": COMMAND,
        "dst_endpoint": {"svc_name": service},
    }
    if reason:
        said["status_detail"] = str(reason)
    if model:
        said["ai_model"] = {"name": str(model), "ai_provider": service}
    what = "may have begun: a turn" if number is None else f"began: turn {number}"
    profiles = (AI_OPERATION,) if model else ()
    message = f"{what}, of {service}"
    return Projected(Class.API_ACTIVITY, OTHER, message, said, profiles=profiles, activity_name="Turn")


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0
