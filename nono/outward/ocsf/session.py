"""Map what happens in a session, apart from its network, to OCSF activity, findings and states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nono.amounts import several
from nono.outward.ocsf.parts import (
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
    file,
)

_START, _STOP = 3, 4  # activity_id of APPLICATION_LIFECYCLE
_LAUNCH = 1  # activity_id of PROCESS_ACTIVITY
_READ, _OPEN = 2, 14  # activity_id of FILE_ACTIVITY
_FOLDER = 2  # type_id of a file
_LOG = 1  # activity_id of CONFIG_STATE
_CREATE = 1  # activity_id of DETECTION_FINDING
_ACTOR = {"app_name": COMMAND_NAME}


def started(event: Fields) -> Projected:
    command = event.get("command")
    words = " ".join(map(str, command)) if isinstance(command, list) else ""
    return _lifecycle(_START, f"started: {words}".rstrip(": "))


def ended(event: Fields) -> Projected:
    code = event.get("exit_code")
    said: Document = {"status_code": str(code)}
    end = event.get("end")
    if isinstance(end, dict) and end.get("cause"):
        said["status_detail"] = str(end["cause"])
    status = Status.SUCCESS if code == 0 else Status.FAILURE
    return _lifecycle(_STOP, f"ended with exit code {code}", said, status)


def terminal_shown(event: Fields) -> Projected:
    is_attached = bool(event.get("attached"))
    word = "Attach" if is_attached else "Detach"
    return _lifecycle(OTHER, f"{word.lower()}ed: a terminal", name=word)


def anchored(event: Fields) -> Projected:
    message = f"anchored: {event.get('records')} records, at {event.get('anchor')}"
    return _lifecycle(OTHER, message, name="Anchor")


def instruction_files(event: Fields) -> Projected:
    """Map the result of checking a project's instruction files."""
    files, is_refused = event.get("files"), bool(event.get("refused"))
    count = len(files) if isinstance(files, list) else 0
    files_in = f"{several(count, 'instruction file')} in {event.get('root')}"
    words = f"{'refused' if is_refused else 'checked'}: {files_in}"
    if is_refused:
        return finding("Instruction files refused", lambda _: words, Severity.MEDIUM)(event)
    return Projected(Class.CONFIG_STATE, _LOG, words, {})


def package_used(event: Fields) -> Projected:
    """Map a package that the command fetched and read files of."""
    name, path = str(event.get("name")), str(event.get("path"))
    digest = {
        "algorithm_id": OTHER,
        "algorithm": "SHA-256 of the digests of all files",
        "value": str(event.get("sha256")),
    }
    package = {"name": name, "path": path, "type_id": _FOLDER, "hashes": [digest]}
    return Projected(
        Class.FILE_ACTIVITY, _READ, f"used: package {name} in {path}", {"actor": _ACTOR, "file": package}
    )


def snapshot(event: Fields) -> Projected:
    """Map a snapshot that undo has taken."""
    number, turn = event.get("number", event.get("snapshot")), event.get("turn")
    before = "" if turn is None else f" before turn {turn}"
    return _lifecycle(OTHER, f"kept: snapshot {number}{before}", name="Snapshot")


def _lifecycle(
    activity: int,
    message: str,
    said: Document | None = None,
    status: Status = Status.SUCCESS,
    name: str | None = None,
) -> Projected:
    fields = {"app": {"name": "nono", "vendor_name": "nono"}, **(said or {})}
    return Projected(
        Class.APPLICATION_LIFECYCLE, activity, message, fields, status=status, activity_name=name
    )


def session_hook(event: Fields) -> Projected:
    """Map a hook of the user's that ran outside the sandbox."""
    script, status = str(event.get("script")), event.get("exit_status")
    said: Document = {
        "actor": {"app_name": "nono"},
        "process": {"name": script.rpartition("/")[2] or script, "file": file(script)},
    }
    if isinstance(status, int):
        said["exit_code"] = status
    if problem := event.get("problem"):
        said["status_detail"] = str(problem)
    outcome = Status.SUCCESS if status == 0 else Status.FAILURE
    message = f"ran outside the sandbox, {event.get('hook')} the command: {script}"
    return Projected(Class.PROCESS_ACTIVITY, _LAUNCH, message, said, status=outcome)


def capability_decision(event: Fields) -> Projected:
    """Map a decision on a file beyond the grants."""
    entry: Fields = event["entry"]
    request, decision = entry["request"], entry["decision"]
    action, disposition = Action.DENIED, Disposition.BLOCKED
    fields: dict[str, Any] = {"repeats": entry.get("repeats"), "reason": request.get("reason")}
    if decision == "Granted":
        action, disposition = Action.ALLOWED, Disposition.APPROVED
    elif decision == "Requested":
        action, disposition = Action.OBSERVED, Disposition.DELAYED
    elif isinstance(decision, dict):
        fields["reason"] = decision.get("Denied", {}).get("reason")
    path = str(request.get("path"))
    said = {"actor": _ACTOR, "file": file(path), **controlled(action, disposition, fields)}
    is_refused = action is Action.DENIED
    what = {Action.ALLOWED: "allowed", Action.DENIED: "refused", Action.OBSERVED: "asked about"}[action]
    return Projected(
        Class.FILE_ACTIVITY,
        _OPEN,
        f"{what}: {request.get('access')} of {path}",
        said,
        Severity.LOW if is_refused else Severity.INFORMATIONAL,
        Status.FAILURE if is_refused else Status.SUCCESS,
        (SECURITY_CONTROL,),
    )


def state(words: Callable[[Fields], str]) -> Callable[[Fields], Projected]:
    """Return a function that maps an event to a state of the run's configuration."""
    return lambda event: Projected(Class.CONFIG_STATE, _LOG, words(event), {})


def finding(title: str, words: Callable[[Fields], str], severity: Severity) -> Callable[[Fields], Projected]:
    """Return a function that maps an event to a finding that somebody should investigate."""

    def project(event: Fields) -> Projected:
        said = {"finding_info": {"title": title, "types": [str(event.get("type"))]}, "is_alert": True}
        return Projected(
            Class.DETECTION_FINDING, _CREATE, words(event), said, severity, profiles=(SECURITY_CONTROL,)
        )

    return project
