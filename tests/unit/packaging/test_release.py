"""packaging/release.py: a version is written wherever one stands, and its notes are the changelog's."""

from __future__ import annotations

import datetime
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
_spec = importlib.util.spec_from_file_location("release", ROOT / "packaging/release.py")
assert _spec is not None
assert _spec.loader is not None
release = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(release)

DAY = datetime.date(2027, 1, 2)
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in (*release.PLACES, release.CHANGELOG)}


@pytest.mark.parametrize("name", release.PLACES)
def test_a_file_that_says_the_version_says_the_new_one(name: str) -> None:
    made = release.released(TEXTS, "97.98.99", DAY)[name]
    assert made != TEXTS[name]
    assert made.count("97.98.99") == 1


def test_what_was_unreleased_has_the_version_as_its_heading() -> None:
    changelog = "# Changelog\n\n## Unreleased\n\n- new\n"
    made = release.released({**TEXTS, release.CHANGELOG: changelog}, "97.0.0", DAY)
    assert made[release.CHANGELOG] == "# Changelog\n\n## Unreleased\n\n## 97.0.0 - 2027-01-02\n\n- new\n"


@pytest.mark.parametrize("version", ["0.0.9", "0.1", "v9.0.0", "9.0.0rc1", ""])
def test_a_version_that_is_none_or_lower_is_refused(version: str) -> None:
    with pytest.raises(SystemExit):
        release.released(TEXTS, version, DAY)


def test_a_release_without_notes_is_refused() -> None:
    empty = "# Changelog\n\n## Unreleased\n\n## 0.1.0 - 2026-01-01\n\n- old\n"
    with pytest.raises(SystemExit, match="nothing under Unreleased"):
        release.released({**TEXTS, release.CHANGELOG: empty}, "97.0.0", DAY)


def test_the_notes_of_a_version_end_where_those_of_another_begin() -> None:
    sections = ("## Unreleased", "- next", "## 2.0.0 - 2027-01-02", "- new", "## 1.0.0", "- old")
    changelog = "\n\n".join(sections)
    assert release.notes(changelog, "2.0.0") == "- new"
    assert release.notes(changelog, "1.0.0") == "- old"


def test_the_notes_of_a_version_that_is_not_there_are_refused() -> None:
    with pytest.raises(SystemExit, match="no heading"):
        release.notes("# Changelog\n\n## 1.0.0 - 2026-01-02\n", "1.0")
