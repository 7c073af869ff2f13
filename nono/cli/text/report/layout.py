"""Lay out lines and tables for a terminal, in plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import StringIO
from textwrap import wrap
from typing import TYPE_CHECKING

from nono.cli.text.session_text import one_line
from nono.cli.text.wrap_text import COLUMNS
from nono.named_tuple import NamedTuple

if TYPE_CHECKING:
    from rich.console import Console

ROWS_MAX = 40  # rows of one table


class Section(NamedTuple):
    """One table of the report."""

    title: str
    headers: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""
    numbers: tuple[int, ...] = ()  # columns whose cells are numbers


def laid_out(lines: Iterable[str], tables: Iterable[Section]) -> str:
    """Return lines and tables as plain text of COLUMNS columns. Nothing in them is interpreted as markup."""
    # Imported here: the other texts of the command line do not need it.
    from rich.console import Console

    console = Console(
        file=StringIO(), width=COLUMNS, color_system=None, force_terminal=False, markup=False, emoji=False,
        highlight=False, legacy_windows=False,
    )  # fmt: skip
    for line in lines:
        _print(console, line)
    for each in tables:
        _section(console, each)
    file = console.file
    assert isinstance(file, StringIO)
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def _print(console: Console, text: str) -> None:
    """Print a line. If it is too long, it continues below, indented further."""
    from rich.text import Text

    text = one_line(text)
    left = " " * (len(text) - len(text.lstrip()) + 2)
    for line in wrap(text, console.width, subsequent_indent=left, break_on_hyphens=False) or [""]:
        console.print(Text(line), soft_wrap=True)


def _section(console: Console, section: Section) -> None:
    from rich.table import Table
    from rich.text import Text

    _print(console, "")
    _print(console, section.title.upper())
    if section.rows:
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False)
        for index, header in enumerate(section.headers):
            is_number = index in section.numbers
            table.add_column(
                Text(header), justify="right" if is_number else "left", overflow="fold", no_wrap=is_number
            )
        for row in section.rows[:ROWS_MAX]:
            table.add_row(*(Text(one_line(cell)) for cell in row))
        console.print(table)
        if len(section.rows) > ROWS_MAX:
            _print(
                console, f"... and {len(section.rows) - ROWS_MAX:,} more (--html and --json have them all)"
            )
    if section.note:
        _print(console, section.note)
