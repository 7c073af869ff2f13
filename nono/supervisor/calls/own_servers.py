"""Performs connect(2) to servers of the command's own on loopback, and to nobody who took their port."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nono.kernel import socket_names
from nono.kernel.sock_diag import Listener, Listeners
from nono.supervisor.calls.trapped_call import Socket, TrappedCalls, cookie_of, release, send_timeout_s
from nono.supervisor.calls.watchdog import BlockingCallWatchdog
from nono.supervisor.verdict.adjudicator import OWN_SERVER, Perform, Refuse, loopback
from nono.supervisor.verdict.audit_events import performed
from nono.supervisor.verdict.own_servers import Standing, reached, standing
from nono.supervisor.verdict.syscall_args import Address, InetAddress

if TYPE_CHECKING:
    from nono.audit.dedup import DedupRecorder
    from nono.kernel.notify import Notification

LISTENERS_MAX = 1024  # sockets remembered; when there are more, those that listen no longer are forgotten
RETRY_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)  # while a backlog is full; then the last again and again
WAITING_MAX = 256  # callers that wait for a full backlog: each holds a descriptor of ours
PATIENCE_S = 130.0  # about what the kernel's own retries take (tcp_syn_retries, tcp(7))
UNBLOCKED_PATIENCE_S = 0.1  # of a caller that does not mean to wait
_UNSPECIFIED = struct.pack("=H14x", socket.AF_UNSPEC)
_IN_PROGRESS = (errno.EINPROGRESS, errno.EALREADY, errno.EINTR)

Answer = int | Refuse | None  # the errno, 0 for success; None when it comes later


@dataclass(slots=True)
class _Waiting:
    """A connect to a server whose backlog is full."""

    call: Notification
    duplicate: Socket
    address: InetAddress
    refusal: Refuse
    is_blocking: bool
    deadline_s: float
    tries: int = 0


class OwnServers:
    """Knows the listening sockets of one command. close() abandons callers that still wait."""

    def __init__(
        self,
        calls: TrappedCalls,
        recorder: DedupRecorder,
        answer: Callable[[Notification, int | Refuse], None],
        watchdog: BlockingCallWatchdog,
    ) -> None:
        """`answer`: sends the errno of a delayed answer, and records a refusal."""
        self._calls = calls
        self._recorder = recorder
        self._answer = answer
        self._watchdog = watchdog
        self._own: set[tuple[int, int]] = set()  # cookie and inode: see Listener
        self._prune_at = LISTENERS_MAX
        self._listeners: Listeners | None = None
        self._waiting: dict[int, tuple[_Waiting, asyncio.TimerHandle]] = {}

    def close(self) -> None:
        for waiting, timer in list(self._waiting.values()):
            timer.cancel()
            self._forget(waiting)
        if self._listeners is not None:
            self._listeners.close()

    def add(self, duplicate: Socket) -> None:
        """Remember a socket of the command that listens."""
        self._own.add((cookie_of(duplicate), os.fstat(duplicate.fileno()).st_ino))
        if len(self._own) > self._prune_at:
            self._own &= {(each.cookie, each.inode) for each in self._listening(0)}
            self._prune_at = max(LISTENERS_MAX, 2 * len(self._own))

    def may_listen(self, duplicate: Socket, local: Address) -> bool:
        """Return False if somebody else listens there: with SO_REUSEPORT both would get connections."""
        if not isinstance(local, InetAddress):
            return False
        try:
            return standing(local, self._listening(local.port), self._is_own) is not Standing.FOREIGN
        except OSError:  # no sock_diag
            return not duplicate.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)

    def connect(self, call: Notification, asked: InetAddress, refusal: Refuse) -> Answer:
        """Connect for the caller if a server of the command's own answers; `refusal`: if another does.

        Where nobody listens the answer is the kernel's. Raises as every trapped call.
        """
        address = reached(asked)
        if address is None:
            return refusal
        found = self._standing(address)
        if found is Standing.NOBODY and address.host.version == 6:
            # A server of both families was bound to IPv4's loopback alone.
            mapped = loopback(address.port)
            if self._standing(mapped) is Standing.OWN:
                address, found = mapped, Standing.OWN
        if found is Standing.FOREIGN:
            return refusal
        if found is Standing.NOBODY:
            return errno.ECONNREFUSED
        duplicate = self._calls.tcp_socket(call)
        if duplicate is None:
            return errno.EACCES
        is_blocking = not fcntl.fcntl(duplicate.fileno(), fcntl.F_GETFL) & os.O_NONBLOCK
        patience_s = (send_timeout_s(duplicate) or PATIENCE_S) if is_blocking else UNBLOCKED_PATIENCE_S
        waiting = _Waiting(call, duplicate, address, refusal, is_blocking, _now_s() + patience_s)
        keep = False
        try:
            self._recorder.dedup(performed(Perform(address, OWN_SERVER)))
            answer = self._try(waiting)
            if answer is None and len(self._waiting) < WAITING_MAX:
                self._wait(waiting)
                keep = True
                return None
            return errno.EAGAIN if answer is None else answer
        finally:
            if not keep:
                release(duplicate)

    def _try(self, waiting: _Waiting) -> int | Refuse | None:
        """Connect, and make sure that it was to the command's own server. None: its backlog is full.

        No attempt is left pending: the kernel would send it again a second later, to whoever listens then.
        """
        if self._standing(waiting.address) is not Standing.OWN:
            return errno.ECONNREFUSED
        duplicate, target = waiting.duplicate, waiting.address.for_family(waiting.duplicate.family)
        duplicate.setblocking(False)
        try:
            self._watchdog.arm()
            result = duplicate.connect_ex(target)
            if result in _IN_PROGRESS:  # the handshake is over by now, and a second call says so
                result = duplicate.connect_ex(target)
                result = 0 if result == errno.EISCONN else result
            if result in _IN_PROGRESS:
                _dissolve(duplicate)
                return None
            # Whoever listened before and listens still has listened all the time: listen(2) comes to us.
            if result == 0 and self._standing(waiting.address) is not Standing.OWN:
                _dissolve(duplicate)
                return waiting.refusal
        finally:
            if waiting.is_blocking:
                duplicate.setblocking(True)
        return errno.EINPROGRESS if result == 0 and not waiting.is_blocking else result

    def _wait(self, waiting: _Waiting) -> None:
        pause_s = RETRY_S[min(waiting.tries, len(RETRY_S) - 1)]
        timer = asyncio.get_running_loop().call_later(pause_s, self._try_again, waiting)
        self._waiting[waiting.call.id] = waiting, timer

    def _try_again(self, waiting: _Waiting) -> None:
        waiting.tries += 1
        if not self._calls.is_valid(waiting.call):  # the caller was killed
            self._forget(waiting)
            return
        try:
            result = self._try(waiting)
        except OSError as error:
            result = error.errno or errno.EACCES
        if result is None and _now_s() < waiting.deadline_s:
            self._wait(waiting)
            return
        self._forget(waiting)
        if result is None:
            result = errno.ETIMEDOUT if waiting.is_blocking else errno.EAGAIN
        self._answer(waiting.call, result)

    def _forget(self, waiting: _Waiting) -> None:
        self._waiting.pop(waiting.call.id, None)
        release(waiting.duplicate)

    def _standing(self, address: InetAddress) -> Standing:
        try:
            return standing(address, self._listening(address.port), self._is_own)
        except OSError:  # no sock_diag: whose a listener is cannot be known
            return Standing.FOREIGN

    def _listening(self, port: int) -> list[Listener]:
        if self._listeners is None:
            self._listeners = Listeners()
        return self._listeners.on(port)

    def _is_own(self, listener: Listener) -> bool:
        return (listener.cookie, listener.inode) in self._own


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _dissolve(duplicate: Socket) -> None:
    """Take back a connect (connect(2), AF_UNSPEC), and the error that this leaves on the socket."""
    socket_names.connect(duplicate.fileno(), _UNSPECIFIED)
    with suppress(OSError):
        duplicate.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
