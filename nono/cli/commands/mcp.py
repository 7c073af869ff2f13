"""`nono mcp`: be an MCP server whose program and policy are those of a profile."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from contextlib import suppress

from nono.cli.args import argparse_parser
from nono.errors import NonoError, UsageError, reason_of
from nono.policy.hosts.mcp_servers import fault_in

DESCRIPTION = (
    "Runs the program of a profile as an MCP server, on standard input and output. Inside a run, it runs "
    "beside that one, in a sandbox of its own; the run must name it (--mcp-server). This is the command to "
    "write into an agent's list of servers."
)


def parser() -> ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono mcp", DESCRIPTION)
    parser.add_argument("profile", metavar="PROFILE", help="the profile, which has a binary")
    return parser


def run(argv: Sequence[str]) -> int:
    name, environ = parser().parse_args(list(argv)).profile, dict(os.environ)
    if (fault := fault_in(name)) is not None:
        raise UsageError(f"nono mcp: {fault}.")
    from nono.launch.mcp.inside import variables_of_run  # imported here, as below: the help needs none of it

    around = variables_of_run(environ)
    return _outside(name, environ) if around is None else _inside(name, around)


def _inside(name: str, environ: Mapping[str, str]) -> int:
    from nono.connect_helper import NoTunnelError
    from nono.launch.mcp.inside import join

    try:
        return join(name, environ)
    except (NoTunnelError, OSError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else str(error)
        raise NonoError(
            f"the MCP server '{name}' is not there: {reason}", hint=f"nono run --mcp-server {name}, outside"
        ) from error


def _outside(name: str, environ: Mapping[str, str]) -> int:
    from nono.cli.args.parse import parse
    from nono.cli.commands.run import command
    from nono.launch.mcp.check import program_of
    from nono.launch.mcp.place import environment, made_workdir
    from nono.policy.profile.store import load

    program_of(name, load(name, environ).profile)
    if not os.isatty(0):
        # The terminal is the client's, who would be drawn over by a question there, and take the answer.
        with suppress(PermissionError):  # it has made a session for us already
            os.setsid()
    try:
        workdir = made_workdir(name, environ)
        os.chdir(workdir)
    except OSError as error:
        raise NonoError(f"the MCP server has no working directory: {reason_of(error)}") from error
    own = environment(environ)
    options = ("--silent", "--profile", name, "--allow", workdir)
    return command.start(parse("run", command.DESCRIPTION, options, own, os.path.lexists), own)
