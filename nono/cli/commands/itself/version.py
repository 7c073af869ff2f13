"""`nono version`: print the version."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from nono import __version__
from nono.cli.args import argparse_parser

DESCRIPTION = "Prints the version of nono."


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    return argparse_parser.new_parser("nono version", DESCRIPTION)


def run(argv: Sequence[str]) -> int:
    parser().parse_args(list(argv))
    print(f"nono {__version__}")
    return 0
