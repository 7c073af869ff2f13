"""A profile that a project calls for is added after a person's yes, which is asked for once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nono.cli import project_profiles
from nono.cli.project_profiles import wanted
from nono.policy.schema.profile import Profile

RUST = "rust-dev"


def never(name: str, marker: str, purpose: str) -> bool:
    pytest.fail(f"{name} is offered for {marker}")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path)}


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    """Return the file of the answers, in a directory that is there."""
    directory = tmp_path / ".local/state/nono"
    directory.mkdir(parents=True, mode=0o700)
    return directory / "projects.json"


def project(tmp_path: Path, name: str = "project") -> str:
    (tmp_path / name).mkdir()
    (tmp_path / name / "Cargo.toml").touch()
    return str(tmp_path / name)


@pytest.mark.parametrize("answer", [True, False])
def test_a_profile_is_added_after_a_yes_that_is_remembered(
    tmp_path: Path, environ: dict[str, str], answer: bool
) -> None:
    cwd, added = project(tmp_path), [RUST] if answer else []
    assert wanted(Profile(), cwd, environ, None) == []  # nobody can be asked
    assert wanted(Profile(), cwd, environ, lambda *_: answer) == added
    for offer in (never, None):
        assert wanted(Profile(), cwd, environ, offer) == added
    assert wanted(Profile(), project(tmp_path, "another"), environ, None) == []


@pytest.mark.parametrize("said", [True, "yes", 1, {}])
def test_only_a_yes_is_one(tmp_path: Path, environ: dict[str, str], memory: Path, said: object) -> None:
    cwd = project(tmp_path)
    memory.write_text(json.dumps({cwd: {RUST: said}}))
    assert wanted(Profile(), cwd, environ, never) == ([RUST] if said is True else [])


def test_a_profile_of_that_name_that_is_broken_is_not_offered(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    own = tmp_path / ".config/nono/profiles"
    own.mkdir(parents=True)
    (own / f"{RUST}.json").write_text("{")
    assert wanted(Profile(), project(tmp_path), environ, never) == []


def test_of_too_many_projects_the_oldest_are_forgotten(
    tmp_path: Path, environ: dict[str, str], memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project_profiles, "MAX_PROJECTS", 2)
    places = [project(tmp_path, name) for name in "abc"]
    for place in places:
        wanted(Profile(), place, environ, lambda *_: True)
    assert [*json.loads(memory.read_text())] == places[1:]
