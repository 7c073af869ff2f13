"""`nono approvals`: list what waits for an answer in all sessions, and answer it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus

from nono.approval.listing import Listed
from nono.cli.args import argparse_parser
from nono.cli.commands.sessions.chosen import Chosen, caller_environ, questions, refuse_inside
from nono.cli.commands.sessions.rules import seconds
from nono.cli.commands.sessions.talk import Told, call
from nono.cli.shapes.printed import printed_list
from nono.cli.text import approvals_text, rules_text
from nono.clock import unix_ms
from nono.errors import ConfigError, NonoError, UsageError
from nono.named_tuple import NamedTuple
from nono.sessions.listing import open_registry, records
from nono.sessions.registry import Registry

DESCRIPTION = (
    "Lists what your sessions wait for: a file, a request, a host, a limit. `allow` and `deny` "
    "answer, for whoever waits and for no later one; the first answer counts, whichever terminal it is from."
)
ACTIONS = ("list", "show", "allow", "deny", "answer")
_WORDS = {"y": "allow", "yes": "allow", "n": "deny", "no": "deny"}
ID_LEAST = 4  # least number of characters of an id


class Open(NamedTuple):
    """An open question, and the session that waits for its answer."""

    session: Chosen
    question: Listed


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono approvals", DESCRIPTION)
    parser.add_argument(
        "action",
        nargs="?",
        choices=ACTIONS,
        default="list",
        help="list them [default], or answer them one by one",
    )
    parser.add_argument("ids", metavar="ID", nargs="*", help="id of a question, or the beginning of one")
    parser.add_argument(
        "--for",
        dest="for_s",
        type=seconds,
        metavar="TIME",
        help="with allow: go on allowing it for 30s, 15m, 8h or 1d, by a rule as nono allow makes",
    )
    parser.add_argument("--json", action="store_true", help="print the questions as JSON")
    return parser


def run(argv: Sequence[str]) -> int:
    parsed, environ = parser().parse_args(list(argv)), caller_environ()
    refuse_inside("approvals", environ)
    if parsed.for_s is not None and parsed.action != "allow":
        raise UsageError("--for goes with `nono approvals allow`.")
    if (parsed.action in ("list", "answer")) == bool(parsed.ids):
        raise UsageError(
            f"`nono approvals {parsed.action}` takes {'no' if parsed.ids else 'at least one'} ID.",
            hint="nono approvals lists them",
        )
    registry = open_registry(environ)
    if registry is None:
        return _show((), parsed)
    with registry:
        found = [*open_questions(registry)]
        if parsed.action in ("list", "show"):
            return _show([_meant(each, found) for each in parsed.ids] or found, parsed)
        if parsed.action == "answer":
            return _ask(found)
        # All ids are looked up before the first question is answered, so a mistyped id answers nothing.
        return _answer([_meant(each, found) for each in parsed.ids], parsed)


def open_questions(registry: Registry) -> Iterator[Open]:
    """Yield the open questions of every running session, the oldest first."""
    found = [
        Open(Chosen(registry, record), question)
        for record in records(registry)
        for question in questions(registry, record)
    ]
    yield from sorted(found, key=lambda each: each.question.asked_unix_ms)


def _meant(query: str, found: Sequence[Open]) -> Open:
    meant = [each for each in found if each.question.id.startswith(query)]
    if len(query) < ID_LEAST or not meant:
        raise NonoError(
            f"No open question has the id {query}: it was answered, or nobody waits for it any more.",
            hint="nono approvals lists them",
        )
    if len(meant) > 1:
        raise ConfigError(f"Ambiguous id '{query}': it matches {len(meant)} questions.")
    return meant[0]


def _show(found: Sequence[Open], parsed: argparse.Namespace) -> int:
    if parsed.json:
        print(printed_list(map(_document, found)))
    elif parsed.action == "show":
        for each in found:
            for line in approvals_text.details(each.question, each.session.record, unix_ms()):
                print(line)
    elif found:
        rows = [(each.question, each.session.record) for each in found]
        for line in approvals_text.table(rows, unix_ms()):
            print(line)
    elif not argparse_parser.is_silent(parsed):
        print("Nothing waits for an answer.", file=sys.stderr)
    return 0


def _document(each: Open) -> Mapping[str, object]:
    record = each.session.record
    return {"session_id": record.session_id, "name": record.name, **each.question.document}


def _answer(meant: Sequence[Open], parsed: argparse.Namespace) -> int:
    """Answer each question. Returns 1 if one of them was answered before or is gone."""
    failed = 0
    for each in meant:
        if parsed.for_s is not None and not _is_ruled(each, parsed.for_s):
            failed = 1
            continue
        told, line = _answered(each, parsed.action)
        if told.status != HTTPStatus.OK:
            failed = 1
        if told.status != HTTPStatus.OK or not argparse_parser.is_silent(parsed):
            print(line, file=sys.stderr)
    return failed


def _answered(each: Open, word: str) -> tuple[Told, str]:
    told = call(each.session, "POST", f"/v1/approvals/{each.question.id}", {"answer": word})
    return told, approvals_text.outcome(each.question, told.status, told.document)


def _is_ruled(each: Open, for_s: int) -> bool:
    """Allow for some time what a question is about. Prints the reason and returns False if that fails."""
    session, question = each
    if not question.target:
        print(f"{question.id}: no rule can be made of it; without --for it is allowed once.", file=sys.stderr)
        return False
    kind = "path" if question.kind == "file" else question.kind
    wanted = {
        "decision": "allow",
        "kind": kind,
        "target": question.target,
        "for_s": for_s,
        "writes": question.writes,
    }
    told = call(session, "POST", "/v1/rules", wanted)
    is_done = told.status == HTTPStatus.CREATED
    lines = rules_text.outcome(session.record, wanted, told.document, is_done=is_done, undone=False)
    print(*lines, sep="\n", file=sys.stderr)
    return is_done


def _ask(found: Sequence[Open]) -> int:
    """Go through the questions at this terminal."""
    # Imported here: the other actions ask nobody.
    from nono.approval.ask import open_terminal

    with open_terminal(is_pristine=True) as prompt:
        if prompt is None:
            raise NonoError("There is no terminal to ask on.", hint="nono approvals allow ID, or deny ID")
        for each in found:
            details = approvals_text.details(each.question, each.session.record, unix_ms())
            prompt.say(["", *details])
            word = _WORDS.get((prompt.ask("Allow this? [y] yes / [n] no / [Enter] later: ") or "").lower())
            if word is not None:
                prompt.say([_answered(each, word)[1]])
        if not found:
            prompt.say(["Nothing waits for an answer."])
    return 0
