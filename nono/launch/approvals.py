"""Connect the approval broker of a session to the backends its profile names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nono.approval.backends import Backends
from nono.approval.broker import ApprovalBroker, approval_broker
from nono.approval.notices import notices_of
from nono.approval.open_questions import OpenQuestions
from nono.approval.request import Backend
from nono.approval.terminal import StopJob, Terminal
from nono.approval.viewer_terminal import AskViewer, ViewerTerminal
from nono.launch.session import Session
from nono.policy.services.approval import Approval, ChainBackend, TerminalBackend, WebhookBackend


@asynccontextmanager
async def approvals(
    approval: Approval,
    session: Session,
    hold: StopJob,
    ask: AskViewer | None = None,
    questions: OpenQuestions | None = None,
    notified: str | None = None,
) -> AsyncIterator[ApprovalBroker]:
    """Open an ApprovalBroker until the block is left.

    hold: Stops the job for a question on a terminal that it shares.
    ask: Asks on the viewer of the command's own terminal; None if it has none.
    questions: Keeps the open questions.
    notified: The session's name for desktop notifications, or ""; None: no notifications.
    """
    # A single backend under all its names, so that its questions come one after another.
    terminal = Terminal(hold) if ask is None else ViewerTerminal(ask)
    reached: dict[str, Backend] = {}
    for name, backend in approval.backends.items():
        match backend.way:
            case TerminalBackend():
                reached[name] = terminal
            case WebhookBackend() as where:
                # Imported here: it imports ssl, which few runs without a proxy need.
                from nono.approval.webhook import Webhook

                reached[name] = Webhook(where)
            case ChainBackend():
                pass
    questions = questions or OpenQuestions(lambda _: None)
    notices = None if notified is None else notices_of(notified, session.environ)
    if notices is not None:
        questions.tell(notices.changed)
    backends = Backends(approval, reached)
    async with approval_broker(backends, session.record, session.session_id, questions) as approver:
        yield approver
