"""A profile is saved as it was shown, or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from nono.cli import atomic_write
from nono.cli.diagnostics import saved_profile
from nono.cli.diagnostics.saved_profile import Draft, rewritten, save, target_of
from nono.errors import ProfileError
from nono.policy.why.saving import additions

DENIED = {"meta": {"name": "mine"}, "network": {"deny_domain": ["bad.example"]}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / ".config/nono/profiles/mine.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"meta": {"name": "mine"}}')
    return file


def draft(home: Path) -> Draft:
    """Return the profile with one host more, as a session draws it up before somebody agrees."""
    target = target_of("mine", {"HOME": str(home)})
    return rewritten(target, additions(["--allow-domain good.example"], str(home)))


def test_what_another_session_saved_meanwhile_is_not_lost(file: Path, tmp_path: Path) -> None:
    drawn_up = draft(tmp_path)
    file.write_text(json.dumps(DENIED))
    with pytest.raises(ProfileError, match="has changed meanwhile; nothing was saved"):
        save(drawn_up, {"HOME": str(tmp_path)})
    assert json.loads(file.read_text()) == DENIED
    assert [*file.parent.iterdir()] == [file]


def test_a_profile_that_nobody_changed_meanwhile_is_saved(file: Path, tmp_path: Path) -> None:
    save(draft(tmp_path), {"HOME": str(tmp_path)})
    assert json.loads(file.read_text())["network"] == {"allow_domain": ["good.example"]}


def test_what_nono_could_not_load_is_not_saved(file: Path, tmp_path: Path) -> None:
    broken = draft(tmp_path)._replace(document={"meta": {"name": "mine"}, "network": {"no_such_field": 1}})
    before = file.read_bytes()
    with pytest.raises(ProfileError, match="no_such_field"):
        save(broken, {"HOME": str(tmp_path)})
    assert file.read_bytes() == before
    assert [*file.parent.iterdir()] == [file]


def test_a_profile_that_is_not_utf_8_is_left_alone(file: Path, tmp_path: Path) -> None:
    latin_1 = '{"meta": {"name": "mine", "description": "für mich"}}'.encode("latin-1")
    file.write_bytes(latin_1)
    with pytest.raises(ProfileError, match="it is not UTF-8"):
        draft(tmp_path)
    assert file.read_bytes() == latin_1


def test_a_link_that_is_turned_meanwhile_has_nothing_else_written(file: Path, tmp_path: Path) -> None:
    """A profile may lie in a project, whose command can put a link in its place before somebody agrees."""
    environ, other = {"HOME": str(tmp_path)}, tmp_path / "settings.json"
    other.write_text(file.read_text())
    link = tmp_path / "project.json"
    link.symlink_to(file)
    drawn_up = rewritten(target_of(str(link), environ), additions(["--allow-domain a.example"], "/"))
    assert drawn_up.place == str(file)
    link.unlink()
    link.symlink_to(other)
    with pytest.raises(ProfileError, match="has changed meanwhile; nothing was saved"):
        save(drawn_up, environ)
    link.unlink()
    link.symlink_to(file)
    save(drawn_up, environ)
    assert (json.loads(other.read_text()), link.is_symlink()) == ({"meta": {"name": "mine"}}, True)
    assert json.loads(file.read_text())["network"] == {"allow_domain": ["a.example"]}


def test_what_is_no_file_any_more_holds_nobody_up(file: Path, tmp_path: Path) -> None:
    """In a project, its command may have put a FIFO in its place, which nobody writes to."""
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(OSError, match="not a regular file"):
        draft(tmp_path)


def test_two_sessions_that_save_at_once_lose_neither(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is stopped between its look at the file and its write."""
    drawn_up, other, replace = draft(tmp_path), draft(tmp_path), atomic_write.replace_name
    said = []

    def interrupted(path: str, content: bytes, *, mode: int | None) -> None:
        monkeypatch.setattr(atomic_write, "replace_name", replace)
        with pytest.raises(ProfileError) as refused:
            save(other, {"HOME": str(tmp_path)})
        said.append(str(refused.value))
        replace(path, content, mode=mode)

    monkeypatch.setattr(saved_profile, "LOCK_WAIT_S", 0.0)
    monkeypatch.setattr(atomic_write, "replace_name", interrupted)
    save(drawn_up, {"HOME": str(tmp_path)})
    assert said == [f"another program has held a lock on {file.parent} for 0 s; nothing was saved."]
    assert json.loads(file.read_text())["network"] == {"allow_domain": ["good.example"]}
    later = draft(tmp_path)
    save(later, {"HOME": str(tmp_path)})
    assert [*file.parent.iterdir()] == [file]
