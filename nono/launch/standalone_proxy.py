"""Run a proxy without a command, from reading its credentials to the signal that ends it."""

from __future__ import annotations

import os
import secrets
import shlex
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from posixpath import dirname, join
from typing import TYPE_CHECKING

import anyio

from nono import paths
from nono.audit import event
from nono.audit.dedup import DedupRecorder
from nono.audit.ledger import new_session_id
from nono.audit.redact import Redaction
from nono.credentials.phantom import SessionToken
from nono.errors import NonoError
from nono.kernel import process
from nono.launch.proxy.assembly import Assembly, assemble
from nono.launch.proxy.engine import collaborators, served
from nono.launch.proxy.front import Front, front_of, listening
from nono.launch.proxy.same_user import same_user
from nono.launch.record.proof import Evidence, concluded
from nono.launch.session import Say, Session, Warn, open_log
from nono.named_tuple import NamedTuple
from nono.policy.resolve import Resolved
from nono.private_dir import open_private_dir
from nono.proxy.upstream.lookups import lookups
from nono.supervisor import abort, loop

if TYPE_CHECKING:
    from nono.approval.broker import ApprovalBroker
    from nono.launch.record.outward import Carried
    from nono.outward.orders import Orders
    from nono.proxy.config import IsOurs, ProxyConfig
    from nono.proxy.server import RunningProxy
    from nono.proxy.tls.session_ca import SessionCa


class Serving(NamedTuple):
    """A proxy that is ready for clients."""

    port: int
    variables: Mapping[str, str]  # tell clients how to reach and trust it; hold the password and the phantoms
    file: str  # the same as a shell script, mode 0600; removed when the proxy ends


_UNRECORDED = "a proxy whose requests cannot be recorded is not started"

Announce = Callable[[Serving], None]


class ProxyOptions(NamedTuple):
    """What the caller decides about one standalone proxy, beside its policy."""

    config: ProxyConfig  # made by config_of with `token`
    token: SessionToken  # what clients must present
    own_authority: SessionCa | None  # the user's own CA; None: one is made
    announce: Announce  # called once the proxy is ready for clients
    say: Say  # takes the lines of a summary after the end
    warn: Warn  # takes a sentence a person must hear meanwhile
    redaction: Redaction  # masks secrets in recorded arguments
    audit_bytes: int  # size of the audit log at which requests are refused
    outward: Orders | None  # where the audit log is anchored and sent; None: nowhere
    notifies: bool  # show waiting questions on the desktop


def serve_until_signal(resolved: Resolved, environ: Mapping[str, str], options: ProxyOptions) -> int:
    """Serve until SIGINT, SIGTERM or SIGHUP, then until running responses have ended or timed out.

    A second signal ends the process at once. Returns an exit code. Raises NonoError if it cannot start.
    """
    # Before any secret is read: from here on no process of our uid can inspect this one.
    process.keep_memory_private()
    say, warn, redaction = options.say, options.warn, options.redaction
    session_id, limit = new_session_id(), options.audit_bytes
    with open_log(environ, session_id, hint=_UNRECORDED, warn=warn, budget_bytes=limit) as log:
        record = DedupRecorder(log.record)
        session = Session(environ, log, record, warn, say, redaction)
        record(event.session_started(["nono", "proxy"], redaction.difference()))
        with _carried(options.outward, session) as beside:
            assembly = assemble(resolved, session, own_authority=options.own_authority)
            process.raise_open_files()
            flush = record.flush if beside is None else beside.after(record.flush)
            exit_code = _serve_recorded(assembly, options, record, flush)
            if beside is not None and not beside.finish() and exit_code == 0:
                exit_code = 1  # the required proof or anchor is missing
    return exit_code


def _serve_recorded(
    assembly: Assembly, options: ProxyOptions, record: DedupRecorder, flush: Callable[[], None]
) -> int:
    """Serve until a signal, record the end and write the proof. Returns an exit code."""
    session = assembly.session
    files: list[str] = []
    with (
        abort.ended_in_order(lambda: _end(session, record, files)),
        same_user(options.config.address) as is_ours,
    ):
        try:
            loop.run(_serve, assembly, options, flush, is_ours, files)
        finally:
            record.drain()
            record(event.session_ended(0))
            exit_code = concluded(session, 0, Evidence())
    return exit_code


@contextmanager
def _carried(orders: Orders | None, session: Session) -> Iterator[Carried | None]:
    """Start the process that sends the log to others, if one is needed."""
    if orders is None:
        yield None
        return
    # Imported here: few proxies need it.
    from nono.launch.record.outward import carried

    with carried(orders, session) as beside:
        yield beside


def _end(session: Session, record: DedupRecorder, files: Sequence[str]) -> None:
    """End the proxy from within an abort(3) of this process."""
    try:
        for path in files:
            with suppress(OSError):
                os.rmdir(path) if os.path.isdir(path) else os.unlink(path)
        record.drain()
        session.record(event.session_ended(abort.EXIT_CODE))
        concluded(session, abort.EXIT_CODE, Evidence())
    finally:
        session.warn(abort.REASON_OF_A_PROXY)


async def _serve(
    assembly: Assembly,
    options: ProxyOptions,
    flush: Callable[[], None],
    is_ours: IsOurs,
    files: list[str],
) -> None:
    """Serve until a signal. Adds each file that the proxy leaves behind if it is not ended in order."""
    session = assembly.session
    async with loop.housekeeping(session.log, flush):
        async with _serving(assembly, options, is_ours) as (front, proxy):
            with (
                _file_of(front.variables, session.environ) as file,
                anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals,
            ):
                files += (*front.files, *{dirname(path) for path in front.files}, file)
                options.announce(Serving(front.port, front.variables, file))
                loop.enable_gc()
                async for _ in signals:
                    break
                # From here on signals have their default effect.
        session.say([f"  [nono] used: {line}" for line in proxy.usage_lines])


@asynccontextmanager
async def _serving(
    assembly: Assembly, options: ProxyOptions, is_ours: IsOurs
) -> AsyncIterator[tuple[Front, RunningProxy]]:
    """Listen and serve until the block is left."""
    config = options.config
    with (
        lookups() as resolver,
        closing(listening(config, port_flag="--port")) as listener,
        front_of(listener, assembly, config, options.token) as front,
    ):
        async with _approver(assembly, notifies=options.notifies) as approver:
            parts = collaborators(front, resolver)._replace(is_ours=is_ours, approver=approver)
            async with served(front, parts) as proxy:
                yield front, proxy


@asynccontextmanager
async def _approver(assembly: Assembly, *, notifies: bool) -> AsyncIterator[ApprovalBroker | None]:
    """Open the approval broker; None if nothing may need approval."""
    approval = assembly.resolved.approval
    if approval is None:
        yield None
        return
    # Imported here: few proxies ask.
    from nono.approval.terminal import nothing_to_hold
    from nono.launch.approvals import approvals

    notified = "" if notifies else None
    async with approvals(approval, assembly.session, nothing_to_hold, notified=notified) as approval_broker:
        yield approval_broker


@contextmanager
def _file_of(variables: Mapping[str, str], environ: Mapping[str, str]) -> Iterator[str]:
    """Write a file of export lines, mode 0600; it is removed when the block is left."""
    directory = join(paths.state_root(environ), "sessions")
    name = f"proxy-{os.getpid()}-{secrets.token_hex(8)}.env"
    text = "".join(f"export {variable}={shlex.quote(value)}\n" for variable, value in variables.items())
    try:
        os.close(open_private_dir(paths.state_root(environ), create=True))
        directory_fd = open_private_dir(directory, create=True)
    except OSError as error:
        raise NonoError(f"'{directory}' cannot be used: {error.strerror}") from error
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(name, flags, 0o600, dir_fd=directory_fd), "w", encoding="utf-8") as file:
            file.write(text)
        try:
            yield join(directory, name)
        finally:
            os.unlink(name, dir_fd=directory_fd)
    finally:
        os.close(directory_fd)
