"""Open the approval broker of a run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from nono.approval.listing import ID_SHOWN
from nono.launch.start import RunContext

if TYPE_CHECKING:
    from nono.approval.broker import ApprovalBroker
    from nono.approval.listing import Listed


@asynccontextmanager
async def approver_of(run: RunContext) -> AsyncIterator[ApprovalBroker | None]:
    """Open the approval broker of a run until the block is left; None if nothing may need approval."""
    approval = run.prepared.resolved.approval
    if approval is None:
        yield None
        return
    # Imported here: few runs ask.
    from nono.approval.open_questions import OpenQuestions
    from nono.launch.approvals import approvals
    from nono.supervisor.job_stop import job_stopped

    resolved = run.prepared.resolved
    asks = resolved.proxy is not None and resolved.proxy.asks
    asks = asks or any(service.limits.asks for service in resolved.services)
    # If nobody can be asked at a terminal, wait for another answer only where a person knows about it.
    waits = asks or run.options.front is not None
    questions = OpenQuestions(run.entry.asks, waits=waits, unseen=partial(_tell_of, run))
    ask = None
    if run.options.front is not None:
        ask, run.options.front.arrived = run.options.front.ask, questions.somebody_came
    notified = run.entry.shown()["name"] if run.beside.notifies else None
    async with approvals(approval, run.session, job_stopped, ask, questions, notified) as approver:
        yield approver


def _tell_of(run: RunContext, question: Listed) -> None:
    """Say that a question waits which no terminal shows. A command with its own terminal shows it later."""
    if run.options.front is None:
        name = question.id[:ID_SHOWN]
        how = f"nono approvals allow {name}, or deny {name}"
        run.session.warn(f"the command waits for an answer ({question.what}): {how}")
