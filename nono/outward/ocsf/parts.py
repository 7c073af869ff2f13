"""Define the classes, numbers and objects of OCSF 1.8 that nono's events use."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from enum import IntEnum
from posixpath import basename
from typing import Any

from nono.named_tuple import NamedTuple

VERSION = "1.8.0"
SECURITY_CONTROL, AI_OPERATION = "security_control", "ai_operation"  # profiles
COMMAND_NAME = "the command in nono's sandbox"

Fields = Mapping[str, Any]
Document = dict[str, Any]


class Class(IntEnum):
    """A class; the thousands of its number are its category."""

    BASE = 0
    FILE_ACTIVITY = 1001
    PROCESS_ACTIVITY = 1007
    DETECTION_FINDING = 2004
    NETWORK_ACTIVITY = 4001
    HTTP_ACTIVITY = 4002
    CONFIG_STATE = 5019
    APPLICATION_LIFECYCLE = 6002
    API_ACTIVITY = 6003


OTHER = 99  # in every enumeration


class Severity(IntEnum):
    INFORMATIONAL = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4


class Status(IntEnum):
    SUCCESS = 1
    FAILURE = 2


class Action(IntEnum):
    """action_id of the profile security_control."""

    ALLOWED = 1
    DENIED = 2
    OBSERVED = 3


class Disposition(IntEnum):
    """disposition_id of the profile security_control."""

    ALLOWED = 1
    BLOCKED = 2
    APPROVED = 8
    DELAYED = 14
    REJECTED = 25
    ERROR = 27


class Projected(NamedTuple):
    """The part of a document that depends on the event."""

    class_: Class
    activity: int
    message: str
    fields: Document
    severity: Severity = Severity.INFORMATIONAL
    status: Status = Status.SUCCESS
    profiles: tuple[str, ...] = ()
    activity_name: str | None = None  # if the activity is OTHER


def endpoint(target: str, port: object = None) -> Document:
    """Return the endpoint for a host, an address, or the supervisor's name for another kind of socket."""
    found: Document = {"port": port} if isinstance(port, int) and port else {}
    host = target.strip("[]")
    try:
        ipaddress.ip_address(host)
        return {"ip": host, **found}
    except ValueError:
        is_host = host and all(each.isalnum() or each in ".-_" for each in host) and host.isascii()
        return {"hostname": host, **found} if is_host else {"name": target or "unknown", **found}


def controlled(action: Action, disposition: Disposition, fields: Fields) -> Document:
    """Return the fields of the profile security_control: the decision and the rule behind it."""
    said: Document = {"action_id": int(action), "disposition_id": int(disposition)}
    if rule := fields.get("rule"):
        origin = fields.get("origin")
        said["firewall_rule"] = {"name": str(rule), **({"desc": str(origin)} if origin else {})}
    if reason := fields.get("reason"):
        said["status_detail"] = str(reason)
    if isinstance(repeats := fields.get("repeats"), int):
        said["count"] = repeats
    return said


def file(path: str) -> Document:
    return {"name": basename(path) or path, "path": path, "type_id": 0}
