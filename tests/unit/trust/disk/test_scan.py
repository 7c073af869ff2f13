import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nono.trust.disk import scan as scan_module
from nono.trust.disk.scan import DEPTH_MAX, Scan, scan
from nono.trust.policy import TrustPolicy

POLICY = TrustPolicy(("CLAUDE.md", "skills/**"))


def _write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def test_every_file_of_a_pattern_is_found(tmp_path: Path) -> None:
    _write(tmp_path, "CLAUDE.md", "a/b/CLAUDE.md", "a/README.md", "skills/x/run.py", "skills/x/run.py.bundle")
    assert scan(str(tmp_path), POLICY).paths == ("CLAUDE.md", "a/b/CLAUDE.md", "skills/x/run.py")


def test_directories_of_dependencies_are_skipped(tmp_path: Path) -> None:
    _write(tmp_path, "node_modules/x/CLAUDE.md", "third/CLAUDE.md", "kept/CLAUDE.md")
    assert scan(str(tmp_path), POLICY, ["third"]).paths == ("kept/CLAUDE.md",)


def test_a_link_to_a_file_is_an_instruction_file_by_its_own_name(tmp_path: Path) -> None:
    _write(tmp_path, "notes.txt")
    (tmp_path / "CLAUDE.md").symlink_to("notes.txt")
    assert scan(str(tmp_path), POLICY).paths == ("CLAUDE.md",)


@pytest.mark.parametrize("outside", ["outside", "project-of-others"])
def test_a_link_out_of_the_project_is_named_and_not_followed(tmp_path: Path, outside: str) -> None:
    _write(tmp_path, f"{outside}/CLAUDE.md", "project/here/CLAUDE.md")
    (tmp_path / "project/there").symlink_to(tmp_path / outside)
    found = scan(str(tmp_path / "project"), POLICY)
    assert found.paths == ("here/CLAUDE.md",)
    assert [each.partition(",")[0] for each in found.unsearched] == ["there leads out of the project"]


def test_a_link_within_the_project_is_followed_until_it_meets_itself(tmp_path: Path) -> None:
    _write(tmp_path, "shared/x/SKILL.md")
    (tmp_path / "skills").symlink_to("shared")
    (tmp_path / "shared/loop").symlink_to("..")
    assert scan(str(tmp_path), POLICY).paths == ("skills/x/SKILL.md",)


def test_what_lies_too_deep_is_named(tmp_path: Path) -> None:
    deep = "/".join("d" * (DEPTH_MAX + 1))
    _write(tmp_path, f"{deep[2:]}/CLAUDE.md", f"{deep}/CLAUDE.md")
    found = scan(str(tmp_path), POLICY)
    assert found.paths == (f"{deep[2:]}/CLAUDE.md",)
    assert found.unsearched == (f"{deep} lies deeper than {DEPTH_MAX} directories and was not searched",)


def test_a_directory_of_any_number_of_names_is_not_listed_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million names would take 300 MB."""
    for number in range(9):
        (tmp_path / str(number)).touch()
    listed: list[str] = []

    @contextmanager
    def scandir(path: str) -> Iterator[Iterator[os.DirEntry[str]]]:
        with scanned(path) as entries:
            yield map(noted, entries)

    def noted(entry: os.DirEntry[str]) -> os.DirEntry[str]:
        listed.append(entry.name)
        return entry

    scanned = os.scandir
    monkeypatch.setattr(scan_module, "ENTRIES_MAX", 3)
    monkeypatch.setattr(os, "scandir", scandir)
    found = scan(str(tmp_path), TrustPolicy(("*",)))
    assert (len(found.paths), len(listed)) == (3, 4)
    assert found.unsearched == ("only the first 3 names were looked at",)


def test_no_number_of_places_left_out_fills_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_module, "UNSEARCHED_MAX", 1)
    for name in "abc":
        (tmp_path / name).symlink_to("/")
    first, more = scan(str(tmp_path), POLICY).unsearched
    assert first == "a leads out of the project, to /, and was not searched"
    assert more == "2 other places were not searched"


def test_links_to_one_another_do_not_hold_up_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve directories of twelve links each took 88 s, until all the names that may be looked at were."""
    monkeypatch.setattr(scan_module, "LINKS_MAX", 1)
    _write(tmp_path, "a/CLAUDE.md")
    (tmp_path / "b").symlink_to("a")
    within = scan(str(tmp_path), POLICY)
    (tmp_path / "c").symlink_to("a")
    beyond = scan(str(tmp_path), POLICY)
    assert within == Scan(("a/CLAUDE.md", "b/CLAUDE.md"), ())
    assert beyond == Scan(within.paths, ("c lies behind the first 1 links and was not searched",))
