"""Start the process that sends the log of a run to others, and record what it reports."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from posixpath import abspath, dirname
from time import monotonic
from typing import Any

from nono.audit.event import Event
from nono.disk.descriptor import is_readable
from nono.errors import LaunchError
from nono.forked import fork_child
from nono.kernel import process, signals
from nono.launch.prepare import Prepared
from nono.launch.record.proof import source_variable
from nono.launch.session import Session
from nono.launch.trusted.search_path import beside_command
from nono.launch.trusted.trust_roots import refuse_writable_trust_of_log
from nono.outward import events
from nono.outward.head import Head
from nono.outward.orders import KEY, Orders
from nono.policy.capability import Grant

MESSAGE_BYTES_MAX = 1 << 16
FIRST_S = 15.0  # for each anchor's first token, if it is required
LOGINS = {"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_LOGS_HEADERS"}  # of a collector
LAST_S = 20.0  # for the last anchors, and the rest of the records for a collector
NICER_BY = 10
CLIENT_KEYS = ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY")
QUIET_S = 1.0  # then a person is told what takes so long


class Carried:
    """The supervisor's end of the channel. Only require() and finish() wait."""

    def __init__(self, orders: Orders, session: Session, channel: socket.socket, pid: int) -> None:
        """Take over a channel to the process. pid: Whoever reaps it may be told."""
        self.pid = pid
        self._orders = orders
        self._session = session
        self._channel = channel
        self._warned: set[str] = set()
        self._is_gone = False
        self._is_recording = True
        self._is_over = False  # everything was tried
        self._answered: dict[str, str | None] = {}  # by anchor, why its answer was no token

    def serve(self) -> None:
        """Record what the process has reported since the last call. Raises OSError like recording."""
        while not self._is_gone:
            try:
                message = self._channel.recv(MESSAGE_BYTES_MAX, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                message = b""
            if message:
                self._take(json.loads(message))
            else:
                self._is_gone = True
                if self._is_recording:
                    self._record(events.audit_carrier_ended())
                    self._warn("the audit log is neither anchored nor sent any more: what does it was killed")

    def after(self, flush: Callable[[], None]) -> Callable[[], None]:
        """Return a function that calls `flush`, and then serve()."""

        def both() -> None:
            flush()
            self.serve()

        return both

    def require(self) -> None:
        """Wait for the first anchors. Raises LaunchError if one is not available."""
        deadline = monotonic() + FIRST_S * len(self._orders.anchors)
        self._warned.update(self._orders.anchors)  # the refusal gives the reason, with --silent too
        while not self._is_gone and len(self._answered) < len(set(self._orders.anchors)):
            if not self._wait(deadline):
                break
            self.serve()
        for anchor in self._orders.anchors:
            if (why := self._answered.get(anchor, "it did not answer in time")) is not None:
                raise LaunchError(
                    f"the audit log cannot be anchored at {anchor}, so nothing was started: {why}.",
                    hint="without --audit-anchor-required the command starts anyway",
                )
        self._warned.clear()

    def finish(self, signal_descriptor: int | None = None) -> bool:
        """Announce that no record follows, and wait for the last anchors. Later reports are not recorded.

        signal_descriptor: Delivers signals of a person who does not want to wait, such as Ctrl-C. None: they
          end this process.

        Returns False if a required anchor is missing.
        """
        self._is_recording = False
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_WR)
        now = monotonic()
        is_said = False
        others = () if signal_descriptor is None else (signal_descriptor,)
        while not (self._is_gone or self._is_over or any(map(_asked_to_end, others))):
            if self._wait(now + (LAST_S if is_said else QUIET_S), *others):
                self.serve()
            elif is_said:
                break
            else:
                is_said = True
                self._session.say(
                    ["  [nono] waiting for the audit log to be anchored or sent; Ctrl-C ends that"]
                )
        is_whole = self._is_over and all(
            self._answered.get(anchor, "") is None for anchor in self._orders.anchors
        )
        return is_whole or not self._orders.is_anchor_required

    def _wait(self, deadline: float, *others: int) -> bool:
        left_s = deadline - monotonic()
        return left_s > 0 and is_readable(self._channel, *others, within_s=left_s)

    def _take(self, said: Mapping[str, Any]) -> None:
        """Record one message, which comes from our own child."""
        match said:
            case {"over": True}:
                self._is_over = True
            case {"anchored": anchor, "head": head, "file": file, "sha256": sha256}:
                self._answered[anchor] = None
                self._record(events.audit_anchored(anchor, Head(**head), file, sha256))
            case {"not_anchored": anchor, "records": records, "why": why}:
                self._answered[anchor] = why
                self._record(events.audit_not_anchored(anchor, records, why))
                self._warn(f"the audit log was not anchored at {anchor}: {why}", once=anchor)
            case {"not_sent": endpoint, "records": records, "why": why}:
                self._record(events.audit_not_sent(endpoint, records, why))
                self._warn(
                    f"the audit log is not sent to {endpoint} for now: {why}; it will be", once=endpoint
                )
            case {"damaged": why}:
                self._record(events.audit_altered(why))
                self._warn(f"the audit log was changed by somebody else: {why}", once="damaged")

    def _record(self, event: Event) -> None:
        if self._is_recording:
            self._session.record(event)

    def _warn(self, sentence: str, once: str = "") -> None:
        if once not in self._warned:
            self._warned.add(once)
            self._session.warn(sentence)


def _asked_to_end(signal_descriptor: int) -> bool:
    """Return True if a person wants to end the wait, not only a child has exited."""
    while (received := signals.read_signal(signal_descriptor)) is not None:
        if received.number != signal.SIGCHLD:
            return True
    return False


def variables_kept(orders: Orders, prepared: Prepared, environ: Mapping[str, str]) -> set[str]:
    """Return the variables to withhold from the command: with them it could sign heads, or send records.

    Raises ConfigError if the command could read a key, or redirect the records to another collector.
    """
    if orders.otlp is not None:
        refuse_writable_trust_of_log(prepared.resolved, environ)
        for name in CLIENT_KEYS:
            if path := environ.get(name):
                source_variable("--audit-otlp", f"file://{abspath(path)}", prepared)
    references = [each.removeprefix(KEY) for each in orders.anchors if each.startswith(KEY)]
    if references:
        # Imported here: few anchors are signed here.
        from nono.launch.trusted.key_helpers import refuse_writable_manager

        refuse_writable_manager("--audit-anchor", references, prepared.capabilities.grants, environ)
    found = {source_variable("--audit-anchor", reference, prepared) for reference in references}
    return {each for each in found if each is not None} | (set() if orders.otlp is None else LOGINS)


@contextmanager
def carried(orders: Orders, session: Session, grants: tuple[Grant, ...] = ()) -> Iterator[Carried]:
    """Start the process. Call before a secret is read or a thread started, and once the log has a record.

    grants: Those of a command; programs that print a key to sign with are found where it cannot write.

    If it still runs when the block is left, the enclosing supervise() ends it, if any. Raises LaunchError if
    a required anchor is not available.
    """
    assert session.log is not None  # otherwise there is nothing to send
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    directory = dirname(session.log.path)
    signs = any(each.startswith(KEY) for each in orders.anchors)
    environ = beside_command(session.environ, grants) if signs else session.environ
    with ours:
        pid = fork_child(lambda: _carry(orders, theirs, directory, environ))
        theirs.close()
        beside = Carried(orders, session, ours, pid)
        if orders.is_anchor_required:
            beside.require()
        yield beside


def _carry(orders: Orders, channel: socket.socket, directory: str, environ: Mapping[str, str]) -> None:
    """Run the forked process. It survives the supervisor and the signals of its terminal."""
    os.setsid()
    os.nice(NICER_BY)  # processes that answer the command have priority
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    null = os.open(os.devnull, os.O_RDWR)
    for stream in range(process.FIRST_PRIVATE_DESCRIPTOR):
        os.dup2(null, stream)
    process.close_range_from(process.FIRST_PRIVATE_DESCRIPTOR, keep={channel.fileno()})
    gc.enable()  # start-up defers it, and nothing else would enable it here
    # Imported here: only this process needs it.
    from nono.outward.carrier import Carrier

    root = os.open(dirname(directory), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    Carrier(orders, root, directory.rpartition("/")[2], channel, environ).live()
