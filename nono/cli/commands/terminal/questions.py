"""Ask the person at this terminal what the supervisor of a session wants to know."""

from __future__ import annotations

import os
import select
import termios
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack, suppress

from nono.approval import wording
from nono.approval.ask import Dialog, Prompt, Wait, conclusion, last_line, open_terminal
from nono.approval.tty import (
    NO_KEY,
    SHOWN_S,
    TURN_PAUSE_S,
    NoTurnsError,
    Turn,
    controlling_terminal,
    foreground,
    line_mode,
    needs_you,
    own_turn,
    recover_sequence,
)
from nono.approval.viewer_terminal import ANSWERS
from nono.printable import printable
from nono.sessions.detach_key import DetachKeys

LEFT = f"\n{wording.PREFIX} The question waits: nono attach asks it again, nono approvals lists it."
CLOSED = f"\n{wording.PREFIX} The question is closed: who asked is gone."


class Questions:
    """Questions that are asked one after the other. The terminal is not lent meanwhile."""

    def __init__(
        self,
        watched: Collection[int],
        withdrawn: Callable[[], str | None],
        leave: Callable[[], None],
    ) -> None:
        """withdrawn: called when a watched descriptor can be read; returns why the question is closed.

        leave: Called when the keys that detach were typed.
        """
        self._watched = watched
        self._withdrawn = withdrawn
        self._leave = leave
        self._why = ""
        self._held = ExitStack()  # holds the terminal between "open" and "close"
        self._prompt: Prompt | None = None

    def answer(self, document: Mapping[str, object], keys: DetachKeys | None) -> str | None:
        """Do what is asked for, and return what the person said, if anything.

        keys: Those that detach; None: the session cannot be left.
        """
        try:
            match document.get("kind"):
                case "approve":
                    return self._approve(_lines(document), printable(str(document.get("short", ""))), keys)
                case "open":
                    self._prompt = self._held.enter_context(open_terminal())
                    return None if self._prompt is None else "open"
                case "close":
                    self._prompt = None
                    self._held.close()
                case "say" if self._prompt is not None:
                    self._prompt.say(_lines(document))
                case "line" if self._prompt is not None:
                    return self._prompt.ask(str(document.get("question", "")))
        except NoTurnsError:
            return "closed"
        except (OSError, termios.error):
            return "gone"
        return None

    def _approve(self, lines: list[str], in_short: str, keys: DetachKeys | None) -> str | None:
        """Ask for a yes or a no, and notify. Returns a word of nono.approval.viewer_terminal.

        Returns None if the person has left: then nobody was asked.
        """
        with controlling_terminal() as terminal, own_turn() as turn:
            if terminal is None:
                return "gone"
            if not self._has_turn(turn):
                return "withdrawn"
            with foreground(terminal) as is_ours:
                if not is_ours:
                    return "background"
                with line_mode(terminal, ends_read=NO_KEY if keys is None else keys.first):
                    text = recover_sequence() + "\n".join([*lines, wording.ask()]).encode()
                    word, line = self._answer(terminal, Dialog(terminal, text + needs_you(in_short), keys))
                    with suppress(OSError):
                        os.write(terminal, last_line(line))
                    return word

    def _answer(self, terminal: int, dialog: Dialog) -> tuple[str | None, str]:
        """Return the word, as _approve() does, and the line that ends the question."""
        is_asked = self._perform(terminal, dialog)
        if dialog.is_left:
            self._leave()
            return None, LEFT
        word = ("yes" if dialog.is_yes else "no") if is_asked else "withdrawn"
        answer = ANSWERS.get(word)
        return word, self._why or CLOSED if answer is None else conclusion(answer, answer)

    def _perform(self, terminal: int, steps: Iterable[Wait]) -> bool:
        """Carry out the steps. Returns False if the question is withdrawn meanwhile."""
        poll = select.poll()
        for descriptor in self._watched:
            poll.register(descriptor, select.POLLIN)
        if self._is_withdrawn():  # a message that came with the question may have withdrawn it
            return False
        for wait in steps:
            ends = time.monotonic() + SHOWN_S if wait is Wait.SHOWN else None
            if ends is None:
                poll.register(terminal, select.POLLIN if wait is Wait.READABLE else select.POLLOUT)
            while True:
                left_ms = None if ends is None else max(ends - time.monotonic(), 0) * 1000
                ready = [descriptor for descriptor, _ in poll.poll(left_ms)]
                if ready and ready != [terminal] and self._is_withdrawn():
                    return False
                if terminal in ready or not ready:
                    break
            with suppress(KeyError):
                poll.unregister(terminal)
        return True

    def _has_turn(self, turn: Turn) -> bool:
        """Wait while another run asks here. Returns False if the question is withdrawn meanwhile."""
        while not turn.take():
            if self._is_withdrawn():
                return False
            time.sleep(TURN_PAUSE_S)
        return True

    def _is_withdrawn(self) -> bool:
        why = self._withdrawn()
        if why is not None:
            self._why = "\n".join(map(printable, why.split("\n")))
        return why is not None


def _lines(document: Mapping[str, object]) -> list[str]:
    lines = document.get("lines")
    return [str(line) for line in lines] if isinstance(lines, list) else []
