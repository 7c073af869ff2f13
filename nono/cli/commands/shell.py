"""`nono shell`: run the person's shell in the sandbox, supervised."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nono.cli.args.options import SHELL
from nono.cli.args.parse import parse, sandbox_parser
from nono.cli.commands.run.command import start

if TYPE_CHECKING:
    from argparse import ArgumentParser

DESCRIPTION = "Runs your shell ($SHELL) in the sandbox, with a supervisor that holds its credentials."
USUAL = "/bin/sh"


def parser() -> ArgumentParser:
    """Return the parser, for help and completion."""
    return sandbox_parser(SHELL, DESCRIPTION)


def run(argv: Sequence[str]) -> int:
    environ = dict(os.environ)
    invocation = parse(SHELL, DESCRIPTION, argv, environ, os.path.lexists)
    shell = invocation.given.value("shell") or environ.get("SHELL") or USUAL
    return start(invocation._replace(command=(shell,)), environ, is_shell=True)
