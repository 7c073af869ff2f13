"""A session of the past is judged by what was typed, where it was typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from nono.audit import event
from nono.audit.ledger import AuditLog
from nono.cli.commands.report.log import seen_from
from nono.cli.commands.report.rules import judging
from nono.policy.why.hosts import why_host
from unit.cli.commands.report.test_changed import RECORD


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("claude-code", "claude-code"),
        ("./p.json", "/work/./p.json"),
        ("p.json", "/work/p.json"),
        ("profiles/p.json", "/work/profiles/p.json"),
        ("/etc/p.json", "/etc/p.json"),
        ("~/p.json", "~/p.json"),
        ("claude-code,./p.json", "claude-code,/work/./p.json"),
    ],
)
def test_a_profile_is_read_where_it_was_typed(typed: str, meant: str) -> None:
    assert seen_from("/work", typed) == meant


@pytest.mark.parametrize(
    ("options", "status"),
    [({"allow_domain": ["a.example"]}, "allowed"), ({"allow_domain": ["b.example"]}, "denied")],
)
def test_a_session_is_judged_by_the_options_in_its_log(
    tmp_path: Path, options: dict[str, object], status: str
) -> None:
    environ = {"HOME": str(tmp_path)}
    with AuditLog(str(tmp_path / ".local/state/nono"), "a") as log:
        log.record(event.session_started(["true"]))
        log.record(event.run_options(options, []))
    judged = judging(RECORD._replace(rollback_session="a", profile=None, workdir=str(tmp_path)), environ)
    assert judged is not None
    assert why_host(judged.rules, "a.example", 443).status == status
