"""Build the report on a run as one JSON document, for --diagnostics-json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nono.cli.text.footer import Finding, headline, what
from nono.launch.denials import Denied, Kind
from nono.policy.capability import Access

if TYPE_CHECKING:
    from nono.policy.why.usual import Absentee
    from nono.supervisor.limits.report import LimitReport

_CODES = {
    Kind.PATH: "sandbox_denied_path",
    Kind.SOCKET: "sandbox_denied_unix_socket",
    Kind.NETWORK: "sandbox_denied_network",
}
_REMEDIES = {Kind.PATH: "grant_path", Kind.SOCKET: "grant_unix_socket", Kind.NETWORK: "grant_network"}


def document(
    exit_code: int,
    found: Sequence[Finding],
    limit: LimitReport | None = None,
    absent: Sequence[Absentee] = (),
) -> dict[str, Any]:
    """Return the report for json.dumps.

    limit: The limit that ended the command, if one did.
    absent: What the command usually needs and was not granted, if it failed.
    """
    of = {kind: [each for each in found if each.denied.kind is kind] for kind in Kind}
    diagnostics = [*map(_diagnostic, found), *map(_absentee, absent)]
    if limit is not None:
        diagnostics.insert(0, _limit(limit))
    if exit_code and not diagnostics:
        diagnostics.append(
            {"code": "command_failed_application", "severity": "error", "message": headline(exit_code)}
        )
    session = {
        "exit_code": exit_code,
        "denials": [
            {"path": each.denied.target, "access": each.denied.access, "reason": _reason(each.denied)}
            for each in of[Kind.PATH]
        ],
        "ipc_denials": [_ipc_denial(each) for each in of[Kind.SOCKET]],
        "violations": [],
        "diagnostics": diagnostics,
    }
    proxy = [_present(each.denied) for each in of[Kind.NETWORK]]
    return {"session": session} | ({"proxy": proxy} if proxy else {})


def _absentee(absentee: Absentee) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "code": "command_failed_likely_sandbox",
        "severity": "info",
        "message": f"{absentee.path} was not granted: {absentee.purpose}",
        "remediation": {"kind": "check_policy" if absentee.flag is None else "grant_path"},
    }
    remedy = absentee.flag or absentee.instead
    hint = {} if remedy is None else {"hint": remedy}
    access = {Access.READ: "Read", Access.WRITE: "Write", Access.READWRITE: "ReadWrite"}[absentee.access]
    return fields | hint | {"path": absentee.path, "access": access}


def _limit(limit_report: LimitReport) -> dict[str, Any]:
    rows = dict(limit_report.rows)
    hint = rows.pop("hint")
    detail = ", ".join(f"{name}: {text}" for name, text in rows.items())
    fields = {"code": limit_report.code, "severity": "error", "message": limit_report.title}
    return fields | {"hint": hint, "detail": detail}


def _reason(denied: Denied) -> str:
    if denied.timed_out:
        return "BackendError"
    if denied.by is not None:
        return "UserDenied"
    if "rate limit" in denied.reason:
        return "RateLimited"
    return "InsufficientAccess" if denied.reason.startswith("granted for ") else "PolicyBlocked"


def _ipc_denial(finding: Finding) -> dict[str, Any]:
    denied = finding.denied
    binds = (denied.rule or "").endswith("_bind")
    fields: dict[str, Any] = {
        "target": denied.target,
        "operation": "bind" if binds else "connect",
        "reason": "UnixSocketDenied",
        "remediation": _REMEDIES[Kind.SOCKET],
    }
    return fields | ({"suggested_flag": finding.flag} if finding.flag is not None else {})


def _diagnostic(finding: Finding) -> dict[str, Any]:
    denied = finding.denied
    fields: dict[str, Any] = {
        "code": _CODES[denied.kind],
        "severity": "error",
        "message": f"{what(denied)}: {denied.reason}",
        "remediation": {"kind": "check_policy" if finding.flag is None else _REMEDIES[denied.kind]},
    }
    if finding.flag is not None:
        fields["hint"] = finding.flag
    if denied.kind is Kind.PATH:
        fields |= {"path": denied.target, "access": denied.access}
    return fields


def _present(denied: Denied) -> dict[str, Any]:
    names = ("target", "port", "method", "path", "reason", "route", "rule", "origin", "hint")
    return {name: getattr(denied, name) for name in names if getattr(denied, name) is not None}
