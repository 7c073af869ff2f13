"""Whoever reads the README comes from there to every page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = {*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")} - {ROOT / "CHANGELOG.md"}
LINKS_MAX = 3
_LINK = re.compile(r"\]\(([^)#\s]+)")


def linked(page: Path) -> Iterator[Path]:
    """Yield the pages that a page links to; in place of a folder its README."""
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        found = (page.parent / target).resolve()
        yield found / "README.md" if found.is_dir() else found


def test_each_page_is_three_links_or_fewer_from_the_readme() -> None:
    reached = {ROOT / "README.md"}
    for _ in range(LINKS_MAX):
        reached |= {*chain.from_iterable(map(linked, reached))} & PAGES
    assert not [str(page.relative_to(ROOT)) for page in sorted(PAGES - reached)]
