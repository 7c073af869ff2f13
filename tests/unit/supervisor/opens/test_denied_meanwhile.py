"""A path that is denied while a person is asked about it stays closed, whatever the answer."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import anyio
import pytest

from nono.approval.request import Answer, Request
from nono.audit.event import part
from nono.policy.capability import Access
from nono.policy.files.denials import DenyRules
from nono.policy.files.grants import GrantTable
from nono.policy.files.path_verdict import FilePolicy
from nono.policy.live.paths import LivePaths
from nono.policy.live.rule import Decision, LiveRule
from nono.supervisor.opens.handler import FileOpens
from unit.supervisor.opens.test_handed_over import staged

NOTHING = FilePolicy(GrantTable([]), DenyRules((), ()), (), GrantTable([]))


@pytest.mark.parametrize(
    ("denied", "is_opened"), [("wanted", False), ("beside", True)], ids=["the path", "another"]
)
def test_a_denial_made_while_a_person_is_asked_beats_a_yes(
    denied: str, is_opened: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, live = tmp_path / "wanted", LivePaths()
    file.write_text("content")

    async def agrees_too_late(_: Request, /) -> Answer:
        live.put([_rule("deny", tmp_path / denied)])
        return Answer("granted")

    async def play() -> None:
        async with anyio.create_task_group() as tasks:
            opens = FileOpens(
                *(stage.listener, stage.command, NOTHING, agrees_too_late, stage.events.append, tasks, live)
            )
            await stage.open(opens, str(file), os.O_RDONLY)
            opens.close()

    with staged(monkeypatch) as stage:
        asyncio.run(play())
    assert stage.is_handed_over.is_set() is is_opened
    assert stage.answer == (None if is_opened else errno.EPERM)
    reasons = [part(part(part(each, "entry"), "decision"), "Denied")["reason"] for each in stage.events]
    assert reasons == ([] if is_opened else [f"'{file}' is denied by nono deny, by a person"])


def _rule(decision: Decision, path: Path) -> LiveRule:
    return LiveRule("0", decision, "path", str(path), Access.READWRITE, "a person", 0, None)
