"""What --diagnostics-json prints of a run."""

from __future__ import annotations

from typing import Any

import pytest

from nono.cli.text.footer import Finding
from nono.cli.text.json_report import document
from nono.launch.denials import Denied, Kind
from nono.policy.capability import Access
from nono.policy.why.usual import Absentee
from nono.supervisor.limits.report import LimitReport

PATH = Denied(Kind.PATH, "/x", "no rule grants it", access="Read")
SOCKET = Denied(Kind.SOCKET, "/run/s", "no rule grants it", rule="unix_socket")
HOST = Denied(Kind.NETWORK, "a.test", "no rule", port=443, route="alpha", rule="r", origin="o", hint="h")


def diagnostics(*arguments: Any, **more: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document(*arguments, **more)["session"]["diagnostics"]
    return found


@pytest.mark.parametrize(
    ("denied", "reason"),
    [
        (PATH, "PolicyBlocked"),
        (PATH._replace(by="terminal"), "UserDenied"),
        (PATH._replace(by="terminal", timed_out=True), "BackendError"),
        (PATH._replace(reason="the rate limit of questions is reached"), "RateLimited"),
        (PATH._replace(reason="granted for reading only"), "InsufficientAccess"),
    ],
)
def test_a_denied_path_has_a_reason_of_a_fixed_list(denied: Denied, reason: str) -> None:
    found = document(1, [Finding(denied, None)])["session"]["denials"]
    assert found == [{"path": "/x", "access": "Read", "reason": reason}]


@pytest.mark.parametrize(("flag", "kind"), [("--read /x", "grant_path"), (None, "check_policy")])
def test_a_diagnostic_has_the_flag_that_would_have_allowed_it(flag: str | None, kind: str) -> None:
    (found,) = diagnostics(1, [Finding(PATH, flag)])
    assert found["code"] == "sandbox_denied_path"
    assert found["remediation"] == {"kind": kind}
    assert found.get("hint") == flag


@pytest.mark.parametrize(
    ("rule", "operation"), [("unix_socket", "connect"), ("unix_socket_bind", "bind"), (None, "connect")]
)
def test_a_denied_socket_tells_connecting_from_binding(rule: str | None, operation: str) -> None:
    told = document(1, [Finding(SOCKET._replace(rule=rule), "--allow-unix-socket /run/s")])
    assert told["session"]["ipc_denials"] == [
        {
            "target": "/run/s",
            "operation": operation,
            "reason": "UnixSocketDenied",
            "remediation": "grant_unix_socket",
            "suggested_flag": "--allow-unix-socket /run/s",
        }
    ]
    assert told["session"]["denials"] == []
    (bare,) = document(1, [Finding(SOCKET, None)])["session"]["ipc_denials"]
    assert "suggested_flag" not in bare


def test_a_denied_host_is_told_with_its_rule_and_route() -> None:
    told = document(1, [Finding(HOST, None)])
    assert told["proxy"] == [
        {
            "target": "a.test", "port": 443, "reason": "no rule", "route": "alpha", "rule": "r",
            "origin": "o", "hint": "h",
        }
    ]  # fmt: skip
    assert told["session"]["denials"] == told["session"]["ipc_denials"] == []
    assert "proxy" not in document(1, [Finding(PATH, None)])


@pytest.mark.parametrize(("exit_code", "codes"), [(0, []), (3, ["command_failed_application"])])
def test_only_a_failure_without_a_denial_is_the_commands_own(exit_code: int, codes: list[str]) -> None:
    assert [each["code"] for each in diagnostics(exit_code, [])] == codes
    assert [each["code"] for each in diagnostics(exit_code, [Finding(PATH, None)])] == ["sandbox_denied_path"]


def test_the_limit_that_ended_a_command_comes_first() -> None:
    limit = LimitReport(
        "memory_limit_exceeded", "the limit was reached", (("limit", "1 MiB"), ("hint", "--memory 2M"))
    )
    first, second = diagnostics(137, [Finding(PATH, None)], limit)
    assert first == {
        "code": "memory_limit_exceeded",
        "severity": "error",
        "message": "the limit was reached",
        "hint": "--memory 2M",
        "detail": "limit: 1 MiB",
    }
    assert second["code"] == "sandbox_denied_path"


@pytest.mark.parametrize(
    ("flag", "instead", "kind", "hint"),
    [
        ("--read /x", None, "grant_path", "--read /x"),
        (None, "do that", "check_policy", "do that"),
        (None, None, "check_policy", None),
    ],
)
def test_what_a_command_usually_needs_is_no_error(
    flag: str | None, instead: str | None, kind: str, hint: str | None
) -> None:
    (found,) = diagnostics(1, [], absent=[absentee(flag, instead)])
    assert (found["code"], found["severity"]) == ("command_failed_likely_sandbox", "info")
    assert (found["remediation"], found.get("hint"), found["access"]) == ({"kind": kind}, hint, "ReadWrite")


def absentee(flag: str | None, instead: str | None) -> Absentee:
    return Absentee("/x", Access.READWRITE, "its settings", "make", flag, instead)
