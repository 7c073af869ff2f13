"""The run without a proxy whose opens beyond the grants are asked about: adjudicator and child on a loop."""

from __future__ import annotations

import anyio

from nono.audit.folding import FoldingRecorder
from nono.audit.ledger import AuditLog
from nono.kernel import process
from nono.launch.cause import cause_of
from nono.launch.elevation import approvals, file_opens
from nono.launch.run import Start, record_nothing
from nono.supervisor import loop
from nono.supervisor.adjudicator import NO_NETWORK
from nono.supervisor.notify_loop import NotifyLoop
from nono.supervisor.stillness import held_still


def run(start: Start, log: AuditLog | None) -> int:
    """The command's exit code."""
    try:
        return anyio.run(_supervise, start, log, backend_options={"use_uvloop": True})
    except BaseExceptionGroup as group:
        raise cause_of(group) from group


async def _supervise(start: Start, log: AuditLog | None) -> int:
    record = FoldingRecorder(log.record if log is not None else record_nothing)
    async with anyio.create_task_group() as tasks:
        if log is not None:
            tasks.start_soon(loop.keep_written, log, record.flush)
        tasks.start_soon(loop.keep_small)
        try:
            number = start.restrict({}, None)
            approval = start.prepared.resolved.approval
            assert number is not None  # or there was no elevation
            assert approval is not None
            listener = process.duplicate_descriptor(start.launcher.pid, number)
            async with (
                approvals(approval, record, log, held_still) as approver,
                file_opens(start, listener, (), approver, record) as opens,
            ):
                adjudicator = NotifyLoop(listener, NO_NETWORK, record, lambda _: None, opens=opens)
                adjudicator.start()
                try:
                    start.go()
                    loop.begin_collecting()
                    exit_code = await loop.wait(start.child)
                finally:
                    adjudicator.close()
        finally:
            record.drain()
        tasks.cancel_scope.cancel()
    return exit_code
