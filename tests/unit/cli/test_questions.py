"""What nono asks before a run fits a terminal of 80 columns, and stays out of the command's output."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from nono.approval import ask
from nono.cli import key_prompt, project_profiles
from nono.policy.profile.detection import detected
from nono.policy.profile.store import own_document

COLUMNS = 80
FILES = {"Cargo.toml", "go.mod", "package.json", "pyproject.toml", "pom.xml", "mise.toml"}


def test_a_passphrase_is_asked_for_beside_the_commands_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = iter(["one", "another", "one", "one"])
    monkeypatch.setattr(key_prompt, "read_hidden", lambda question: next(typed))
    assert key_prompt.new_passphrase() is not None
    told = capsys.readouterr()
    assert (told.out, "These two differ." in told.err) == ("", True)
    assert [line for line in told.err.splitlines() if len(line) > COLUMNS] == []


@pytest.mark.parametrize(("profile", "marker"), sorted(detected(FILES).items()))
def test_the_offer_of_a_profile_fits_the_terminal(
    profile: str, marker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []

    def confirm(lines: Sequence[str], question: str, *, is_pristine: bool) -> bool:
        shown.extend(lines)
        return False

    monkeypatch.setattr(ask, "confirm", confirm)
    project_profiles.offer_profile(
        profile, marker, own_document(profile, {"HOME": "/nonexistent"})["meta"]["description"]
    )
    assert [line for line in shown if len(line) > COLUMNS] == []
    assert shown
