"""Ask on the controlling terminal, if nono is in its foreground."""

from __future__ import annotations

import os
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import anyio

from nono.approval import wording
from nono.approval.ask import Dialog, Wait, conclusion, last_line
from nono.approval.request import Answer, FileOpen, Question
from nono.approval.tty import (
    SHOWN_S,
    TURN_PAUSE_S,
    NoTurnsError,
    controlling_terminal,
    foreground,
    line_mode,
    needs_you,
    own_turn,
    recover_sequence,
)
from nono.audit.event import WITHDRAWN
from nono.policy.services.approval import TERMINAL

NO_TERMINAL = "No terminal available for interactive approval"
IN_BACKGROUND = "nono is not in the terminal's foreground, so nobody can be asked there"
NOT_STILL = "the command could not be held still, and might have written over the question"
DISTURBED = "the command ran while the question was shown, and might have written over it"
SAID_NO = "a person said no"
TOO_LONG = "what is asked for is too long to be shown to a person"

NAME = TERMINAL


# Stops the command and everything it started while the block lasts. The argument tells whether a system call
# waits for the answer. Yields a function that reports at the end whether everything stayed stopped, or None
# if the command could not be stopped.
StopJob = Callable[[bool], AbstractAsyncContextManager[Callable[[], bool] | None]]


class Terminal:
    """A Backend that shows one question at a time; others wait their turn."""

    def __init__(self, hold: StopJob) -> None:
        self._hold = hold
        self._turn = anyio.Lock()

    async def ask(self, question: Question, expires_s: float) -> Answer:
        shown = wording.lines(question.request, expires_s)
        if shown is None:
            return Answer("denied", TOO_LONG, NAME)
        if not _stderr_is_terminal():
            return _nobody(NO_TERMINAL)
        async with self._turn:
            try:
                with controlling_terminal() as terminal, own_turn() as turn:
                    if terminal is None:
                        return _nobody(NO_TERMINAL)
                    while True:  # no other process says when it is done
                        if turn.take():
                            return await self._ask_on(terminal, shown, question)
                        await anyio.sleep(TURN_PAUSE_S)
            except NoTurnsError as error:
                return Answer("error", error.args[-1], NAME)
            except (OSError, termios.error) as error:
                return Answer("error", f"the terminal could not be used: {error.args[-1]}", NAME)

    async def _ask_on(self, terminal: int, shown: list[str], question: Question) -> Answer:
        async with self._hold(isinstance(question.request, FileOpen)) as undisturbed:
            if undisturbed is None:
                return _nobody(NOT_STILL)
            with foreground(terminal) as is_ours:
                if not is_ours:
                    return _nobody(IN_BACKGROUND)
                with line_mode(terminal):
                    return await _answer(terminal, shown, question, undisturbed)


async def _answer(
    terminal: int, shown: list[str], question: Question, undisturbed: Callable[[], bool]
) -> Answer:
    """Ask, and write below the question what became of it, also if it is withdrawn."""
    answer = Answer("error", WITHDRAWN, NAME)
    try:
        is_yes = await _yes_or_no(terminal, shown, wording.in_short(question.request))
        if not undisturbed():
            answer = Answer("denied", DISTURBED, NAME)
        elif is_yes:
            answer = Answer("granted", "", NAME)
        else:
            answer = Answer("denied", SAID_NO, NAME, is_remembered=True)
    finally:
        # Does not wait, because it also runs when cancelled after a timeout.
        with suppress(OSError):
            os.write(terminal, last_line(conclusion(question.elsewhere() or answer, answer)))
    return answer


def _nobody(reason: str) -> Answer:
    return Answer("denied", reason, NAME, is_unasked=True)


async def _yes_or_no(terminal: int, shown: list[str], in_short: str) -> bool:
    text = recover_sequence() + "\n".join([*shown, wording.ask()]).encode()
    dialog = Dialog(terminal, text + needs_you(in_short))
    for wait in dialog:
        match wait:
            case Wait.WRITABLE:
                await anyio.wait_writable(terminal)
            case Wait.READABLE:
                await anyio.wait_readable(terminal)
            case Wait.SHOWN:
                await anyio.sleep(SHOWN_S)
    return dialog.is_yes


@asynccontextmanager
async def nothing_to_hold(_: bool) -> AsyncIterator[Callable[[], bool] | None]:
    """Stop nothing: a StopJob for when no command shares the terminal."""
    yield lambda: True


def _stderr_is_terminal() -> bool:
    try:
        return os.isatty(2)
    except OSError:
        return False
