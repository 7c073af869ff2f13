"""nono.launch.state.file: who can read the state of a run, how long, and which file is taken for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from nono import paths
from nono.errors import NonoError
from nono.launch.state import file as state
from nono.launch.state.file import MAX_BYTES, StateFile, read_own_state, state_file


def warn(sentence: str) -> None:
    raise AssertionError(sentence)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}


@pytest.fixture
def made(environ: dict[str, str]) -> Iterator[StateFile]:
    """Create the state file of a run under a umask that takes every bit."""
    before = os.umask(0o777)
    try:
        with state_file(environ, warn) as file:
            assert file is not None
            assert file.create()
            yield file
    finally:
        os.umask(before)


def test_the_state_is_the_users_alone(made: StateFile) -> None:
    assert os.stat(made.path).st_mode & 0o7777 == 0o600


def test_the_state_is_gone_once_its_run_has_ended(environ: dict[str, str]) -> None:
    with state_file(environ, warn) as file:
        assert file is not None
        file.create()
        assert os.path.exists(file.path)
    assert os.listdir(os.path.dirname(file.path)) == []


def test_a_run_sweeps_what_a_killed_one_left_and_nothing_of_one_that_goes_on(
    made: StateFile, environ: dict[str, str]
) -> None:
    os.umask(0o077)
    left = Path(made.path).with_name(".nono-0123456789abcdef.json")
    left.touch(0o600)
    with state_file(environ, warn):
        assert (os.path.exists(made.path), left.exists()) == (True, False)


def test_a_state_that_cannot_be_written_is_said_and_removed(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(state, "state_document", lambda _: {})
    with state_file(environ, said.append) as file:
        assert file is not None
        file.create()
        full = os.open("/dev/full", os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(full, file._fd, inheritable=False)
        os.close(full)
        file.write(cast(Any, None))
        assert not os.path.exists(file.path)
    assert said == [f"`nono why --self` will not work inside: {file.path}: No space left on device"]


def _mode(mode: int) -> Callable[[Path], None]:
    return lambda path: path.chmod(mode)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def _link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        pytest.param(_mode(0o644), "mode 0600", id="644"),
        pytest.param(_mode(0o620), "mode 0600", id="620"),
        pytest.param(_mode(0o400), "mode 0600", id="400"),
        pytest.param(_pipe, "not a regular file", id="a pipe"),
        pytest.param(_link, "Too many levels of symbolic links", id="a link"),
        pytest.param(lambda path: os.truncate(path, MAX_BYTES + 1), "too large", id="too large"),
        pytest.param(lambda path: path.write_text("{}"), "missing or unknown", id="another version"),
    ],
)
def test_what_a_run_has_not_written_so_is_not_its_state(
    change: Callable[[Path], None], complaint: str, tmp_path: Path
) -> None:
    file = tmp_path / "state.json"
    file.touch(0o600)
    file.chmod(0o600)
    change(file)
    with pytest.raises(NonoError, match=complaint):
        read_own_state({paths.STATE_VARIABLE: str(file)})


def test_a_file_of_another_user_is_not_the_state_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "state.json"
    file.touch(0o600)
    file.chmod(0o600)
    uid = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    with pytest.raises(NonoError, match="it must belong to this user"):
        read_own_state({paths.STATE_VARIABLE: str(file)})
