"""Where the project lives is said by pyproject.toml alone; what repeats it is held to that."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
URLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
_, OWNER, NAME = URLS["Repository"].rsplit("/", 2)
# How a file names the owner, and those that do.
MENTIONS = {
    ".github/CODEOWNERS": r"@([\w-]+)/",
    "docs/guides/ci.md": r"uses: ([\w-]+)/nono@",
    "docs/guides/profiles.md": r"https://github\.com/([\w-]+)/nono",
}
TEXTS = {".md", ".py", ".sh", ".toml", ".yml", ".yaml", ".json", ".cfg", ""}


def texts() -> dict[str, str]:
    """Map the path of each file of the project to its text. RELEASING.md explains the placeholder."""
    rooms = (".ci", ".github", "docker", "docs", "nono", "packaging", "profiles")
    files = [path for room in rooms for path in (ROOT / room).rglob("*")]
    files += [path for path in ROOT.iterdir() if path.name not in ("RELEASING.md", "uv.lock")]
    found = (path for path in files if path.suffix in TEXTS and path.is_file())
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in found}


@pytest.mark.parametrize("file", MENTIONS)
def test_a_file_names_the_owner_that_pyproject_names(file: str) -> None:
    named = re.findall(MENTIONS[file], (ROOT / file).read_text(encoding="utf-8"))
    assert {*named} == {OWNER}


def test_no_other_file_names_the_owner() -> None:
    word = re.compile(rf"\b{re.escape(OWNER)}/(?:nono|maintainers|security)\b")
    assert {file for file, text in texts().items() if word.search(text)} == {"pyproject.toml", *MENTIONS}


def test_every_url_of_the_metadata_begins_with_the_repository() -> None:
    assert all(url.startswith(URLS["Repository"]) for url in URLS.values())


def test_nothing_else_waits_to_be_filled_in() -> None:
    waits = re.compile(r"\b(?:FIXME|CHANGEME|TBD|XXX)\b|\bTODO(?! \.)|<(?:your|insert)[ -]|<nono@localhost")
    assert [file for file, text in texts().items() if waits.search(text)] == []
