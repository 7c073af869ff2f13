"""nono.credentials.store.private_file: what is said of a file that cannot be kept."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from nono.credentials.store import private_file
from nono.credentials.store.private_file import PrivateFile
from nono.credentials.values.errors import CredentialUnavailable


@pytest.mark.parametrize(
    ("cause", "hint"),
    [(errno.EROFS, None), (errno.ENOSPC, None), (errno.EDQUOT, None), (errno.EACCES, "ls -ld ")],
)
def test_a_directory_is_looked_at_unless_the_disk_is_why(
    cause: int, hint: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What to do about a full or read-only disk is said for every file."""

    def refused(path: str, *, create: bool) -> int:
        raise OSError(cause, os.strerror(cause))

    monkeypatch.setattr(private_file, "open_private_dir", refused)
    with (
        pytest.raises(CredentialUnavailable, match=os.strerror(cause)) as told,
        PrivateFile(str(tmp_path), "keys", max_bytes=10).locked(),
    ):
        pass
    assert told.value.hint == (None if hint is None else f"{hint}{tmp_path}")
