"""Read a line that is typed on the terminal of standard input, without showing it."""

from __future__ import annotations

import os
import signal
import termios
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

from nono.errors import CredentialError
from nono.typed.line import in_front, is_own
from nono.typed.waiting import unblocked, wait_for

LINE_BYTES_MAX = 4096  # of a terminal in line mode (termios(3)): the kernel drops what is typed beyond


def read_hidden(question: str) -> str:
    """Ask for a line. Call only if standard input is a terminal, and somebody can answer there.

    Raises EOFError if it ends without a line, CredentialError if a part of it may be missing,
    KeyboardInterrupt for Ctrl-C, or OSError or termios.error if the terminal went away.
    """
    with (
        closing(_HiddenLine(question)) as line,
        unblocked({*_ENDING, *_STOPPING, signal.SIGINT}),
        line.asked(),
    ):
        wait_for(reading=0)
        typed = os.read(0, LINE_BYTES_MAX)  # one line: the terminal is in line mode
    if not typed.endswith(b"\n"):
        raise EOFError
    if len(typed) == LINE_BYTES_MAX:
        raise CredentialError(
            f"what was typed may be cut off: a terminal takes {LINE_BYTES_MAX - 2:,} bytes in one line",
            hint="for a longer key: nono credential set NAME < FILE",
        )
    return typed[:-1].decode("utf-8", "surrogateescape")


_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_STOPPING = (signal.SIGTSTP, signal.SIGCONT)


class _HiddenLine:
    """A question whose answer stays hidden when the person stops this process and continues it."""

    def __init__(self, question: str) -> None:
        self._question = question.encode()
        self._is_asked = False
        self._before = termios.tcgetattr(0)
        # stderr may be a file. A supervisor that asks for the process in front has another /dev/tty.
        self._shown_at = os.open("/dev/tty", os.O_WRONLY | os.O_CLOEXEC) if is_own() else os.dup(2)

    def close(self) -> None:
        os.close(self._shown_at)

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Show the question, and hide what is typed within the block."""
        handlers: dict[signal.Signals, Callable[[int, object], None]]
        handlers = dict.fromkeys(_ENDING, self._end)
        handlers |= {signal.SIGTSTP: self._stop, signal.SIGCONT: self._continue}
        # A caller without job control ignores SIGTSTP, and nohup(1) SIGHUP; this process keeps that.
        before = {
            number: signal.signal(number, handler)
            for number, handler in handlers.items()
            if signal.getsignal(number) is signal.SIG_DFL
        }
        try:
            self._ask()
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self._show_typed()
            with suppress(OSError):
                os.write(self._shown_at, b"\n")

    def _ask(self) -> None:
        hidden = [*self._before]
        hidden[3] &= ~termios.ECHO
        termios.tcsetattr(0, termios.TCSAFLUSH, hidden)
        os.write(self._shown_at, self._question)
        self._is_asked = True

    def _show_typed(self) -> None:
        """Undo the modes, as not every shell has its own. In the background, that would stop this process."""
        if in_front():
            with suppress(OSError, termios.error):
                termios.tcsetattr(0, termios.TCSAFLUSH, self._before)

    def _end(self, number: int, _frame: object) -> None:
        self._show_typed()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def _stop(self, number: int, _frame: object) -> None:
        self._show_typed()
        self._is_asked = False
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)  # returns once this process is continued
        signal.signal(number, self._stop)
        if not self._is_asked:  # nothing has stopped it: there is no shell that could continue it
            self._continue(number, None)

    def _continue(self, _number: int, _frame: object) -> None:
        """Hide what is typed again, and repeat the question: the shell has set modes of its own."""
        if in_front():
            with suppress(OSError, termios.error):
                self._ask()
