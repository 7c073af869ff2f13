"""The embedded store: who may read it, what it survives, and what it refuses to believe."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from nono.credentials.store.vault import Vault
from nono.credentials.values.errors import CredentialNotFound, CredentialUnavailable
from nono.errors import CredentialError
from nono.secret import Secret


@pytest.fixture
def vault(environ: dict[str, str]) -> Vault:
    return Vault(environ)


def test_what_was_set_is_got_until_it_is_removed(vault: Vault) -> None:
    vault.set("openai", Secret("one"))
    vault.set("github", Secret("two"))
    vault.set("openai", Secret("three"))
    assert vault.get("openai") == Secret("three")
    assert vault.names() == ("github", "openai")
    assert vault.remove("openai")
    assert vault.get("openai") is None
    assert vault.get("github") == Secret("two")


def test_asking_an_absent_store_creates_nothing(vault: Vault, tmp_path: Path) -> None:
    assert vault.get("openai") is None
    assert vault.names() == ()
    assert not vault.remove("openai")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("umask", [0, 0o077, 0o277], ids=oct)
def test_only_the_owner_can_read_it_whatever_the_umask(vault: Vault, umask: int) -> None:
    previous = os.umask(umask)
    try:
        vault.set("openai", Secret("one"))
    finally:
        os.umask(previous)
    assert stat.S_IMODE(Path(vault.path).stat().st_mode) == 0o600
    assert stat.S_IMODE(Path(vault.path).parent.stat().st_mode) == 0o700
    assert vault.get("openai") == Secret("one")


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o602])
def test_a_vault_that_others_could_touch_is_left_alone(vault: Vault, bits: int) -> None:
    vault.set("openai", Secret("one"))
    Path(vault.path).chmod(bits)
    before = Path(vault.path).read_bytes()
    for action in (lambda: vault.get("openai"), vault.names, lambda: vault.set("x", Secret("two"))):
        with pytest.raises(CredentialUnavailable, match="other users"):
            action()
    assert Path(vault.path).read_bytes() == before
    Path(vault.path).chmod(0o600)
    assert vault.get("openai") == Secret("one")


def test_a_symlink_in_its_place_is_refused(vault: Vault, tmp_path: Path) -> None:
    vault.set("openai", Secret("one"))
    Path(vault.path).rename(tmp_path / "moved")
    Path(vault.path).symlink_to(tmp_path / "moved")
    with pytest.raises(CredentialUnavailable, match="symbolic links"):
        vault.get("openai")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["fifo", "directory"])
def test_what_is_no_file_in_its_place_is_refused(vault: Vault, make: object) -> None:
    vault.set("openai", Secret("one"))
    Path(vault.path).unlink()
    assert callable(make)
    make(vault.path, 0o600)
    with pytest.raises(CredentialUnavailable, match="regular file"):
        vault.get("openai")


def test_a_file_of_somebody_else_is_refused(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    vault.set("openai", Secret("one"))
    somebody = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: somebody)
    with pytest.raises(CredentialUnavailable, match="belongs to uid"):
        vault.get("openai")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '"c4n4ry"',
        '{"version": 2, "credentials": {}}',
        '{"version": 1}',
        '{"version": 1, "credentials": {"a": 1}}',
        "[" * 100_000,
    ],
    ids=lambda content: content[:30] or "empty",
)
def test_a_file_that_is_no_store_is_neither_believed_nor_overwritten(vault: Vault, content: str) -> None:
    vault.set("openai", Secret("one"))
    Path(vault.path).write_text(content)
    with pytest.raises(CredentialUnavailable, match="not a credential store") as caught:
        vault.set("openai", Secret("two"))
    assert "c4n4ry" not in str(caught.value)
    assert caught.value.__context__ is None
    assert Path(vault.path).read_text() == content


def test_a_value_with_control_characters_inside_the_file_is_unavailable(vault: Vault) -> None:
    vault.set("openai", Secret("one"))
    Path(vault.path).write_text(json.dumps({"version": 1, "credentials": {"openai": "a\r\nHost: evil"}}))
    with pytest.raises(CredentialUnavailable, match="control characters"):
        vault.get("openai")


@pytest.mark.parametrize("name", ["", "a b", "../x", "-x", "x" * 65])
def test_a_name_that_is_none_is_refused(vault: Vault, name: str) -> None:
    with pytest.raises(CredentialError, match="name"):
        vault.set(name, Secret("one"))


def test_a_value_that_is_no_line_is_not_stored(vault: Vault, tmp_path: Path) -> None:
    with pytest.raises(CredentialUnavailable, match="control characters"):
        vault.set("openai", Secret("a\nb"))
    with pytest.raises(CredentialNotFound, match="empty"):
        vault.set("openai", Secret(""))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_only_the_old_content(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    vault.set("openai", Secret("one"))

    def fail(fd: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(CredentialUnavailable, match="Input/output error"):
            vault.set("openai", Secret("two"))
    assert vault.get("openai") == Secret("one")
    assert {path.name for path in Path(vault.path).parent.iterdir()} == {
        "credentials.json",
        "credentials.lock",
    }


def test_the_leftover_of_a_killed_writer_does_not_stand_in_the_way(vault: Vault) -> None:
    vault.set("openai", Secret("one"))
    leftover = Path(vault.path).parent / ".credentials.json.tmp"
    leftover.write_text("half")
    vault.set("openai", Secret("two"))
    assert vault.get("openai") == Secret("two")
    assert not leftover.exists()


def _store_ten(environ: dict[str, str], writer: int) -> None:
    for number in range(10):
        Vault(environ).set(f"w{writer}_{number}", Secret("x"))


def test_writers_at_the_same_time_lose_nothing(environ: dict[str, str]) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_store_ten, args=(environ, number)) for number in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert len(Vault(environ).names()) == 30
