"""The run without a proxy some of whose system calls are served: adjudicator and child on a loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from nono.audit.folding import FoldingRecorder
from nono.audit.ledger import AuditLog
from nono.kernel import process
from nono.launch.cause import cause_of
from nono.launch.start import RunContext
from nono.launch.thread_naming import with_thread_names
from nono.supervisor import loop
from nono.supervisor.adjudicator import NetworkGrants
from nono.supervisor.caller_paths import CallerPaths
from nono.supervisor.notify_loop import NotifyLoop

if TYPE_CHECKING:
    from nono.supervisor.notify_loop import PathCalls


def run(start: RunContext) -> int:
    """The command's exit code."""
    try:
        return anyio.run(_supervise, start, backend_options={"use_uvloop": True})
    except BaseExceptionGroup as group:
        raise cause_of(group) from group


async def _supervise(start: RunContext) -> int:
    log, record = start.session.log, FoldingRecorder(start.session.record)
    async with anyio.create_task_group() as tasks:
        if log is not None:
            tasks.start_soon(loop.keep_written, log, record.flush)
        tasks.start_soon(loop.keep_small)
        try:
            number = start.restrict({}, None)
            assert number is not None  # or there was nothing to serve
            listener = process.duplicate_descriptor(start.launcher.pid, number)
            async with _opens(start, listener, record, log) as others:
                with with_thread_names(start, listener, record, others) as opens:
                    paths = CallerPaths(start.launcher.pid)
                    adjudicator = NotifyLoop(listener, _grants(start), record, lambda _: None, paths, opens)
                    adjudicator.start()
                    try:
                        start.child.give_way()
                        await loop.go(start.go, is_watched=start.observation is not None)
                        loop.begin_collecting()
                        exit_code = await loop.wait(start.child)
                    finally:
                        adjudicator.close()
        finally:
            record.drain()
        tasks.cancel_scope.cancel()
    return exit_code


def _grants(start: RunContext) -> NetworkGrants:
    """What the supervisor does with sockets; where none of their calls is trapped, nobody asks."""
    resolved, capabilities = start.prepared.resolved, start.prepared.capabilities
    unix = resolved.unix_sockets
    if not capabilities.mediates_unix_sockets:
        unix = unix._replace(files=capabilities.grants)
    return NetworkGrants(
        ports=capabilities.ports,
        unix=unix,
        is_open=not capabilities.restricts_network,
        reaches_abstract=not capabilities.scopes.abstract_unix_socket,
    )


@asynccontextmanager
async def _opens(
    start: RunContext, listener: int, record: FoldingRecorder, log: AuditLog | None
) -> AsyncIterator[PathCalls | None]:
    """What watches trapped opens or asks about them, if anything does."""
    if start.observation is not None:
        # Imported here: few runs are watched.
        from nono.launch.watching import path_watch

        with path_watch(start, listener, (), start.observation) as watch:
            yield watch
        return
    approval = start.prepared.resolved.approval
    if approval is None or not start.prepared.enforcement.elevation:
        yield None
        return
    # Imported here: few runs ask.
    from nono.launch.elevation import approvals, file_opens
    from nono.supervisor.stillness import held_still

    async with (
        approvals(approval, record, log, held_still) as approver,
        file_opens(start, listener, (), approver, record) as opens,
    ):
        yield opens
