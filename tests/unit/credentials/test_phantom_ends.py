"""The key of the ends of phantoms is made once, and is nobody else's to read."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from nono.credentials.phantom_ends import key_of_ends
from nono.credentials.store.private_file import PrivateFile

NAME = "phantoms.json"


def test_the_key_is_the_same_in_every_run(tmp_path: Path) -> None:
    key = key_of_ends(str(tmp_path / "nono"))
    assert key is not None
    assert key_of_ends(str(tmp_path / "nono")) == key


def test_the_keys_of_two_people_differ(tmp_path: Path) -> None:
    assert key_of_ends(str(tmp_path / "one")) != key_of_ends(str(tmp_path / "two"))


def test_the_key_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        key_of_ends(str(tmp_path / "nono"))
    finally:
        os.umask(before)
    assert (tmp_path / "nono" / NAME).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "nono").stat().st_mode & 0o777 == 0o700


def test_runs_that_start_together_have_one_key(tmp_path: Path) -> None:
    found, start = [], threading.Barrier(8)

    def run() -> None:
        start.wait()
        found.append(key_of_ends(str(tmp_path / "nono")))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] is not None
    assert all(key == found[0] for key in found)


def test_a_key_that_another_run_has_made_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = key_of_ends(str(tmp_path))
    assert made is not None
    monkeypatch.setattr(PrivateFile, "read", lambda file: None)  # before the other made it
    assert key_of_ends(str(tmp_path)) == made


@pytest.mark.parametrize("content", [b"", b'"0"', b"0" * 64, b'"' + b"g" * 64 + b'"', b'"' + b"0" * 4096])
def test_a_damaged_key_is_made_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    (tmp_path / NAME).chmod(0o600)
    key = key_of_ends(str(tmp_path))
    assert key is not None
    assert key_of_ends(str(tmp_path)) == key


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_not_used(tmp_path: Path, mode: int) -> None:
    assert key_of_ends(str(tmp_path)) is not None
    (tmp_path / NAME).chmod(mode)
    assert key_of_ends(str(tmp_path)) is None


def test_a_link_in_the_place_of_the_key_is_not_followed(tmp_path: Path) -> None:
    state, elsewhere = tmp_path / "nono", tmp_path / "elsewhere"
    elsewhere.mkdir()
    key_of_ends(str(elsewhere))
    state.mkdir(mode=0o700)
    (state / NAME).symlink_to(elsewhere / NAME)
    assert key_of_ends(str(state)) is None
