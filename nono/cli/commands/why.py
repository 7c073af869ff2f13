"""`nono why`: say if a path, host, socket, scope or variable would be allowed, and by which rule."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

from nono.cli.args import argparse_parser, options
from nono.cli.args.parse import Invocation, collect
from nono.cli.console import folded, line_columns
from nono.cli.shapes.printed import printed
from nono.cli.why import text as why_text
from nono.cli.why.answering import SOCKET_OPERATIONS, answer_to
from nono.cli.why.context import Subject, from_options, from_running_session
from nono.errors import UsageError
from nono.launch.state.file import read_own_state
from nono.paths import STATE_VARIABLE
from nono.policy.capability import Access
from nono.printable import printable_line
from nono.sandbox.plan.scope_query import SCOPES, ScopeAnswer

DESCRIPTION = "Says whether a path, a host or a variable would be allowed under the options given, and why."
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
    answer = answer_to(subject, parsed)
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


def parser(argv: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion. argv: see add_options."""
    parser = argparse_parser.new_parser("nono why", DESCRIPTION)
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
    parser.add_argument(
        "--host", metavar="HOST|URL", help="ask about this host or URL; wss:// asks about a WebSocket"
    )
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
