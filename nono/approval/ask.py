"""Ask a person at the terminal: show a question, drop earlier input, read one line."""

from __future__ import annotations

import os
import signal
import sys
import termios
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from typing import Protocol

from nono.approval import wording
from nono.approval.request import Answer
from nono.approval.tty import (
    CTRL_C,
    PLAIN,
    SHOWN_S,
    NoTurnsError,
    controlling_terminal,
    foreground,
    line_mode,
    own_turn,
    read_single_keys,
    recover_sequence,
)
from nono.printable import printable
from nono.sessions.detach_key import DetachKeys
from nono.typed.waiting import unblocked, wait_for

LINE_BYTES_MAX = 1024
_TURN_WITHIN_S = 60.0  # while another run asks here
# Undoes an alternate screen or a hidden cursor that an ended program left; recover_sequence() does the rest.
# Not 1049, which also restores the last saved cursor position, so that output would overwrite the screen.
_LEAVE_SCREEN = b"\x1b[?1047l\x1b[?25h"
_YES = frozenset({"y", "yes"})


class Wait(Enum):
    """The reason a question pauses between two steps."""

    WRITABLE = "writable"  # output is held (^S), or the terminal is slow
    SHOWN = "shown"  # for SHOWN_S: a key pressed sooner was not an answer to the new text
    READABLE = "readable"


class Dialog:
    """One question on a non-blocking terminal in line mode.

    Iterating asks it and yields each Wait, so that callers with and without an event loop share the steps.
    Raises OSError or termios.error if the terminal went away.
    """

    def __init__(self, terminal: int, question: bytes, keys: DetachKeys | None = None) -> None:
        """keys: The keys that leave the question, whose first one ends a read (line_mode). None: none do."""
        self._terminal = terminal
        self._question = question
        self._keys = keys
        self.answer: str | None = None  # stays None unless a whole line was typed
        self.is_left = False

    def __iter__(self) -> Iterator[Wait]:
        yield from write(self._terminal, self._question)
        yield Wait.SHOWN
        # Input typed before now was meant for something else.
        termios.tcflush(self._terminal, termios.TCIFLUSH)
        typed = b""
        while not typed.endswith((b"\n", CTRL_C)) and len(typed) < LINE_BYTES_MAX:
            yield Wait.READABLE
            try:
                piece = os.read(self._terminal, LINE_BYTES_MAX - len(typed))
            except BlockingIOError:
                continue
            if not piece:  # ^D at the start of a line
                break
            typed += self._without_keys(piece)
            if self.is_left:
                break
        self.answer = answer_of(typed)
        if not typed.endswith(b"\n"):
            yield from write(self._terminal, b"\n")

    @property
    def is_yes(self) -> bool:
        return is_yes(self.answer)

    def _without_keys(self, piece: bytes) -> bytes:
        """Return what is part of the answer. A key that may begin the others has them read one by one."""
        if self._keys is None:
            return piece
        was_begun = self._keys.is_begun
        passed, self.is_left = self._keys.feed(piece)
        if self._keys.is_begun is not was_begun:
            read_single_keys(self._terminal, is_single=self._keys.is_begun)
        return passed


def write(terminal: int, text: bytes) -> Iterator[Wait]:
    """Write text to a non-blocking terminal; yields each Wait."""
    while text:
        try:
            text = text[os.write(terminal, text) :]
        except BlockingIOError:
            yield Wait.WRITABLE


def answer_of(typed: bytes) -> str | None:
    """Return the typed line, stripped; None unless it is one whole line without ^C."""
    if not typed.endswith(b"\n") or CTRL_C in typed:
        return None
    return typed.decode("utf-8", "replace").strip()


def is_yes(answer: str | None) -> bool:
    """Check for a yes; anything else means no."""
    return answer is not None and answer.lower() in _YES


def conclusion(answer: Answer, here: Answer) -> str:
    """Return the line printed below a question that says how it was answered.

    here: The answer given at this terminal.
    """
    line = wording.outcome(answer.is_granted)
    if answer is not here:
        return f"\n{line} Answered by {answer.backend}."
    if answer.outcome == "error":
        return f"\n{line} Nobody has answered in time, or who asked is gone."
    if not answer.is_remembered and not answer.is_granted:
        return f"{line} {answer.reason[0].upper()}{answer.reason[1:]}."
    return line


def last_line(text: str) -> bytes:
    """Return the bytes that end a question on a terminal: a line, and a reset of the colours."""
    return text.encode() + PLAIN + b"\n"


class Prompt(Protocol):
    """A person at a terminal who can be told and asked things."""

    def say(self, lines: Iterable[str]) -> None: ...

    def ask(self, question: str) -> str | None: ...


class TerminalPrompt:
    """A terminal held in the foreground and in line mode; valid inside its block."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal

    def recover(self) -> None:
        """Reset the terminal, so that text is readable whatever state a command left it in."""
        self._perform(write(self._terminal, _LEAVE_SCREEN + recover_sequence()))

    def say(self, lines: Iterable[str]) -> None:
        """Print lines with control characters spelled out."""
        self._perform(write(self._terminal, _shown("".join(f"{line}\n" for line in lines))))

    def ask(self, question: str) -> str | None:
        """Show the question and return the line typed after it; None for ^C, ^D or too long a line."""
        dialog = Dialog(self._terminal, _shown(question))
        self._perform(dialog)
        return dialog.answer

    def _perform(self, steps: Iterable[Wait]) -> None:
        for wait in steps:
            match wait:
                case Wait.WRITABLE:
                    wait_for(writing=self._terminal)
                case Wait.READABLE:
                    wait_for(reading=self._terminal)
                case Wait.SHOWN:
                    time.sleep(SHOWN_S)


@contextmanager
def open_terminal(*, is_pristine: bool = False) -> Iterator[TerminalPrompt | None]:
    """Take the terminal for questions; None if there is none, or somebody else is in its foreground or asks.

    Says why at the terminal if a mode keeps nono from its turn there.

    is_pristine: no command has used it yet. Then it is readable as it is, and ^C interrupts nono instead of
        ending a line.
    Raises OSError or termios.error if the terminal goes away within the block.
    """
    with controlling_terminal(is_pristine=is_pristine) as terminal:
        if terminal is None:
            yield None
            return
        with foreground(terminal) as is_ours:
            if not is_ours:
                yield None
                return
            heeded = {signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}
            if is_pristine:
                heeded.add(signal.SIGINT)  # otherwise ^C is no signal
            with unblocked(heeded), own_turn() as turn:
                try:
                    has_turn = turn.wait(_TURN_WITHIN_S)
                except NoTurnsError as error:
                    has_turn = False
                    TerminalPrompt(terminal).say([f"{wording.PREFIX} {error.strerror}"])
                if not has_turn:
                    yield None
                    return
                with (
                    line_mode(terminal, has_signals=is_pristine),
                    _readable(terminal, is_pristine=is_pristine) as prompt,
                ):
                    yield prompt


@contextmanager
def _readable(terminal: int, *, is_pristine: bool) -> Iterator[TerminalPrompt]:
    prompt = TerminalPrompt(terminal)
    if is_pristine:
        yield prompt
        return
    prompt.recover()
    try:
        yield prompt
    finally:
        with suppress(OSError):
            os.write(terminal, PLAIN)


def is_interactive() -> bool:
    """Check that somebody can be asked: stderr is a terminal and nono has the controlling one."""
    try:
        with controlling_terminal() as terminal:
            if terminal is None:
                return False
            with foreground(terminal) as is_ours:
                return is_ours and os.isatty(sys.stderr.fileno())
    except OSError:
        return False


def confirm(lines: Iterable[str], question: str, *, is_pristine: bool = False) -> bool:
    """Show lines and ask. Returns True only if a person says yes. is_pristine: see open_terminal."""
    try:
        with open_terminal(is_pristine=is_pristine) as prompt:
            if prompt is None:
                return False
            prompt.say(lines)
            return is_yes(prompt.ask(question))
    except (OSError, termios.error):
        return False


def _shown(text: str) -> bytes:
    return printable(text).encode("utf-8", "replace")
