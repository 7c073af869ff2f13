"""Say after a run what it changed, and offer at a terminal to keep it, undo it or look at it."""

from __future__ import annotations

import termios
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress

from nono.approval.ask import Prompt
from nono.cli.commands.rollback import look, restore
from nono.cli.console import Console
from nono.cli.text import rollback_text
from nono.errors import NonoError
from nono.launch.lifecycle import Outcome
from nono.undo.kept import chosen
from nono.undo.model.changes import shown
from nono.undo.restoring import prepare

Asks = Callable[[], AbstractContextManager[Prompt | None]]
ASKED_MAX = 5


def review(outcome: Outcome, console: Console, environ: Mapping[str, str], asks: Asks | None) -> None:
    """Print what changed. asks: opens the terminal of the person; None: nothing is offered."""
    found = shown(list(outcome.changed or ()))
    if not found:
        return
    session_id = outcome.session_id
    console.lines(rollback_text.review_lines(found, session_id))
    answer = None
    if asks is not None:
        with suppress(OSError, termios.error), asks() as prompt:
            answer = None if prompt is None else _asked(prompt, session_id, environ)
    if answer == "u":
        _undo(session_id, environ, console)
    else:
        console.lines([f"  undo      nono rollback restore {session_id}"])


def _asked(prompt: Prompt, session_id: str, environ: Mapping[str, str]) -> str:
    for _ in range(ASKED_MAX):
        word = (
            (prompt.ask("  Keep these changes? [Enter] keep / [u] undo all / [l] look: ") or "")
            .strip()
            .lower()
        )
        if word in ("l", "look"):
            prompt.say(look.diff_of(session_id, environ))
            continue
        return "u" if word in ("u", "undo") else "k"
    return "k"


def _undo(session_id: str, environ: Mapping[str, str], console: Console) -> None:
    try:
        with chosen(session_id, environ) as session:
            session.lock()
            restore.carry_out(session, prepare(session, 0))
    except (OSError, ValueError, NonoError) as error:
        reason = error.message if isinstance(error, NonoError) else str(error)
        console.note(f"not undone: {reason}")
