"""Parse the arguments of the commands that describe a sandbox into an Invocation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nono.cli.args import options
from nono.cli.args.options import Given
from nono.cli.args.scan import Scanned, scan
from nono.errors import ConfigError, NonoError
from nono.named_tuple import NamedTuple
from nono.policy.capability import Namespaces, SandboxPolicy
from nono.policy.request import RunRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from typing import Any


class Invocation(NamedTuple):
    """One sandbox command as it was typed."""

    given: Given
    silent: bool
    command: tuple[str, ...]  # the program and its arguments
    standalone_proxy: bool = False
    refuses_missing: bool = False

    @property
    def request(self) -> RunRequest:
        asked: dict[str, Any] = {o.dest: self.given.of(o) for o in self.given.options if o.in_request}
        asked["sandbox_policy"] = _sandbox_policy(self.given.value("sandbox_policy"))
        asked["namespaces"] = _namespaces(self.given.value("namespaces"))
        return RunRequest(
            **asked, standalone_proxy=self.standalone_proxy, refuses_missing=self.refuses_missing
        )


def parse(command: str, description: str, argv: Sequence[str], environ: Mapping[str, str]) -> Invocation:
    """Parse argv after a subcommand such as `run` or `wrap`. Options end at the first other word."""
    scanned = scan(command, argv) or _with_argparse(command, description, argv)
    words = scanned.rest[1:] if scanned.rest[:1] == ["--"] else scanned.rest
    ours = argv[: len(argv) - len(scanned.rest)]
    given = options.collect(command, scanned.values, ours, environ)
    if command == options.SHELL:
        if words:
            raise NonoError(
                f"nono shell runs no other command: '{words[0]}'", hint="nono run [options] -- COMMAND"
            )
    elif not words and not (command == options.RUN and given.value("profile")):  # it may name a command
        raise no_command(command)
    if _sandbox_policy(given.value("sandbox_policy")) is not None and command != options.RUN:
        raise ConfigError("--sandbox-policy is only supported by `nono run`.")
    _namespaces(given.value("namespaces"))
    return Invocation(given, scanned.silent, tuple(words), refuses_missing=not given.flag("allow_missing"))


def _with_argparse(command: str, description: str, argv: Sequence[str]) -> Scanned:
    parsed = vars(sandbox_parser(command, description, argv).parse_args(list(argv)))
    return Scanned(parsed, parsed.get("silent", False), parsed["command"])


def sandbox_parser(command: str, description: str, argv: Sequence[str] = ()) -> ArgumentParser:
    """Return the parser of a subcommand that starts a command."""
    # Imported here, as below: only help, and what scan() leaves over, need it.
    from argparse import REMAINDER, SUPPRESS

    from nono.cli.args import argparse_parser

    usage = "%(prog)s [options]" + ("" if command == options.SHELL else " [--] COMMAND ...")
    parser = argparse_parser.new_parser(f"nono {command}", description, usage)
    argparse_parser.add_globals(parser)
    argparse_parser.add_options(parser, command, argv)
    parser.add_argument("command", nargs=REMAINDER, help=SUPPRESS)
    return parser


def no_command(command: str) -> NonoError:
    return NonoError("No command specified", hint=f"nono {command} [options] -- COMMAND")


def parse_proxy(description: str, argv: Sequence[str], environ: Mapping[str, str]) -> Invocation:
    """Parse argv of `nono proxy`, after the subcommand."""
    parsed = vars(proxy_parser(description, argv).parse_args(list(argv)))
    given = options.collect(options.PROXY, parsed, argv, environ)
    return Invocation(given, parsed.get("silent", False), (), standalone_proxy=True)


def proxy_parser(description: str, argv: Sequence[str] = ()) -> ArgumentParser:
    """Return the parser of `nono proxy`."""
    from nono.cli.args import argparse_parser

    parser = argparse_parser.new_parser("nono proxy", description)
    argparse_parser.add_globals(parser)
    argparse_parser.add_options(parser, options.PROXY, argv)
    return parser


def _sandbox_policy(text: str | None) -> SandboxPolicy | None:
    if text is None or text in tuple(SandboxPolicy):
        return None if text is None else SandboxPolicy(text)
    raise ConfigError(f"--sandbox-policy '{text}': expected auto, landlock, external or netns.")


def _namespaces(text: str | None) -> Namespaces | None:
    if text is None or text in tuple(Namespaces):
        return None if text is None else Namespaces(text)
    raise ConfigError(f"--namespaces '{text}': expected auto, off or require.")
