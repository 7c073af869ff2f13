import os
from pathlib import Path

import pytest

from nono.trust.disk.concern import FILE, root_of
from nono.trust.disk.memory_file import MemoryFile
from nono.trust.memory import Memory


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for directory in ("p/a/b", ".config/nono"):
        (tmp_path / directory).mkdir(parents=True)
    return tmp_path


def _root(home: Path, directory: str) -> str | None:
    return root_of(str(home / directory), {"HOME": str(home)})


def test_without_a_policy_nothing_is_to_be_done(home: Path) -> None:
    assert _root(home, "p/a/b") is None


def test_the_policy_of_a_directory_above_counts(home: Path) -> None:
    (home / "p" / FILE).touch()
    assert _root(home, "p/a/b") == str(home / "p")


def test_a_policy_in_the_home_directory_counts_in_no_project(home: Path) -> None:
    (home / FILE).touch()
    assert _root(home, "p/a/b") is None
    assert _root(home, "") == str(home)


def test_a_directory_that_anybody_fills_lays_no_policy_over_others(home: Path) -> None:
    (home / "p" / FILE).touch()
    (home / "p").chmod(0o777)
    assert _root(home, "p/a/b") is None
    (home / "p").chmod(0o755)
    assert _root(home, "p/a/b") is not None


@pytest.mark.root
def test_a_directory_of_somebody_else_lays_no_policy_over_others(home: Path) -> None:
    (home / "p" / FILE).touch()
    for user, counts in ((os.geteuid(), True), (62001, False)):
        os.chown(home / "p", user, -1)
        assert (_root(home, "p/a/b") is not None) is counts


def test_a_policy_that_is_gone_is_missed(home: Path) -> None:
    file = MemoryFile(str(home / "p"), {"HOME": str(home)})
    file.change(lambda before: Memory(policy="ab"))
    assert _root(home, "p/a") == str(home / "p")
    assert _root(home, "") is None


def test_the_policy_of_the_user_concerns_every_directory(home: Path) -> None:
    (home / ".config/nono" / FILE).touch()
    assert _root(home, "p/a") == str(home / "p/a")
