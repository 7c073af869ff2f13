"""`nono allow` and `nono deny`: change what a running session may reach, for a time or until it ends."""

from __future__ import annotations

import argparse
import os
import re
import stat
import sys
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from posixpath import dirname

from nono.cli.args import argparse_parser
from nono.cli.commands.sessions.chosen import Chosen, caller_environ, refuse_inside
from nono.cli.commands.sessions.talk import Told, call
from nono.cli.text import rules_text, session_text
from nono.errors import ConfigError, NonoError, UsageError
from nono.policy.builtin import shipped
from nono.policy.host_filesystem import way_to
from nono.policy.hosts.proxy_settings import parse_duration
from nono.policy.live.port_target import LISTEN, parse_port_target
from nono.policy.live.rule import Decision
from nono.printable import shell_word
from nono.sessions.listing import open_registry, records
from nono.sessions.query import find
from nono.sessions.record import Record
from nono.sessions.registry import Registry

_ENDPOINT = re.compile(r"[A-Za-z0-9_-]+:[^:/\[\]]+:/")
_OF_PATHS = ("path", "socket")  # a socket may be gone when its rule is taken back
_PORTS = re.compile(r":?[0-9]+(-[0-9]+)?")
ALLOW = (
    "Lets a running session reach a host (`example.com`, `*.example.com`, with a port `:8443`), a port of "
    "this machine (`5432`) or a Unix socket, listen on a port (`--listen-port 3000`), ask a service "
    "something without a person's approval, or, where it runs with --capability-elevation, open a file. A "
    "denial beats it."
)
DENY = (
    "Keeps a running session from a host, whose connections are cut, from a port or a Unix socket, from "
    "requests to a service, or from files that a person would be asked about. What the kernel has granted at "
    "the start it cannot take back."
)


def allow_parser() -> argparse.ArgumentParser:
    """Return the parser of `nono allow`, for its arguments, help and completion."""
    parser = _parser("allow", ALLOW)
    parser.add_argument(
        "--write", action="store_true", help="let it write the file, or make the socket, as well"
    )
    return parser


def deny_parser() -> argparse.ArgumentParser:
    """Return the parser of `nono deny`, for its arguments, help and completion."""
    return _parser("deny", DENY)


def _parser(name: str, description: str) -> argparse.ArgumentParser:
    parser = argparse_parser.new_parser(f"nono {name}", description)
    parser.add_argument(
        "target",
        metavar="HOST|PORT|ENDPOINT|PATH",
        help="host, port of this machine, SERVICE:METHOD:/path, or file or socket (with a slash)",
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--direct", action="store_true", help="past the proxy: an address with a port, or '*:5432' for all"
    )
    kind.add_argument(
        "--socket", action="store_true", help="the path is a Unix socket, also before it exists"
    )
    kind.add_argument(
        "--listen-port", action="store_true", help="the port is one to listen on, for other machines too"
    )
    parser.add_argument(
        "--for", dest="for_s", type=seconds, metavar="TIME", help="end the rule after 30s, 15m, 8h or 1d"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--session", metavar="SESSION", help=argparse_parser.SESSION_HELP)
    which.add_argument("--all", action="store_true", help="change every session that runs")
    parser.add_argument("--undo", action="store_true", help="take the rule back")
    parser.add_argument(
        "--save",
        nargs="?",
        const="",
        metavar="PROFILE",
        help="show what it changes in a profile (the session's, if it is yours), and write that",
    )
    parser.add_argument("--yes", "-y", action="store_true", help="write it without asking")
    return parser


def run_allow(argv: Sequence[str]) -> int:
    return _run("allow", allow_parser().parse_args(list(argv)))


def run_deny(argv: Sequence[str]) -> int:
    return _run("deny", deny_parser().parse_args(list(argv)))


def _run(decision: Decision, parsed: argparse.Namespace) -> int:
    environ = caller_environ()
    refuse_inside(decision, environ)
    if parsed.save is not None and (parsed.for_s is not None or parsed.undo):
        raise UsageError("--save is for a rule that stays: leave out --for and --undo.")
    wanted = {
        "decision": decision,
        "for_s": parsed.for_s,
        "writes": getattr(parsed, "write", False),
        **_target(
            parsed.target,
            is_direct=parsed.direct,
            is_socket=parsed.socket,
            is_listened_on=parsed.listen_port,
            opens=decision == "allow" and not parsed.undo,
        ),
    }
    registry = open_registry(environ)
    if registry is None:
        raise NonoError("No session runs.")
    with registry:
        meant = _sessions(registry, parsed.session, every=parsed.all)
        code = max(_change(Chosen(registry, record), wanted, parsed) for record in meant)
    if parsed.save is None:
        return code
    # Imported here: most rules are not saved.
    from nono.cli.commands.sessions.save_rule import save_rule

    return save_rule(meant[0], parsed.save, decision, wanted, environ, agreed=parsed.yes)


def _target(
    text: str, *, is_direct: bool, is_socket: bool, is_listened_on: bool, opens: bool
) -> Mapping[str, str]:
    """Return kind and target. Raises UsageError for what is neither a host nor a path.

    opens: The command gets what it did not have.
    """
    if is_listened_on:
        if not _PORTS.fullmatch(text):
            raise UsageError(f"'{text}' names no port to listen on.", hint="--listen-port 3000, or 3000-3009")
        text = f"{LISTEN}:{text.removeprefix(':')}"
    if text.startswith(("/", "~", ".")) or is_socket:
        path = _path(text, opens=opens)
        return {"kind": "socket" if is_socket or _is_socket(path) else "path", "target": path}
    if is_direct or is_listened_on or _PORTS.fullmatch(text):
        try:
            return {"kind": "port", "target": str(parse_port_target(text))}
        except ValueError as error:
            raise UsageError(
                f"{error}.", hint="--direct 192.0.2.1:5432, --direct '*:5432', or 5432 on this machine"
            ) from error
    if _ENDPOINT.match(text):
        return {"kind": "endpoint", "target": text}
    host = text.removeprefix("https://").removeprefix("http://").removesuffix("/")
    if "/" in host:
        raise UsageError(
            f"'{text}' is neither a host nor a path: paths of a host are granted when a run starts.",
            hint="for a file, type ./NAME; for paths of a host, start the next run with --allow-domain URL",
        )
    if host in shipped.network_policy().groups:
        raise ConfigError(
            f"'{host}' is a group of hosts, and a rule of a session is about one host.",
            hint=f"nono profile hosts {host} lists them; {host}:443 is a host of that name",
        )
    return {"kind": "host", "target": host}


def _path(text: str, *, opens: bool) -> str:
    """Return a path as the kernel will name it.

    Raises ConfigError if `opens` and a link leads there that whoever runs this may replace: so may a command
    to which its directory is granted, at the very moment when a person types the path.
    """
    *links, path = way_to(os.path.expanduser(text))
    if opens and any(os.access(dirname(link), os.W_OK) for link in links):
        raise ConfigError(
            f"'{text}' leads to {path}, by a link that the command may have made.",
            hint=f"nono allow {shell_word(path)}, if that is meant",
        )
    return path


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def _sessions(registry: Registry, query: str | None, *, every: bool) -> Sequence[Record]:
    """Return the running sessions that are meant, at least one."""
    living = [record for record in records(registry) if not record.is_ended]
    if query is not None:
        return [find(query, living)]
    if not living:
        raise NonoError("No session runs.")
    if len(living) > 1 and not every:
        names = ", ".join(session_text.name_of(record) for record in living)
        raise ConfigError(f"{len(living)} sessions run: {names}.", hint="--session NAME, or --all")
    return living


def _change(session: Chosen, wanted: Mapping[str, object], parsed: argparse.Namespace) -> int:
    """Change one session. Returns the exit code."""
    try:
        told = _taken_back(session, wanted) if parsed.undo else call(session, "POST", "/v1/rules", wanted)
    except NonoError as error:
        told = Told(
            HTTPStatus.SERVICE_UNAVAILABLE, {"error": error.message.removesuffix("."), "hint": error.hint}
        )
    is_done = told.status in (HTTPStatus.OK, HTTPStatus.CREATED)
    if is_done and argparse_parser.is_silent(parsed):
        return 0
    for line in rules_text.outcome(
        session.record, wanted, told.document, is_done=is_done, undone=parsed.undo
    ):
        print(line, file=sys.stderr)
    return 0 if is_done else 1


def _taken_back(session: Chosen, wanted: Mapping[str, object]) -> Told:
    told = call(session, "GET", "/v1/session")
    kinds = _OF_PATHS if wanted["kind"] in _OF_PATHS else (wanted["kind"],)
    for rule in told.document.get("rules", ()):
        is_same = all(rule.get(name) == wanted[name] for name in ("decision", "target"))
        if is_same and rule.get("kind") in kinds:
            return call(session, "DELETE", f"/v1/rules/{rule.get('id')}")
    return Told(HTTPStatus.NOT_FOUND, {"error": "no such rule was added to its policy"})


def seconds(text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
