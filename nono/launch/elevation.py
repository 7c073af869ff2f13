"""Approval in a run: who is asked, and the trapped opens that ask."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio

from nono.approval.backends import Backends
from nono.approval.desk import Desk, desk
from nono.approval.request import Backend
from nono.approval.terminal import Hold, Terminal
from nono.audit.event import Recorder
from nono.audit.ledger import AuditLog
from nono.launch.start import RunContext, own_grants
from nono.policy.approval import Approval, ChainBackend, TerminalBackend, WebhookBackend
from nono.policy.filesystem import HostFilesystem
from nono.policy.rulebook import rulebook_of
from nono.supervisor.file_opens import FileOpens, command_of


@asynccontextmanager
async def approvals(
    approval: Approval, record: Recorder, log: AuditLog | None, hold: Hold
) -> AsyncIterator[Desk]:
    """The desk of a run, until the block is left. hold: as a terminal needs it."""
    terminal = Terminal(hold)  # one, whatever it is called: its questions come one after another
    reached: dict[str, Backend] = {}
    for name, backend in approval.backends.items():
        match backend.way:
            case TerminalBackend():
                reached[name] = terminal
            case WebhookBackend() as where:
                # Imported here: it brings ssl, which few runs without a proxy need.
                from nono.approval.webhook import Webhook

                reached[name] = Webhook(where)
            case ChainBackend():
                pass
    session_id = log.session_id if log is not None else ""
    async with desk(Backends(approval, reached), record, session_id) as approver:
        yield approver


@asynccontextmanager
async def file_opens(
    start: RunContext, listener: int, readable: Sequence[str], approver: Desk, record: Recorder
) -> AsyncIterator[FileOpens]:
    """What serves the trapped opens of a launcher that is restricted and not yet the command.

    readable: what the command may read of files that nono made for it. Closed by the loop that uses it.
    """
    own = own_grants((*start.readable, *readable))
    policy = rulebook_of(start.prepared.resolved, HostFilesystem(), own).files
    if start.prepared.cgroups is not None:
        policy = policy._replace(limits=start.prepared.cgroups.mounted)
    with command_of(start.launcher.pid) as command:
        async with anyio.create_task_group() as tasks:
            yield FileOpens(listener, command, policy, approver, record, tasks)
            tasks.cancel_scope.cancel()
