"""Opens the approval broker of a run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from nono.launch.start import RunContext

if TYPE_CHECKING:
    from nono.approval.broker import ApprovalBroker


@asynccontextmanager
async def approver_of(run: RunContext) -> AsyncIterator[ApprovalBroker | None]:
    """Open the approval broker of a run until the block is left; None if nothing may need approval."""
    approval = run.prepared.resolved.approval
    if approval is None:
        yield None
        return
    # Imported here: few runs ask.
    from nono.launch.approvals import approvals
    from nono.supervisor.job_stop import job_stopped

    ask = None if run.front is None else run.front.ask
    async with approvals(approval, run.session, job_stopped, ask) as approver:
        yield approver
