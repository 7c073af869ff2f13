"""`nono why`: say if a path, host, socket, scope or variable would be allowed, and by which rule."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nono.cli.args import argparse_parser, options
from nono.cli.args.parse import Invocation, collect
from nono.cli.console import folded, line_columns
from nono.cli.shapes.printed import printed
from nono.cli.text import summary
from nono.cli.why import text as why_text
from nono.cli.why.context import Held, Subject, from_options, from_running_session
from nono.cli.why.own_directories import as_seen_inside
from nono.cli.why.permissions import within_permissions
from nono.errors import UsageError
from nono.launch.state.file import read_own_state
from nono.paths import STATE_VARIABLE
from nono.policy.capability import Access, Mask, NetworkMode
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.hosts.hostname import HostError, canonical_host, parse_port
from nono.policy.why.hosts import why_host, why_request
from nono.policy.why.paths import Answer, kept_hook, masked_path, why_path_since
from nono.printable import printable_line, shell_word
from nono.sandbox.plan.enforcement import Refusal
from nono.sandbox.plan.scope_query import SCOPES, ScopeAnswer, scope_answer
from nono.trust.disk.concern import root_of

if TYPE_CHECKING:
    from nono.policy.command_rules import CommandRules
    from nono.policy.effective_policy import EffectivePolicy

DESCRIPTION = "Says whether a path, a host or a variable would be allowed under the options given, and why."
SOCKET_OPERATIONS = ("connect", "bind")
DENIED_STATUS = 1  # with --exit-code
QUESTIONS = ("command", "path", "host", "scope", "env")
NOT_SANDBOXED = "Not running inside a nono sandbox"
NO_STATE = f"  {NOT_SANDBOXED}: {STATE_VARIABLE} is not set (nono wrap does not set it)"


def run(argv: Sequence[str]) -> int:
    environ = dict(os.environ)
    # The words after `--` are the arguments of --command.
    own = list(argv[: argv.index("--")] if "--" in argv else argv)
    parsed = parser(own).parse_args(own)
    if parsed.question is not None and not any(getattr(parsed, name) for name in QUESTIONS):
        setattr(parsed, _kind_of(parsed.question), parsed.question)
    elif parsed.question is not None:
        raise UsageError(f"'{parsed.question}' is a second question; ask one", hint="nono why --help")
    _check_question(parsed)
    subject = _subject(parsed, own, environ)
    if subject is None:
        _say(parsed, {"status": "not_sandboxed", "message": NOT_SANDBOXED}, ["NOT SANDBOXED", NO_STATE])
        return 0
    answer = _answer(subject, parsed)
    _say(parsed, answer.as_json(), why_text.lines_of(answer, subject.offer))
    is_no = answer.is_open if isinstance(answer, ScopeAnswer) else answer.status == "denied"
    return DENIED_STATUS if parsed.exit_code and is_no else 0


def _say(parsed: argparse.Namespace, document: Mapping[str, object], lines: Sequence[str]) -> None:
    if parsed.json:
        print(printed(document))
    else:
        width = line_columns(sys.stdout, os.environ)
        for line in lines:
            shown = printable_line(line)
            print(
                shown if line.lstrip().startswith(why_text.FIX) else folded(shown, width)
            )  # a fix is copied


def _subject(parsed: argparse.Namespace, argv: Sequence[str], environ: Mapping[str, str]) -> Subject | None:
    """Return the run in question; None if --self finds none."""
    given = collect(options.WHY, vars(parsed), argv, environ, os.path.lexists)
    if not parsed.self:
        if environ.get(STATE_VARIABLE) and not given.values:
            print("hint: --self asks about the sandbox around this shell", file=sys.stderr)
        return from_options(Invocation(given, silent=False, command=()), environ)
    if given.values:
        raise UsageError("--self is about the run around it, whose options are known; leave out all others.")
    state = read_own_state(environ)
    return None if state is None else from_running_session(state, environ)


def _answer(subject: Subject, parsed: argparse.Namespace) -> Answer | ScopeAnswer:
    if parsed.command is not None:
        return _answer_of_command(subject.commands, parsed.command)
    if parsed.path is not None and parsed.op in SOCKET_OPERATIONS:
        return _answer_of_socket(subject, parsed)
    if parsed.path is not None:
        asked = subject.path_context.of_flag(parsed.path)
        return within_permissions(_answer_of_path(subject, parsed), asked, Access(parsed.op))
    if parsed.scope is not None:
        chosen, landlock_abi = subject.held()
        return scope_answer(parsed.scope, subject.rules.capabilities, chosen, landlock_abi)
    if parsed.env is not None:
        return subject.variable(parsed.env)
    return _answer_of_host(subject.rules, parsed)._replace(enforced_by=_enforced_by(subject))


def _answer_of_path(subject: Subject, parsed: argparse.Namespace) -> Answer:
    """Answer about a path. Adds what enforces a denial if that is a mask rather than Landlock."""
    fs, rules = HostFilesystem(), subject.rules
    if rules.capabilities.elevation and not _elevates(subject.held()):
        rules = rules._replace(capabilities=rules.capabilities._replace(elevation=False))
    answer = why_path_since(rules, subject.path_context, parsed.path, Access(parsed.op), fs, subject.stale)
    kept = kept_hook(rules, subject.path_context, parsed.path, Access(parsed.op), fs)
    if answer.status == "allowed" and kept is not None and _has_namespaces(subject.held()):
        return kept
    if not parsed.self and answer.status == "allowed":
        chosen = subject.held().chosen
        if isinstance(chosen, Refusal):
            return answer._replace(enforced_by=_refused(chosen))
        if chosen.namespaces:
            answer = as_seen_inside(answer, rules, subject.path_context, parsed.path, Access(parsed.op), fs)
    if answer.status != "denied" and Access(parsed.op).reads and not parsed.self:
        return _as_instructions(answer, subject, parsed.path)
    masked = masked_path(rules, subject.path_context, parsed.path, fs)
    if masked is None or answer.status != "denied":
        return answer
    chosen = subject.held().chosen
    if isinstance(chosen, Refusal):
        held = _refused(chosen)
    elif isinstance(masked, Mask) and masked.shown is not None:
        held = f"mask: {masked.path} shows {summary.SHOWN}"
    elif isinstance(masked, Mask) and masked.own is not None:
        held = f"mask: {masked.path} leads to {summary.OWN}"
    elif isinstance(masked, Mask):
        held = f"mask: {masked.path} is {summary.MASKED}"
    else:
        held = f"nothing: {masked.path} does not exist, and what does not cannot be masked"
    return answer._replace(enforced_by=held)


def _as_instructions(answer: Answer, subject: Subject, path: str) -> Answer:
    """Return the answer, or a refusal if a trust policy refuses the file although it is granted."""
    environ = dict(os.environ)
    root = root_of(subject.path_context.workdir, environ)
    if root is None:
        return answer
    # Imported here: few projects have a trust policy.
    from nono.cli.instructions.opened import refused_at_open

    verdict = refused_at_open(root, path, environ)
    if verdict is None:
        return answer
    return Answer(
        "denied",
        "instruction_file_untrusted",
        details=f"{verdict.path} is granted, but the trust policy refuses it: {verdict.reason}",
        enforced_by="the trust policy, when it is opened",
    )


def _answer_of_command(rules: CommandRules, program: str) -> Answer:
    """Answer whether nono would start a program, a name or a path, as the command of the run."""
    name = os.path.basename(program)
    origin = rules.blocked.get(name)
    if origin is None:
        free = "no rule is about its name; what it may do is what its run is granted"
        return Answer("allowed", "command_not_policy_controlled", details=free)
    return Answer(
        "denied",
        "command_blocked",
        details=f"'{name}' is blocked by name: nono does not start it, and a program inside may",
        policy_source=origin,
        suggested_flag=f"--allow-command {shell_word(name)}",
    )


def _answer_of_socket(subject: Subject, parsed: argparse.Namespace) -> Answer:
    # Imported here: other questions do not need it.
    from nono.policy.why.sockets import why_socket

    binds = parsed.op == "bind"
    answer = why_socket(subject.rules, subject.path_context, parsed.path, HostFilesystem(), binds=binds)
    return answer._replace(enforced_by=_enforced_by(subject))


def _answer_of_host(rules: EffectivePolicy, parsed: argparse.Namespace) -> Answer:
    """Answer about a host, or about a request if --host is a URL with a path or --method is given."""
    # Imported here: questions about files do not need the proxy.
    from nono.proxy.http.message import MessageError
    from nono.proxy.http.target import canonical

    host, port = _host_and_port(parsed.host, parsed.port)
    path = _path(parsed.host)
    if not path and parsed.method is None:
        return why_host(rules, host, port)
    try:
        sent = canonical((path or "/").encode("utf-8", "surrogateescape")).decode("ascii")
    except MessageError as error:
        return Answer("denied", "proxy_filtered", details=f"the proxy refuses such a request: {error}")
    return why_request(rules, host, port, (parsed.method or "GET").upper(), sent)


def _enforced_by(subject: Subject) -> str | None:
    """Return what enforces the network, worded as in the summary; None if the run has no rung."""
    capabilities = subject.rules.capabilities
    if capabilities.network is not NetworkMode.PROXY:
        return "nothing: sandbox policy external" if capabilities.is_network_left_open else None
    chosen = subject.held().chosen
    if isinstance(chosen, Refusal):
        return _refused(chosen)
    return None if chosen.rung is None else f"{chosen.rung.value}: {summary.RUNGS[chosen.rung]}"


def _elevates(held: Held) -> bool:
    """Check that the run can ask somebody, which needs a listener."""
    return not isinstance(held.chosen, Refusal) and held.chosen.elevation


def _has_namespaces(held: Held) -> bool:
    return not isinstance(held.chosen, Refusal) and held.chosen.namespaces


def _refused(chosen: Refusal) -> str:
    return f"nothing, the run is refused: {chosen.message.splitlines()[0]}"


def _path(text: str) -> str:
    """Return the path of a URL including its query; "" for a plain host."""
    rest = text.partition("://")[2]
    return "/" + rest.partition("/")[2] if "/" in rest else ""


def _kind_of(question: str) -> str:
    """Guess whether a path, a host or a variable is meant."""
    if "://" in question:
        return "host"
    if "/" in question or question.startswith(("~", ".")) or os.path.lexists(question):
        return "path"
    return "env" if question.isupper() and question.isidentifier() else "host"


def _check_question(parsed: argparse.Namespace) -> None:
    asked = [f"--{name}" for name in QUESTIONS if getattr(parsed, name) is not None]
    if len(asked) != 1:
        which = (
            f"{' and '.join(asked)} are several questions; ask one"
            if asked
            else "a question is missing: a path, a host or a variable"
        )
        raise UsageError(which, hint="nono why ~/.ssh")
    for name, question in (("method", "host"), ("caller", "command")):
        if getattr(parsed, name) is not None and getattr(parsed, question) is None:
            raise UsageError(f"--{name} belongs to a question about --{question}")
    for name in ("path", "env"):
        if getattr(parsed, name) == "":
            raise UsageError(f"--{name}: its value is empty.")


def parser(argv: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion. argv: see add_options."""
    parser = argparse_parser.new_parser("nono why", DESCRIPTION)
    argparse_parser.add_globals(parser)
    parser.add_argument(
        "question", metavar="PATH|HOST", nargs="?", help="a path, a host or a URL, or the name of a variable"
    )
    parser.add_argument("--path", metavar="PATH", help="ask about this path")
    parser.add_argument(
        "--op",
        choices=[*(access.value for access in Access), *SOCKET_OPERATIONS],
        default="read",
        help="what to do with it; connect and bind are for Unix sockets",
    )
    parser.add_argument("--host", metavar="HOST|URL", help="ask about this host or URL")
    parser.add_argument(
        "--port",
        type=argparse_parser.port,
        metavar="PORT",
        help="of the host [default: that of the URL, or 443]",
    )
    parser.add_argument("--method", metavar="METHOD", help="of the request to the URL [default: GET]")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.add_argument("--exit-code", action="store_true", help="exit with status 1 if the answer is no")
    parser.add_argument(
        "--scope", choices=SCOPES, help="ask whether signals, or abstract Unix sockets, are confined"
    )
    parser.add_argument("--env", metavar="NAME", help="ask about this environment variable")
    parser.add_argument("--command", metavar="COMMAND", help="ask about this command")
    parser.add_argument("--caller", metavar="NAME", help="who would start it [default: session]")
    parser.add_argument("--self", action="store_true", help="ask about the run around this process")
    argparse_parser.add_options(parser, options.WHY, argv)
    return parser


def _host_and_port(text: str, port: int | None) -> tuple[str, int]:
    """Parse a host, host:port or URL; an explicit --port wins. Raises UsageError for anything else."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "https", text
    authority = rest.partition("/")[0].rpartition("@")[2]
    host, colon, written = authority.rpartition(":")
    has_port = bool(colon) and "]" not in written and (host.startswith("[") or ":" not in host)
    try:
        given = parse_port(written) if has_port else None
        canonical_host(host if has_port else authority)
    except HostError as error:
        raise UsageError(f"--host '{text}': {error}.") from error
    return (host if has_port else authority), port or given or (80 if scheme == "http" else 443)
