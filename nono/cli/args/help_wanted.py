"""Carry a request for help from where it is parsed to where the help is printed."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser


class HelpWanted(Exception):  # noqa: N818 - no error: whoever printed the help is done
    """Signal that help is wanted: only the top level knows the terminal and the summaries of the commands."""

    def __init__(self, parser: ArgumentParser, *, is_long: bool) -> None:
        super().__init__(parser.prog)
        self.parser = parser
        self.is_long = is_long
