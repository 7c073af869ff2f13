"""Record how each help page looks at three widths: ``python -m support.help.pages`` writes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nono.cli.command_table import COMMANDS, offered_parsers
from nono.cli.completion.choices import choices
from nono.cli.help.overview import overview
from nono.cli.help.page import Page
from nono.cli.help.page_of import page_of, subparsers_of
from nono.cli.help.terminal import Look, lines_of
from nono.cli.help.topics import TOPICS

DIRECTORY = Path(__file__).parents[2] / "golden" / "help"
WIDTHS = (60, 80, 120)


def pages() -> Iterator[Page]:
    """Return every page."""
    yield overview({name: each.help for name, each in COMMANDS.items() if not each.is_hidden})
    yield from (make() for make in TOPICS.values())
    known = choices()
    for _, text, parser in offered_parsers():
        yield page_of(parser, text, known)
        yield from (page_of(each, about, known) for about, each in subparsers_of(parser))


def name_of(page: Page) -> str:
    return f"{'-'.join(page.words)}.txt"


def snapshot(page: Page) -> str:
    """Return the short help, and the long one at each width."""
    short = lines_of(page, Look(80), is_long=False)
    parts = [("short, 80 columns", [*short])]
    parts += [(f"{width} columns", [*lines_of(page, Look(width), is_long=True)]) for width in WIDTHS]
    return "\n".join(line for title, lines in parts for line in (f"==== {title} ====", *lines, ""))


def main() -> None:
    for stale in DIRECTORY.glob("*.txt"):
        stale.unlink()
    for page in pages():
        (DIRECTORY / name_of(page)).write_text(snapshot(page), encoding="utf-8")


if __name__ == "__main__":
    main()
