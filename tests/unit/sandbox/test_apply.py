"""nono.sandbox.apply: which standard streams a command with its own root may open anew."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nono.kernel import landlock
from nono.kernel.landlock_rights import HANDLED_FS, access_rights
from nono.sandbox import apply
from nono.sandbox.plan.enforcement import StaticFilter
from nono.sandbox.plan.plan import SandboxPlan

ABI = 3
PLAN = SandboxPlan(ABI, HANDLED_FS[ABI], 0, 0, (), (), (), StaticFilter.OPEN_NET, None)._replace(
    own_root_fs=HANDLED_FS[ABI]
)


def added_for(path: Path, flags: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the rights that are granted on a stream that was opened like this."""
    rights = list[int]()
    monkeypatch.setattr(landlock, "add_path_beneath", lambda ruleset, parent, access: rights.append(access))
    stream = os.open(path, flags | os.O_CLOEXEC)
    try:
        apply._add_stream_rule(-1, stream, PLAN)
    finally:
        os.close(stream)
    return rights


@pytest.mark.parametrize(
    ("flags", "reads", "writes"),
    [(os.O_RDONLY, True, False), (os.O_WRONLY, False, True), (os.O_RDWR, True, True)],
)
def test_a_stream_is_opened_anew_for_what_it_was_opened_for(
    flags: int, reads: bool, writes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    expected = access_rights(access_reads=reads, access_writes=writes, is_dir=False, is_device=False, abi=ABI)
    assert added_for(tmp_path / "file", flags, monkeypatch) == [expected & HANDLED_FS[ABI]]


def test_a_directory_on_a_stream_grants_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was opened where nothing is mounted over what is denied."""
    assert added_for(tmp_path, os.O_RDONLY, monkeypatch) == []


def failing(number: int) -> Callable[[int, int, int], None]:
    def add(ruleset: int, parent: int, access: int) -> None:
        raise OSError(number, os.strerror(number))

    return add


def test_only_a_stream_without_a_place_in_the_file_system_may_be_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, writer = os.pipe()
    try:
        monkeypatch.setattr(landlock, "add_path_beneath", failing(errno.EBADFD))
        apply._add_stream_rule(-1, reader, PLAN)
        monkeypatch.setattr(landlock, "add_path_beneath", failing(errno.EINVAL))
        with pytest.raises(OSError, match="Invalid argument"):
            apply._add_stream_rule(-1, reader, PLAN)
    finally:
        os.close(reader)
        os.close(writer)
