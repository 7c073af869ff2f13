"""Tells a desktop that questions wait, seldom, in a thread for which nothing waits."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from html import escape

from nono.approval.listing import Listed

# A question that is answered sooner (nobody can be asked) is not worth a notification.
SETTLE_S = 0.3
EVERY_S = 5.0  # at most one in that time; it tells of all that came meanwhile
WHAT_MAX = 200  # characters of what is asked for
TITLE = "nono needs you"

_log = logging.getLogger(__name__)

Show = Callable[[str, str], None]  # title and body; blocks, and may raise anything


def body(session: str, questions: Sequence[Listed]) -> str:
    """Return the text about open questions, of which there is at least one: markup without any tag.

    session: The name by which `nono approvals` knows whose they are; "" if it does not.
    """
    what = questions[0].what
    shown = what if len(what) <= WHAT_MAX else f"{what[:WHAT_MAX]}..."
    first = f"The command asks: {shown}"
    if len(questions) > 1:
        first = f"{len(questions)} questions wait. {first}"
    whose = f"Session {session}. " if session else ""
    where = "Answer at its terminal, or with: nono approvals" if session else "Answer at its terminal."
    return escape(f"{whose}{first}\n{where}", quote=False)


class Notices:
    """Shows notifications about the open questions of a session. A failure goes to the debug log only."""

    def __init__(
        self, session: str, show: Show, *, settle_s: float = SETTLE_S, every_s: float = EVERY_S
    ) -> None:
        self._session = session
        self._show = show
        self._settle_s = settle_s
        self._every_s = every_s
        self._lock = threading.Lock()  # guards the rest; nobody blocks while holding it
        self._open: tuple[Listed, ...] = ()
        self._told: frozenset[str] = frozenset()
        self._works = False

    def changed(self, questions: tuple[Listed, ...]) -> None:
        """Take the questions that are open now. Never blocks."""
        with self._lock:
            self._open = questions
            starts = not self._works and self._is_news()
            if starts:
                self._works = True
        if starts:
            try:
                # A daemon: it holds up no end.
                threading.Thread(target=self._work, name="desktop notices", daemon=True).start()
            except RuntimeError as error:  # no thread can be had
                _log.debug("no desktop notification: %s", error)
                self._works = False

    def _is_news(self) -> bool:
        return any(question.id not in self._told for question in self._open)

    def _work(self) -> None:
        """Show what is new, until nothing is."""
        time.sleep(self._settle_s)
        while (questions := self._news()) is not None:
            try:
                self._show(TITLE, body(self._session, questions))
            except Exception as error:  # whatever it is, the question is also at its terminal
                _log.debug("no desktop notification: %s", error)
            time.sleep(self._every_s)

    def _news(self) -> tuple[Listed, ...] | None:
        """Return the open questions if one of them is new; None ends the work."""
        with self._lock:
            self._works = self._is_news()
            self._told = frozenset(question.id for question in self._open)
            return self._open if self._works else None


def notices_of(session: str, environ: Mapping[str, str]) -> Notices | None:
    """Return what tells the desktop of nono's own environment; None if that names no session bus.

    session: See body.
    """
    address = environ.get("DBUS_SESSION_BUS_ADDRESS")
    if not address:
        return None

    def show(title: str, text: str) -> None:
        # Imported here: in the thread, and only once there is a question.
        from nono.approval import desktop

        desktop.show(address, title, text)

    return Notices(session, show)
