"""`nono top`: show all sessions as they change, and act on them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from nono.cli.args import argparse_parser
from nono.cli.commands.sessions.chosen import caller_environ, refuse_inside
from nono.cli.commands.top.look import Look
from nono.errors import NonoError

DESCRIPTION = (
    "Shows the sessions that run or have just ended: state, CPU and memory, requests, denials, tokens and "
    "cost. Enter attaches to one, s stops it, a shows the question that waits longest (y allows it once, n "
    "denies it), q leaves. MEM is resident memory; what several processes share counts for each."
)


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono top", DESCRIPTION)
    parser.add_argument("--all", action="store_true", help="include sessions that have ended")
    parser.add_argument(
        "--web", action="store_true", help="serve it as a page on 127.0.0.1, and print the link"
    )
    parser.add_argument(
        "--port", type=_port, default=0, metavar="N", help="port of that page [default: any free port]"
    )
    return parser


def run(argv: Sequence[str]) -> int:
    parsed, environ = parser().parse_args(list(argv)), caller_environ()
    refuse_inside("top", environ)
    look = Look(environ)
    if parsed.web:
        # Imported here, as the screen below: each needs a library that the other does not.
        from nono.cli.commands.top.web import serve

        is_silent = argparse_parser.is_silent(parsed)
        return serve(look, environ, parsed.port, has_all=parsed.all, is_silent=is_silent)
    if not all(os.isatty(descriptor) for descriptor in (0, 1, 2)):
        raise NonoError(
            "nono top needs a terminal on standard input, output and error.",
            hint="nono ps --watch prints a line for each change",
        )
    from nono.cli.commands.top.screen import Top

    top = Top(look, environ, has_all=parsed.all)
    top.run()
    return top.return_code or 0


def _port(text: str) -> int:
    """Parse a TCP port, or 0, which stands for any free one."""
    return 0 if text == "0" else argparse_parser.port(text)
