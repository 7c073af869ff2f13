"""nono.launch.around.session_hooks: which hooks a run refuses before it starts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nono.errors import ConfigError
from nono.launch.around import session_hooks
from nono.policy.capability import Access, Grant
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.schema.profile import SessionHook, SessionHooks


@pytest.fixture
def hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the path of a hook in the working directory, in a home that others cannot change."""
    (tmp_path / "own").mkdir(mode=0o700)
    path = tmp_path / "own/hook"
    path.touch(mode=0o700)
    monkeypatch.chdir(path.parent)
    return str(path)


def refuse_unfit(script: str, *grants: Grant) -> None:
    session_hooks.refuse_unfit(SessionHooks(before=SessionHook(script=script)), grants)


def test_a_hook_is_named_by_its_whole_path(hook: str) -> None:
    refuse_unfit(hook)
    with pytest.raises(ConfigError, match="before: hook cannot be used: its path is not absolute"):
        refuse_unfit(os.path.basename(hook))


def test_a_hook_that_can_be_written_by_way_of_another_mount_is_refused(
    hook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = Grant("/elsewhere", Access.READWRITE, True, "user", "/elsewhere")
    refuse_unfit(hook, grant)
    monkeypatch.setattr(HostFilesystem, "aliases", lambda _, path: (os.path.dirname(hook),))
    with pytest.raises(ConfigError, match="the command may write"):
        refuse_unfit(hook, grant)
