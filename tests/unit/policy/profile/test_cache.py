"""nono.policy.profile.cache: a second start imports no pydantic, and nothing foreign is believed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from nono.errors import ProfileError
from nono.policy.document.when import Host
from nono.policy.profile import cache
from nono.policy.profile.files import find
from nono.policy.profile.store import load, load_profile

PROFILE = {
    "extends": ["base", "python-dev"],
    "network": {"allow_domain": ["a.test"]},
    "security": {"groups": []},
}
BASE = {"filesystem": {"deny": ["~/x"]}, "policy": {"add_allow_read": ["/opt"]}}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    directory = tmp_path / ".config/nono/profiles"
    directory.mkdir(parents=True)
    (directory / "mine.json").write_text(json.dumps(PROFILE))
    (directory / "base.json").write_text(json.dumps(BASE))
    return {"HOME": str(tmp_path)}


def kept(environ: dict[str, str]) -> list[Path]:
    return sorted(Path(environ["HOME"], ".local/state/nono/profiles").glob("*"))


def imports_pydantic(environ: dict[str, str], long_lived: bool = False) -> bool:
    code = (
        "import sys; from nono.policy.profile.store import load; "
        f"load('mine', {environ!r}, long_lived={long_lived}); print('pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout == "True\n"


def test_the_second_start_with_a_profile_imports_no_pydantic(environ: dict[str, str]) -> None:
    assert imports_pydantic(environ)
    assert not imports_pydantic(environ)
    Path(environ["HOME"], ".config/nono/profiles/base.json").write_text("{}")
    assert imports_pydantic(environ)
    assert not imports_pydantic(environ)


def test_a_supervisor_that_validates_apart_keeps_the_result_as_well(environ: dict[str, str]) -> None:
    assert not imports_pydantic(environ, long_lived=True)
    assert not imports_pydantic(environ)


def test_what_is_kept_is_what_was_validated_warnings_included(environ: dict[str, str]) -> None:
    first, second = load("mine", environ), load("mine", environ)
    assert first == second
    assert first.warnings
    assert len(kept(environ)) == 1


def test_only_the_user_may_read_or_write_what_is_kept(environ: dict[str, str]) -> None:
    load_profile("mine", environ)
    (entry,) = kept(environ)
    assert entry.stat().st_mode & 0o777 == 0o600
    assert entry.parent.stat().st_mode & 0o777 == 0o700


def test_a_shipped_profile_is_not_kept(environ: dict[str, str]) -> None:
    load_profile("python-dev", environ)
    assert kept(environ) == []


def test_a_mistake_is_not_kept(environ: dict[str, str]) -> None:
    Path(environ["HOME"], ".config/nono/profiles/mine.json").write_text('{"a": 1}')
    for _ in range(2):
        with pytest.raises(ProfileError, match="no such field"):
            load_profile("mine", environ)
    assert kept(environ) == []


def forged(entry: Path) -> bytes:
    """Return an entry that is whole, and grants more."""
    document = {"document": {"filesystem": {"allow": ["/"]}}, "warnings": []}
    payload = json.dumps(document).encode()
    return sha256(payload).hexdigest().encode() + b"\n" + payload


def loosen(entry: Path) -> None:
    entry.write_bytes(forged(entry))
    entry.chmod(0o620)


def flip(entry: Path) -> None:
    raw = bytearray(entry.read_bytes())
    raw[-20] ^= 1
    entry.write_bytes(raw)


def link(entry: Path) -> None:
    other = entry.parent.parent / "other"
    other.write_bytes(forged(entry))
    other.chmod(0o600)
    entry.unlink()
    entry.symlink_to(other)


def hard_link(entry: Path) -> None:
    other = entry.parent.parent / "other"
    other.write_bytes(forged(entry))
    other.chmod(0o600)
    entry.unlink()
    entry.hardlink_to(other)


def fifo(entry: Path) -> None:
    entry.unlink()
    os.mkfifo(entry, 0o600)


def open_directory(entry: Path) -> None:
    entry.write_bytes(forged(entry))
    entry.parent.chmod(0o770)


DAMAGE: list[Callable[[Path], object]] = [
    loosen,
    flip,
    link,
    hard_link,
    fifo,
    open_directory,
    lambda entry: entry.write_bytes(b""),
    lambda entry: entry.write_bytes(entry.read_bytes()[:-5]),
    lambda entry: entry.write_bytes(b"\xff\n{}"),
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_somebody_else_could_have_written_is_not_believed(
    environ: dict[str, str], damage: Callable[[Path], object]
) -> None:
    right = load_profile("mine", environ)
    (entry,) = kept(environ)
    damage(entry)
    assert load_profile("mine", environ) == right


@pytest.mark.root
def test_an_entry_of_another_user_is_not_believed(environ: dict[str, str]) -> None:
    right = load_profile("mine", environ)
    (entry,) = kept(environ)
    entry.write_bytes(forged(entry))
    os.chown(entry, 12345, 12345)
    assert load_profile("mine", environ) == right


def test_an_entry_that_is_whole_is_what_is_used(environ: dict[str, str]) -> None:
    """So that the tests above test something."""
    load_profile("mine", environ)
    (entry,) = kept(environ)
    entry.write_bytes(forged(entry))
    assert load_profile("mine", environ).filesystem.allow == ("/",)


def test_without_a_place_for_it_a_profile_is_validated_every_time(environ: dict[str, str]) -> None:
    Path(environ["HOME"], ".local").write_text("no directory")
    assert load_profile("mine", environ).filesystem.read == ("/opt",)
    assert imports_pydantic(environ)


@pytest.mark.parametrize("is_link", [True, False])
def test_nothing_is_kept_or_believed_behind_a_link(environ: dict[str, str], is_link: bool) -> None:
    load_profile("mine", environ)
    (entry,) = kept(environ)
    entry.write_bytes(forged(entry))
    root, elsewhere = Path(environ["HOME"], ".local/state/nono"), Path(environ["HOME"], "elsewhere")
    if is_link:
        root.rename(elsewhere)
        root.symlink_to(elsewhere)
    assert load_profile("mine", environ).filesystem.allow == (() if is_link else ("/",))
    if is_link:
        kept(environ)[0].unlink()
        load_profile("mine", environ)
        assert kept(environ) == []


def test_an_entry_follows_from_every_file_its_name_and_the_host(environ: dict[str, str]) -> None:
    directory = Path(environ["HOME"], ".config/nono/profiles")
    keys = {cache.key_of(find("mine", environ), Host())}
    keys.add(cache.key_of(find("mine", environ), Host(id="ubuntu")))
    keys.add(cache.key_of(find("mine", environ, ["go-dev"]), Host()))
    keys.add(cache.key_of(find(str(directory / "mine.json"), environ), Host()))
    (directory / "base.json").write_text("{} ")
    keys.add(cache.key_of(find("mine", environ), Host()))
    assert len(keys) == 5


def test_old_entries_are_forgotten(environ: dict[str, str]) -> None:
    file = Path(environ["HOME"], ".config/nono/profiles/mine.json")
    for number in range(cache.MAX_ENTRIES + 5):
        cache.keep(f"{number}", {"document": {}}, environ)
    file.write_text("{}")
    load_profile("mine", environ)
    assert len(kept(environ)) == cache.MAX_ENTRIES
