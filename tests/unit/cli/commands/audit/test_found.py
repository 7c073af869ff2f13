"""Which sessions `nono audit` lists and removes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from nono.cli.args.argparse_parser import NUMBER_MAX
from nono.cli.commands.audit import cleanup
from nono.cli.commands.audit.cleanup import Wish, chosen
from nono.cli.commands.audit.found import COMPLETED, ORPHANED, RUNNING, Found, Wanted, filtered
from nono.cli.text import audit_text


def session(session_id: str, started: str, **fields: Any) -> Found:
    found = Found(session_id, "/x", COMPLETED, started, None, ("/usr/bin/Make", "all"), ("/home/u/p",), 0, 10)
    return found._replace(**fields)


# In UTC it is the day before.
LATE = session("late", "2026-01-03T00:30:00+01:00")
SESSIONS = [LATE, session("early", "2026-01-01T12:00:00Z"), session("unknown", "")]


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (Wanted(), ["late", "early", "unknown"]),
        (Wanted(since=date(2026, 1, 2)), ["late"]),
        (Wanted(since=date(2026, 1, 3)), []),
        (Wanted(until=date(2026, 1, 1)), ["early"]),
        (Wanted(until=date(2026, 1, 2)), ["late", "early"]),
        (Wanted(command="make"), ["late", "early", "unknown"]),
        (Wanted(command="all"), []),
        (Wanted(path="/home/u"), ["late", "early", "unknown"]),
        (Wanted(path="/home/u/p/deeper"), ["late", "early", "unknown"]),
        (Wanted(path="/home/u/p2"), []),
        (Wanted(recent=1), ["late"]),
    ],
)
def test_a_list_holds_what_is_wanted(wanted: Wanted, ids: list[str]) -> None:
    assert [each.session_id for each in filtered(SESSIONS, wanted)] == ids


NOW = datetime(2026, 1, 4, 12, tzinfo=UTC)
ALIVE = session("alive", "2026-01-01T12:00:00Z", state=RUNNING)
KILLED = session("killed", "2026-01-01T12:00:00Z", state=ORPHANED)


@pytest.mark.parametrize(
    ("wish", "ids"),
    [
        (Wish(None, None, is_all=True, is_dry=False), ["late", "killed"]),
        (Wish(None, 1, is_all=False, is_dry=False), ["killed"]),
        (Wish(2, None, is_all=False, is_dry=False), ["killed"]),
        (Wish(3, None, is_all=False, is_dry=False), []),
        (Wish(NUMBER_MAX, None, is_all=False, is_dry=False), []),
    ],
)
def test_a_cleanup_chooses_what_has_ended(wish: Wish, ids: list[str]) -> None:
    assert [each.session_id for each in chosen([ALIVE, LATE, KILLED], wish, NOW)] == ids


def test_what_a_log_says_draws_nothing_on_the_terminal() -> None:
    drawn = "\x1b[2J\x07"
    hostile = session("s", drawn, ended=drawn, command=(drawn,), tracked_paths=(drawn,))
    summary = {
        "executable_identity": {"resolved_path": drawn, "sha256": drawn},
        "merkle_roots": [drawn, drawn],
        "audit_attestation": {"key_id": drawn},
    }
    lines = [*audit_text.listing([hostile]), *audit_text.details(hostile, summary, {drawn: 1}, None)]
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize("is_agreed", [True, False])
def test_a_cleanup_that_says_nothing_removes_what_a_person_agrees_to(
    is_agreed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed = list[Found]()
    monkeypatch.setattr(cleanup, "all_found", lambda environ: [ALIVE, LATE, KILLED])
    monkeypatch.setattr(cleanup, "_agrees", lambda count: is_agreed and count == 2)
    monkeypatch.setattr(cleanup, "_remove", removed.append)
    status = cleanup.cleanup(Wish(None, None, is_all=False, is_dry=False), {}, silent=True)
    assert (status, removed) == ((0, [LATE, KILLED]) if is_agreed else (1, []))
