"""Prepares a release: writes the version (`release.py VERSION`), prints its notes (`--notes VERSION`)."""

from __future__ import annotations

import datetime
import re
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHANGELOG = "CHANGELOG.md"
UNRELEASED = "## Unreleased"
CODE = "nono/__init__.py"
# Where the version stands, as the text before it and the text after it.
PLACES = {
    CODE: (r'__version__ = "', r'"'),
    "docker/feature/devcontainer-feature.json": (r'"version": "', r'"'),
    "docs/guides/ci.md": (r"/nono@v", r"\n"),
    "docs/guides/profiles.md": (r"/nono\n +rev: v", r"\n"),
}


def main(arguments: list[str]) -> str:
    """Carry out the order, and return what it says. SystemExit if it cannot be."""
    match arguments:
        case ["--notes", version]:
            return notes((ROOT / CHANGELOG).read_text(encoding="utf-8"), version)
        case [version]:
            texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in (*PLACES, CHANGELOG)}
            today = datetime.datetime.now(datetime.UTC).date()
            for name, text in released(texts, version, today).items():
                (ROOT / name).write_text(text, encoding="utf-8")
            return f"{version}: look at `git diff`"
    raise SystemExit("usage: release.py [--notes] VERSION")


def released(texts: Mapping[str, str], version: str, day: datetime.date) -> dict[str, str]:
    """Return the files of PLACES and the changelog as of a version. Raises SystemExit if it cannot be one."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise SystemExit(f"'{version}' is no version: expected three numbers, such as 0.2.0")
    made = {name: _with(texts[name], name, version) for name in PLACES}
    before, after = PLACES[CODE]
    [present] = re.findall(f"{before}(.+){after}", texts[CODE])
    if _numbers(version) <= _numbers(present):
        raise SystemExit(f"{version} is not above {present}, which {CODE} has")
    if not notes(texts[CHANGELOG], UNRELEASED.removeprefix("## ")):
        raise SystemExit(f"{CHANGELOG} has nothing under Unreleased")
    heading = f"{UNRELEASED}\n\n## {version} - {day.isoformat()}"
    return {**made, CHANGELOG: texts[CHANGELOG].replace(UNRELEASED, heading, 1)}


def notes(changelog: str, version: str) -> str:
    """Return the changelog's text below the heading of a version. Raises SystemExit if it has none."""
    section = rf"^## {re.escape(version)}(?: - [^\n]+)?\n(.*?)(?=^## |\Z)"
    found = re.search(section, changelog, re.MULTILINE | re.DOTALL)
    if found is None:
        raise SystemExit(f"{CHANGELOG} has no heading '{version}'")
    return found[1].strip()


def _with(text: str, name: str, version: str) -> str:
    before, after = PLACES[name]
    made, count = re.subn(rf"({before})\d+\.\d+\.\d+(?={after})", rf"\g<1>{version}", text)
    if count == 0:
        raise SystemExit(f"{name} does not say the version where it should")
    return made


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))


if __name__ == "__main__":
    print(main(sys.argv[1:]))
