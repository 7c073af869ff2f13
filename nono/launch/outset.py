"""Start the command and import its servers meanwhile, or start it last if it must be served (ADR 43)."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from importlib import import_module
from importlib.util import find_spec
from time import monotonic

from nono.audit import event
from nono.audit.dedup import DedupRecorder
from nono.errors import NonoError
from nono.kernel import process
from nono.kernel.signals import signal
from nono.launch.serving.network import Network
from nono.launch.start import RunContext
from nono.launch.trusted import module_path
from nono.sessions.ends import FAILED
from nono.sessions.record import End
from nono.supervisor import abort, watches
from nono.supervisor.calls.trapped_command import TrappedCommand

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.launch.serving.network import ServedNetwork

# Commands that need no server have mostly ended by then, and the others are still loading.
PATIENCE_S = 0.02
# In this order. After each of them, the command may have ended or a signal may need to be passed on.
_SERVERS = ("asyncio", "ssl", "uvloop", "nono.launch.supervised", "nono.launch.serving.proxied")


def supervise(run: RunContext, network: Callable[[RunContext], AbstractContextManager[Network]]) -> int:
    """Run the command to its end. Returns its exit code."""
    record = DedupRecorder(run.session.record)
    process.raise_open_files()  # the launcher, which becomes the command, was forked before
    run = run.recorded_by(record)
    if run.prepared.enforcement.elevation:
        # Imported here: few runs ask about files.
        from nono.policy.live.paths import LivePaths

        run = run._replace(live_paths=LivePaths())
    with ended_in_order(run, record):
        try:
            with network(run) as opened, _restricted(run, opened) as trapped:
                return _run(run, record, opened, trapped)
        finally:
            record.drain()


def ended_in_order(run: RunContext, record: DedupRecorder) -> AbstractContextManager[None]:
    """End the run in order if libuv aborts within the block (ADR 29)."""
    return abort.ended_in_order(lambda: _end(run, record))


def _end(run: RunContext, record: DedupRecorder) -> None:
    """End the run from within an abort(3) of this process."""
    run.child.send(signal.SIGKILL)
    try:
        record.drain()
        end = End(FAILED, by="nono", detail=abort.REASON)
        run.entry.ended(abort.EXIT_CODE, end)
        run.session.record(event.session_ended(abort.EXIT_CODE, end._asdict()))
        run.beside.abort(run.session, abort.EXIT_CODE)
    finally:
        try:
            run.session.warn(abort.REASON)
        finally:
            run.close()


@contextmanager
def _restricted(run: RunContext, network: Network) -> Iterator[TrappedCommand | None]:
    """Make the launcher restrict itself; yield its listener, if it has one."""
    port = None if network.listener is None else network.listener.getsockname()[1]
    number = run.restrict(
        network.variables,
        port,
        readable=network.readable,
        withheld=network.withheld,
        own_files=network.own_files,
    )
    if number is None:
        yield None
        return
    trapped = TrappedCommand(run.launcher.pid, number)
    try:
        yield trapped
    finally:
        trapped.close()


def _run(run: RunContext, record: DedupRecorder, network: Network, trapped: TrappedCommand | None) -> int:
    starts_first = network.may_start_first and _may_start_first(run)
    if starts_first:
        watches.try_watches()
        _find_servers()
        run.child.lower_priority()
        run.go()
        has_ended = run.options.front is None and _ends_first(run, network, trapped)
        # Notices for a command with its own terminal wait there, and the loop shows them.
        if (has_ended or _ends_meanwhile(run)) and run.options.front is None:
            assert run.child.exit_code is not None  # because it has ended
            return run.child.exit_code
    # Imported here: the command is loading meanwhile.
    from nono.launch import supervised

    return supervised.supervise(run, record, network, trapped, is_started=starts_first)


def _may_start_first(run: RunContext) -> bool:
    """Return True if nothing must be served at the start, and the command cannot change what is imported."""
    if run.is_watched or run.prepared.enforcement.traps_opens:
        return False
    return module_path.may_load_later(run.prepared.capabilities.grants)


def _find_servers() -> None:
    """Raise NonoError if something that serves the command is not installed."""
    for name in (*_SERVERS, "anyio", "httptools", "nono.supervisor.notify_loop"):
        if find_spec(name) is None:
            raise NonoError(
                f"nono's module {name} is missing, so nothing was started.", hint="reinstall nono"
            )


def _ends_first(run: RunContext, network: Network, trapped: TrappedCommand | None) -> bool:
    """Wait until the command has ended, and return True; False as soon as it needs a server or takes long.

    Its connections wait in the proxy's backlog, its trapped calls in the kernel.
    """
    poll = select.poll()
    poll.register(run.child.descriptor, select.POLLIN)
    if network.listener is not None:
        poll.register(network.listener, select.POLLIN)
    if trapped is not None:
        poll.register(trapped.listener, select.POLLIN)
    deadline = monotonic() + PATIENCE_S
    while not _has_ended(run):
        left_s = deadline - monotonic()
        if left_s <= 0:
            return False
        for descriptor, events in poll.poll(left_s * 1000):
            if descriptor == run.child.descriptor:
                continue
            if events & select.POLLIN:
                return False
            poll.unregister(descriptor)  # a listener whose last process is gone: the signal will arrive
    return True


def _ends_meanwhile(run: RunContext) -> bool:
    """Import the servers. Returns True, with some not imported, if the command ends first."""
    try:
        for name in _SERVERS:
            import_module(name)
            if _has_ended(run):
                return True
    except Exception as error:  # a missing or truncated file, too many open files, too little memory
        raise NonoError(
            f"the command was ended, because nono cannot load what serves it: {str(error) or repr(error)}",
            hint="if nono is being updated, start again afterwards; otherwise reinstall it",
        ) from error
    return False


def _has_ended(run: RunContext) -> bool:
    """Pass signals on; return True if the command has ended."""
    run.child.serve_signals()
    return run.child.exit_code is not None


@contextmanager
def without_proxy(run: RunContext) -> Iterator[Network]:
    """Yield the network of a run without a proxy whose terminal or system calls are served."""

    def serve() -> AbstractAsyncContextManager[ServedNetwork]:
        # Imported here, as above.
        from nono.launch.serving import unproxied

        return unproxied.without_proxy(run)

    yield Network(serve)
