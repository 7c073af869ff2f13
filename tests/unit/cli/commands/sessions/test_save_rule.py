"""nono.cli.commands.sessions.save_rule: what sessions save at the same time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nono.cli.commands.sessions import save_rule
from nono.cli.diagnostics.saved_profile import ChangedMeanwhileError, Draft, save
from nono.sessions.record import Record

RECORD = Record(
    "0123456789abcdef", None, 1, 2, "2026-11-30T12:00:00+00:00", 3, "running", "detached", None, ("true",),
    "mine", "/", "allowed", None,
)  # fmt: skip
WANTED = {"kind": "host", "target": "good.example"}


@pytest.mark.parametrize(("agreed", "hosts"), [(True, ["other.example", "good.example"]), (False, None)])
def test_a_rule_that_nobody_is_asked_about_is_added_to_what_another_session_saved(
    *, agreed: bool, hosts: list[str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person who has agreed to a change has not seen the other one, and is told."""
    environ = {"HOME": str(tmp_path)}
    file = tmp_path / ".config/nono/profiles/mine.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"meta": {"name": "mine"}}')
    other = {"meta": {"name": "mine"}, "network": {"allow_domain": ["other.example"]}}

    def late(draft: Draft, given: dict[str, str]) -> None:
        monkeypatch.setattr(save_rule, "save", save)
        file.write_text(json.dumps(other))
        save(draft, given)

    monkeypatch.setattr(save_rule, "save", late)
    monkeypatch.setattr(save_rule, "confirm", lambda *words, is_pristine: True)
    if hosts is None:
        with pytest.raises(ChangedMeanwhileError, match="has changed meanwhile; nothing was saved"):
            save_rule.save_rule(RECORD, "", "allow", WANTED, environ, agreed=agreed)
        assert json.loads(file.read_text()) == other
    else:
        assert save_rule.save_rule(RECORD, "", "allow", WANTED, environ, agreed=agreed) == 0
        assert json.loads(file.read_text())["network"]["allow_domain"] == hosts


@pytest.mark.parametrize("is_link", [True, False])
def test_a_person_is_told_where_the_profile_of_a_project_leads(
    *, is_link: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command of the session may have put a link to another profile in its place."""
    other, named = tmp_path / "other.json", tmp_path / "nono.json"
    other.write_text('{"meta": {"name": "other"}}')
    if is_link:
        named.symlink_to(other)
    else:
        named.write_text(other.read_text())
    record, asked = RECORD._replace(profile="./nono.json", workdir=str(tmp_path)), list[str]()

    def ask(shown: list[str], question: str, *, is_pristine: bool) -> bool:
        asked.extend((*shown[:2], question))
        return False

    monkeypatch.setattr(save_rule, "confirm", ask)
    assert save_rule.save_rule(record, "", "allow", WANTED, {"HOME": str(tmp_path)}, agreed=False) == 1
    place = other if is_link else named
    assert asked == [f"--- {place}", f"+++ {place}", f"Write this to {place}? [y/N] "]
