"""Serve the trapped opens of a run: watch them, ask about them, or open thread names."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from nono.launch.start import RunContext, own_grants

if TYPE_CHECKING:
    from nono.approval.broker import ApprovalBroker
    from nono.supervisor.notify_loop import PathCalls
    from nono.supervisor.opens.handler import FileOpens
    from nono.supervisor.opens.path_observer import PathWatch, Watcher


@asynccontextmanager
async def trapped_opens(
    run: RunContext, listener: int, readable: Sequence[str], approver: ApprovalBroker | None
) -> AsyncIterator[PathCalls | None]:
    """Serve the opens of a restricted launcher that has not exec'd yet. None: the kernel serves them.

    The notify loop that uses the yielded object closes it.

    listener: The seccomp listener.
    readable: Files that nono made for the command to read.
    approver: Answers questions about opens beyond the grants; None: nobody is asked.
    """
    async with (
        _watched_or_asked(run, listener, readable, approver) as asked,
        _checked(run, listener, readable, asked) as others,
    ):
        if not run.prepared.enforcement.names_threads:
            yield others
            return
        # Imported here: few runs name threads.
        from nono.supervisor.opens.handler import command_of
        from nono.supervisor.opens.thread_names import ThreadNames

        with command_of(run.launcher.pid) as command:
            yield ThreadNames(listener, command, run.session.record, others)


@asynccontextmanager
async def _watched_or_asked(
    run: RunContext, listener: int, readable: Sequence[str], approver: ApprovalBroker | None
) -> AsyncIterator[PathCalls | None]:
    if run.options.observation is not None:
        run.options.observation.ignore((*run.readable, *readable))
        with _watched(run, listener, run.options.observation) as watch:
            yield watch
    elif run.options.refusals is not None:
        own = own_grants((*run.readable, *readable))
        rules, has_mounts = run.rules(), run.prepared.enforcement.namespaces
        kept = rules.capabilities.hooks if has_mounts else None
        run.options.refusals.starts(rules._replace(handed_out=own).files, kept)
        with _watched(run, listener, run.options.refusals) as watch:
            yield watch
    elif approver is not None and run.prepared.enforcement.elevation:
        async with _asked(run, listener, readable, approver) as opens:
            yield opens
    else:
        yield None


@asynccontextmanager
async def _checked(
    run: RunContext, listener: int, readable: Sequence[str], others: PathCalls | None
) -> AsyncIterator[PathCalls | None]:
    """Check the instruction files that the command opens; `others` serves all other opens."""
    checked = run.beside.checked
    if checked is None or not run.prepared.enforcement.checks_instructions:
        yield others
        return
    # Imported here: few projects have a trust policy.
    import anyio

    from nono.supervisor.opens.handler import command_of
    from nono.supervisor.opens.instruction_files import InstructionFiles
    from nono.trust.disk.memory_file import MemoryFile

    files = run.rules()._replace(handed_out=own_grants((*run.readable, *readable))).files
    memory = MemoryFile(checked.root, run.session.environ)

    def approvals() -> Mapping[str, str]:
        remembered = memory.read()
        return {} if remembered is None else remembered.approved

    with command_of(run.launcher.pid) as command:
        async with anyio.create_task_group() as tasks:
            yield InstructionFiles(
                listener,
                command,
                files,
                checked,
                approvals,
                run.session.record,
                tasks,
                others,
                run.beside.packages,
            )
            tasks.cancel_scope.cancel()


@contextmanager
def _watched(run: RunContext, listener: int, watcher: Watcher) -> Iterator[PathWatch]:
    """Report the command's file accesses to the watcher."""
    # Imported here: few runs are watched.
    from nono.supervisor.calls.caller import caller_context, open_root
    from nono.supervisor.opens.path_observer import PathWatch

    root = open_root(run.launcher.pid)
    try:
        yield PathWatch(listener, root, caller_context(run.launcher.pid), watcher)
    finally:
        os.close(root)


@asynccontextmanager
async def _asked(
    run: RunContext, listener: int, readable: Sequence[str], approver: ApprovalBroker
) -> AsyncIterator[FileOpens]:
    """Ask the approver about opens that nothing grants."""
    # Imported here: few runs ask.
    import anyio

    from nono.supervisor.opens.handler import FileOpens, command_of

    own = own_grants((*run.readable, *readable))
    policy = run.rules()._replace(handed_out=own).files
    if run.prepared.cgroups is not None:
        policy = policy._replace(limits=run.prepared.cgroups.mounted)
    with command_of(run.launcher.pid) as command:
        async with anyio.create_task_group() as tasks:
            yield FileOpens(listener, command, policy, approver, run.session.record, tasks, run.live_paths)
            tasks.cancel_scope.cancel()
