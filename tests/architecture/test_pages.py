"""Whoever reads the README comes from there to every page, and the site shows lists as they are written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = {*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")} - {ROOT / "CHANGELOG.md"}
LINKS_MAX = 3
_LINK = re.compile(r"\]\(([^)#\s]+)")
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)  # code outside a list
_INDENTED_TOO_LITTLE = re.compile(r"^ {1,3}(?:- |\d+\. |```).*|(?<=\n\n) {1,3}\S.*", re.MULTILINE)
_NO_BLANK_LINE = re.compile(r"\n\n {4}[^-` ].*\n(?: +.*\n)*((?:-|\d+\.) .*)")


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


def flattened(text: str) -> list[str]:
    """Return the lines that the site's Markdown takes out of their list item.

    It wants four columns where GitHub asks for two, and a blank line after an item with paragraphs.
    """
    prose = _FENCED.sub("", text)
    return [*_INDENTED_TOO_LITTLE.findall(prose), *_NO_BLANK_LINE.findall(prose)]


def test_what_belongs_to_a_list_item_is_indented_by_four_columns() -> None:
    found = {page.name: flattened(page.read_text(encoding="utf-8")) for page in PAGES}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    ("nested", "beside"),
    [
        pytest.param("- a\n    - b\n", "- a\n  - b\n", id="an item"),
        pytest.param("1. a\n\n    b\n", "1. a\n\n   b\n", id="a paragraph"),
        pytest.param("- a\n\n    ```sh\n    b\n    ```\n", "- a\n\n  ```sh\n  b\n  ```\n", id="a code block"),
        pytest.param("1. a\n\n    b\n\n2. c\n", "1. a\n\n    b\n2. c\n", id="the item after a paragraph"),
    ],
)
def test_a_line_that_the_site_would_take_out_of_its_item_is_found(nested: str, beside: str) -> None:
    assert not flattened(nested)
    assert flattened(beside)
