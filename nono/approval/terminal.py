"""Asks on the terminal: in front of whoever sits there, and nobody else."""

from __future__ import annotations

import os
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import anyio

from nono.approval import wording
from nono.approval.request import Answer, FileOpen, Question
from nono.approval.tty import CTRL_C, RECOVER, SHOWN_S, foreground, line_mode
from nono.policy.approval import TERMINAL

NO_TERMINAL = "No terminal available for interactive approval"
IN_BACKGROUND = "nono is not in the terminal's foreground, so nobody can be asked there"
NOT_STILL = "the command could not be held still, and might have written over the question"
DISTURBED = "the command ran while the question was shown, and might have written over it"
TOO_LONG = "what is asked for is too long to be shown to a person"

NAME = TERMINAL
ANSWER_BYTES_MAX = 1024


# Held: the command and all it has started stand still for the time of the block. What the block gets says at
# its end whether they did. None: they could not be. Told is whether a system call waits for the answer.
Hold = Callable[[bool], AbstractAsyncContextManager[Callable[[], bool] | None]]


class Terminal:
    """A Backend; one question at a time, the others wait."""

    def __init__(self, hold: Hold) -> None:
        self._hold = hold
        self._turn = anyio.Lock()

    async def ask(self, question: Question, expires_s: float) -> Answer:
        shown = wording.lines(question.request, expires_s)
        if shown is None:
            return Answer("denied", TOO_LONG, NAME)
        if not _stderr_is_terminal():
            return Answer("denied", NO_TERMINAL, NAME)
        async with self._turn:
            try:
                terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                return Answer("denied", NO_TERMINAL, NAME)
            try:
                return await self._ask_on(terminal, shown, isinstance(question.request, FileOpen))
            except (OSError, termios.error) as error:
                return Answer("error", f"the terminal could not be used: {error.args[-1]}", NAME)
            finally:
                os.close(terminal)

    async def _ask_on(self, terminal: int, shown: list[str], call_waits: bool) -> Answer:
        async with self._hold(call_waits) as undisturbed:
            if undisturbed is None:
                return Answer("denied", NOT_STILL, NAME)
            with foreground(terminal) as is_ours:
                if not is_ours:
                    return Answer("denied", IN_BACKGROUND, NAME)
                answer = Answer("error", "the question was withdrawn", NAME)
                with line_mode(terminal):
                    try:
                        is_yes = await _yes_or_no(terminal, shown)
                        if not undisturbed():
                            answer = Answer("denied", DISTURBED, NAME)
                        elif is_yes:
                            answer = Answer("granted", "", NAME)
                        else:
                            answer = Answer("denied", "a person said no", NAME, is_final=True)
                    finally:
                        # Without waiting: also when nobody has answered in time.
                        with suppress(OSError):
                            os.write(terminal, _conclusion(answer))
                return answer


def _conclusion(answer: Answer) -> bytes:
    line = wording.outcome(answer.is_granted)
    if answer.outcome == "error":
        line = f"\n{line} Nobody has answered in time, or who asked is gone."
    elif not answer.is_final and not answer.is_granted:
        line = f"{line} {answer.reason[0].upper()}{answer.reason[1:]}."
    return f"{line}\n".encode()


async def _yes_or_no(terminal: int, shown: list[str]) -> bool:
    await _write(terminal, RECOVER + "\n".join([*shown, wording.ask()]).encode())
    await anyio.sleep(SHOWN_S)
    # What was typed before now was meant for something else.
    termios.tcflush(terminal, termios.TCIFLUSH)
    return wording.is_yes(await _read_line(terminal))


@asynccontextmanager
async def nothing_to_hold(_: bool) -> AsyncIterator[Callable[[], bool] | None]:
    """The Hold where no command shares the terminal."""
    yield lambda: True


def _stderr_is_terminal() -> bool:
    try:
        return os.isatty(2)
    except OSError:
        return False


async def _write(terminal: int, text: bytes) -> None:
    while text:
        try:
            text = text[os.write(terminal, text) :]
        except BlockingIOError:  # output is held (^S), or the terminal is slow
            await anyio.wait_writable(terminal)


async def _read_line(terminal: int) -> str:
    """One line; "" at the end of input."""
    typed = b""
    while not typed.endswith((b"\n", CTRL_C)) and len(typed) < ANSWER_BYTES_MAX:
        await anyio.wait_readable(terminal)
        try:
            piece = os.read(terminal, ANSWER_BYTES_MAX)
        except BlockingIOError:
            continue
        if not piece:
            return ""
        typed += piece
    return typed.decode("utf-8", "replace")
