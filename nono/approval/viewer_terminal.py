"""Ask on the terminal of the viewer that shows the command's own terminal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import anyio

from nono.approval import wording
from nono.approval.ask import conclusion
from nono.approval.request import Answer, Question
from nono.approval.terminal import IN_BACKGROUND, NAME, NO_TERMINAL, SAID_NO, TOO_LONG
from nono.audit.event import WITHDRAWN

# Sends a question to the viewer and, if it is withdrawn, a line with the reason. Returns the viewer's report
# of the answer, or None if nobody can be asked.
AskViewer = Callable[[Mapping[str, object], Callable[[], str]], Awaitable[object]]

NO_TURNS = "nothing is asked at terminals while the directory 'asking' of nono's state cannot be used"
ANSWERS = {
    "yes": Answer("granted", "", NAME),
    "no": Answer("denied", SAID_NO, NAME, is_remembered=True),
    "background": Answer("denied", IN_BACKGROUND, NAME),
    "closed": Answer("error", NO_TURNS, NAME),
    "gone": Answer("error", "the terminal that was asked is gone", NAME),
    None: Answer("denied", NO_TERMINAL, NAME, is_unasked=True),
}


class ViewerTerminal:
    """A Backend that shows one question at a time; others wait their turn.

    The command can neither write over the question nor answer it: it has another terminal, which is not shown
    while the question is open.
    """

    def __init__(self, ask: AskViewer) -> None:
        self._ask = ask
        self._turn = anyio.Lock()

    async def ask(self, question: Question, expires_s: float) -> Answer:
        shown = wording.lines(question.request, expires_s)
        if shown is None:
            return Answer("denied", TOO_LONG, NAME)
        async with self._turn:
            document = {"kind": "approve", "lines": shown, "short": wording.in_short(question.request)}
            word = await self._ask(document, lambda: _why_closed(question))
        if word is not None and not isinstance(word, str):
            return ANSWERS["gone"]
        return ANSWERS.get(word, Answer("error", "the terminal gave no answer", NAME))


def _why_closed(question: Question) -> str:
    here = Answer("error", WITHDRAWN, NAME)
    return conclusion(question.elsewhere() or here, here)
