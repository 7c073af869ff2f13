"""A number that a page promises is the one in the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from nono.approval import notices
from nono.audit import ledger
from nono.cli.commands.run import report
from nono.control import application, events, take_over
from nono.credentials.logins import stored
from nono.launch.control import interface
from nono.outward import orders
from nono.policy.services import approval
from nono.proxy.exchange import course
from nono.sessions import retention
from nono.settings.user_config import Audit, Rollback
from nono.supervisor import loop
from nono.trust import pattern
from nono.trust.disk import scan
from nono.undo import baseline

ROOT = Path(__file__).parents[2]
SHARES = {10: "tenth", 20: "twentieth"}
CONTROL = (
    f"{take_over.CONNECTIONS_MAX} connections, {application.READERS_MAX} readers of events, "
    f"{application.BODY_BYTES_MAX >> 10} KiB of a request's body, "
    f"{application.IDLE_S:g} s between two requests"
)
HISTORY = Rollback()
SAID = [
    ("docs/control.md", CONTROL),
    ("docs/control.md", f"from {interface.OPENS_AFTER_S * 1000:g} ms after its start"),
    ("docs/control.md", f"what exceeds {events.UNREAD_BYTES_MAX >> 20} MiB for it"),
    ("docs/control.md", f"within {course.DELAY_S * 1000:g} ms of their end"),
    ("docs/audit.md", f"onto the disk within {loop.SYNC_INTERVAL_S * 1000:g} ms"),
    ("docs/audit.md", f"every {orders.ANCHOR_EVERY_MIN} minutes"),
    ("docs/concepts/audit.md", f"or one of more than {report.WORTH_A_REPORT_S:g} s"),
    ("docs/concepts/approvals.md", f"{approval.TIMEOUT_S:g} seconds for a file"),
    ("docs/concepts/approvals.md", {300.0: "five minutes for a host"}[approval.ASKING_TIMEOUT_S]),
    ("docs/concepts/approvals.md", {5.0: "at most one every five seconds"}[notices.EVERY_S]),
    ("docs/rollback.md", f"`max_snapshots` of config.toml ({HISTORY.max_snapshots:,})"),
    ("docs/rollback.md", f"(`max_sessions`, {HISTORY.max_sessions})"),
    ("docs/rollback.md", f"(`max_storage_gb`, {HISTORY.max_storage_gb:g}, and never more than a "),
    ("docs/rollback.md", f"never more than a {SHARES[baseline.SHARE_OF_DISK]} of the disk"),
    ("docs/rollback.md", f"`stale_grace_hours` ({HISTORY.stale_grace_hours})"),
    ("docs/trust.md", f"up to {pattern.PATTERNS_MAX}."),
    ("docs/trust.md", f"deeper than {scan.DEPTH_MAX} directories"),
    ("docs/guides/sessions.md", f"more than {retention.DAYS} days ago"),
    ("docs/agents.md", f"after {stored.TTL_S // 86400} days"),
    ("SECURITY.md", f"({Audit().session_max_mb >> 10} GiB, `audit.session_max_mb`"),
    ("SECURITY.md", f"or a {SHARES[ledger.SHARE_OF_DISK]} of the disk that is free"),
]


@pytest.mark.parametrize(("page", "words"), SAID)
def test_a_page_says_the_limit_of_the_code(page: str, words: str) -> None:
    assert words in " ".join((ROOT / page).read_text(encoding="utf-8").split())
