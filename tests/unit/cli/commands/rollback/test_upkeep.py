"""nono.cli.commands.rollback.upkeep: what is removed of the undo of old sessions."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from nono.cli.commands.rollback import upkeep
from nono.cli.commands.rollback.upkeep import Wish, cleanup
from nono.undo import kept
from nono.undo.model.session import Weighed

ENDED = Weighed("ended", 1, 10, has_changes=True, is_running=False)
RUNNING = Weighed("running", 2, 10, has_changes=True, is_running=True)


@pytest.fixture
def removed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the ids of what is removed, of a session that has ended and one that runs."""
    ids = list[str]()

    def locked(root: str) -> AbstractContextManager[None]:
        return nullcontext()

    monkeypatch.setattr(kept, "all_locked", locked)
    monkeypatch.setattr(kept, "weighed", lambda root: [ENDED, RUNNING])
    monkeypatch.setattr(kept, "remove", lambda root, session_id: ids.append(session_id))
    return ids


def cleaned_up(home: Path, *, yes: bool = False, is_dry: bool = False) -> int:
    wish = Wish(keep=None, older_than=None, all=True, is_dry=is_dry, yes=yes)
    return cleanup(wish, {"HOME": str(home)})


@pytest.mark.parametrize("is_agreed", [True, False])
def test_all_are_removed_after_a_yes_but_what_runs(
    is_agreed: bool, removed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "_agreed", lambda count: is_agreed)
    assert (cleaned_up(tmp_path), removed) == ((0, ["ended"]) if is_agreed else (1, []))


def test_what_has_ended_since_a_person_was_asked_stays(
    removed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def agreed(count: int) -> bool:
        monkeypatch.setattr(kept, "weighed", lambda root: [ENDED, RUNNING._replace(is_running=False)])
        return count == 1

    monkeypatch.setattr(upkeep, "_agreed", agreed)
    assert (cleaned_up(tmp_path), removed) == (0, ["ended"])


@pytest.mark.parametrize(("is_dry", "ids"), [(True, []), (False, ["ended"])])
def test_nobody_is_asked_where_nothing_is_removed_or_a_yes_was_given(
    is_dry: bool, ids: list[str], removed: list[str], tmp_path: Path
) -> None:
    assert (cleaned_up(tmp_path, yes=not is_dry, is_dry=is_dry), removed) == (0, ids)
