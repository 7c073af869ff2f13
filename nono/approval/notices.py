"""Show waiting questions on the desktop, rarely, in a thread that nothing waits for."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from html import escape

from nono.approval.listing import Listed

# A question that is answered sooner (for instance because nobody can be asked) needs no notification.
SETTLE_S = 0.3
EVERY_S = 5.0  # at most one notification in that time; it covers all questions since the last
WHAT_MAX = 200  # characters of the question
TITLE = "nono needs you"

_log = logging.getLogger(__name__)

Show = Callable[[str, str], None]  # title and body; blocks, and may raise anything


def body(session: str, questions: Sequence[Listed]) -> str:
    """Return the text about open questions, of which there is at least one, as markup without tags.

    session: The name of their session in `nono approvals`; "" if it has none.
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
        """Take the current open questions. Never blocks."""
        with self._lock:
            self._open = questions
            starts = not self._works and self._is_news()
            if starts:
                self._works = True
        if starts:
            try:
                # A daemon thread does not delay the end of the process.
                threading.Thread(target=self._work, name="desktop notices", daemon=True).start()
            except RuntimeError as error:  # no thread can be started
                _log.debug("no desktop notification: %s", error)
                self._works = False

    def _is_news(self) -> bool:
        return any(question.id not in self._told for question in self._open)

    def _work(self) -> None:
        """Show notifications until there is no new question."""
        time.sleep(self._settle_s)
        while (questions := self._news()) is not None:
            try:
                self._show(TITLE, body(self._session, questions))
            except Exception as error:  # any error: the question is at its terminal too
                _log.debug("no desktop notification: %s", error)
            time.sleep(self._every_s)

    def _news(self) -> tuple[Listed, ...] | None:
        """Return the open questions if one of them is new, else None, which ends the thread."""
        with self._lock:
            self._works = self._is_news()
            self._told = frozenset(question.id for question in self._open)
            return self._open if self._works else None


def notices_of(session: str, environ: Mapping[str, str]) -> Notices | None:
    """Return the Notices for the desktop of nono's own environment; None without a session bus there.

    session: See body().
    """
    address = environ.get("DBUS_SESSION_BUS_ADDRESS")
    if not address:
        return None

    def show(title: str, text: str) -> None:
        # Imported here: in the thread, and only for a question.
        from nono.approval import desktop

        desktop.show(address, title, text)

    return Notices(session, show)
