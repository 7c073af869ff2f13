"""A bind in a directory leaves the working directory and the umask of the process as they were."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from nono.supervisor.calls.unix import _bind_in, _own_directory_and_umask


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_the_callers_mode_is_applied_without_changing_the_process(tmp_path: Path, umask: int) -> None:
    before, mask = os.getcwd(), os.umask(0o027)
    os.umask(mask)
    directory = os.open(tmp_path, os.O_PATH)
    try:
        with socket.socket(socket.AF_UNIX) as made, socket.socket(socket.AF_UNIX) as second:
            _bind_in(made, directory, b"s", umask)
            assert made.getsockname() == "s"
            assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o777 & ~umask
            with pytest.raises(OSError, match="in use"):
                _bind_in(second, directory, b"s", umask)
    finally:
        os.close(directory)
    after = os.umask(mask)
    assert (os.getcwd(), after) == (before, mask)


def test_a_refused_unshare_is_no_reason_to_bind_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "unshare", refuse)
    _own_directory_and_umask()
