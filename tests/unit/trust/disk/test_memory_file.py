from pathlib import Path

import pytest

from nono.digests import sha256
from nono.trust import memory
from nono.trust.disk.memory_file import MemoryFile
from nono.trust.memory import Memory
from nono.trust.policy import Enforcement

DIGEST = sha256(b"text").hexdigest()
KEPT = Memory("ab", Enforcement.DENY, {"a\udcff.md": DIGEST}, frozenset({"b.md"}))


@pytest.fixture
def file(tmp_path: Path) -> MemoryFile:
    return MemoryFile("/p", {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")})


def test_what_was_approved_is_remembered_with_its_content(file: MemoryFile) -> None:
    assert file.read() is None
    file.change(lambda before: KEPT, {DIGEST: b"text"})
    assert (file.read(), file.content(DIGEST)) == (KEPT, b"text")


def test_a_content_that_was_changed_is_not_shown_as_approved(file: MemoryFile) -> None:
    file.change(lambda before: KEPT, {DIGEST: b"another"})
    assert file.content(DIGEST) is None


def test_nothing_of_it_can_be_read_by_others(file: MemoryFile) -> None:
    file.change(lambda before: KEPT, {DIGEST: b"text"})
    directory = Path(file.path).parent
    assert {path.stat().st_mode & 0o077 for path in (directory, *directory.iterdir())} == {0}


def test_a_project_that_is_forgotten_is_unknown(file: MemoryFile) -> None:
    file.change(lambda before: KEPT)
    file.forget()
    assert file.read() is None


@pytest.mark.parametrize(
    "text", [b"", b"[]", b'{"version": 2}', memory.encoded(KEPT, "/p").replace(DIGEST.encode(), b"ab")]
)
def test_a_damaged_memory_approves_nothing(text: bytes) -> None:
    with pytest.raises(ValueError, match="it "):
        memory.parse(text)
