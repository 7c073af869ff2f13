"""Perform connect(2) to the command's own servers on loopback, and never to a server that took their port."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from nono.kernel import socket_names
from nono.kernel.sock_diag import Listener, Listeners, SocketOwners
from nono.kernel.uapi.inet_diag import TCP_CLOSE
from nono.named_tuple import NamedTuple
from nono.policy.ports import OWN_SERVER
from nono.supervisor.calls.held_connects import Held, HeldConnects
from nono.supervisor.calls.trapped_call import (
    CONNECT_IN_PROGRESS,
    Answer,
    Socket,
    TrappedCalls,
    cookie_of,
    is_blocking,
    release,
    require_own,
    send_timeout_s,
)
from nono.supervisor.calls.watchdog import BlockingCallWatchdog
from nono.supervisor.verdict.adjudicator import Perform, Refuse, loopback
from nono.supervisor.verdict.audit_events import performed
from nono.supervisor.verdict.own_servers import Standing, narrowed, reached, standing
from nono.supervisor.verdict.syscall_args import Address, InetAddress

if TYPE_CHECKING:
    from nono.audit.dedup import DedupRecorder
    from nono.kernel.notify import Notification

LISTENERS_MAX = 1024  # sockets remembered; beyond that, sockets that no longer listen are forgotten
HELD_MAX = 16  # sockets of one port held during a connect: one of more (SO_REUSEPORT) serves many connections
PATIENCE_S = 130.0  # about what the kernel's own retries take (tcp_syn_retries, tcp(7))
UNBLOCKED_PATIENCE_S = 0.1  # for a caller that does not want to wait
_UNSPECIFIED = struct.pack("=H14x", socket.AF_UNSPEC)


class _Connect(NamedTuple):
    """A connect to one of the command's own servers."""

    duplicate: Socket
    address: InetAddress
    refusal: Refuse  # the answer if another program's server answers
    is_blocking: bool


class OwnServers:
    """Knows the listening sockets of one command. close() abandons callers that still wait."""

    def __init__(
        self,
        calls: TrappedCalls,
        recorder: DedupRecorder,
        answer: Callable[[Notification, int | Refuse], None],
        watchdog: BlockingCallWatchdog,
    ) -> None:
        """`answer`: Sends the errno of a delayed answer, and records a refusal."""
        self._calls = calls
        self._recorder = recorder
        self._watchdog = watchdog
        # By cookie and inode (see Listener), the thread that made it listen, and its descriptor there.
        self._own: dict[tuple[int, int], tuple[int, int]] = {}
        self._prune_at = LISTENERS_MAX
        self._listeners: Listeners | None = None
        self._ends: SocketOwners | None = None
        self._held = HeldConnects(calls, answer)

    def close(self) -> None:
        self._held.close()
        if self._listeners is not None:
            self._listeners.close()
        if self._ends is not None:
            self._ends.close()

    def add(self, duplicate: Socket, tid: int, descriptor: int) -> None:
        """Remember a listening socket of the command, which is `descriptor` of thread `tid` now."""
        self._own[_key_of(duplicate)] = tid, descriptor
        if len(self._own) > self._prune_at:
            living = {(each.cookie, each.inode) for each in self._listening(0)}
            self._own = {key: place for key, place in self._own.items() if key in living}
            self._prune_at = max(LISTENERS_MAX, 2 * len(self._own))

    def may_listen(self, duplicate: Socket, local: Address) -> bool:
        """Return False if another program listens there: with SO_REUSEPORT both would get connections."""
        if not isinstance(local, InetAddress):
            return False
        try:
            return standing(local, self._listening(local.port), self._is_own) is not Standing.FOREIGN
        except OSError:  # no sock_diag
            return not duplicate.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)

    def connect(self, call: Notification, asked: InetAddress, refusal: Refuse) -> Answer:
        """Connect for the caller if a server of the command's own answers; return `refusal` if another does.

        If nobody listens, the answer is the kernel's. Raises like every trapped call.
        """
        address = reached(asked) or self._stand_in(asked)
        if address is None:
            return refusal
        found = self._standing(address)
        if found is Standing.NOBODY and address.host.version == 6:
            # A server of both families was bound to the IPv4 loopback address only.
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
        connect = _Connect(duplicate, address, refusal, is_blocking(duplicate))
        keep = False
        try:
            self._recorder.dedup(performed(Perform(address, OWN_SERVER)))
            answer = self._try(connect)
            if answer is None and not self._held.is_full:
                self._held.hold(self._waiting(call, connect))
                keep = True
                return None
            return errno.EAGAIN if answer is None else answer
        finally:
            if not keep:
                release(duplicate)

    def _stand_in(self, asked: InetAddress) -> InetAddress | None:
        """Return where a server of the command's own serves in place of another address of this host.

        judge_bind() has narrowed it to loopback. None if none does, or somebody else listens at `asked`.
        """
        address = narrowed(asked)
        if not asked.port or self._standing(address) is not Standing.OWN:
            return None
        if self._standing(asked) is Standing.FOREIGN:
            return None
        try:
            require_own(asked)
        except OSError:
            return None
        return address

    def _waiting(self, call: Notification, connect: _Connect) -> Held:
        patience_s, too_late = UNBLOCKED_PATIENCE_S, errno.EAGAIN
        if connect.is_blocking:
            patience_s, too_late = send_timeout_s(connect.duplicate) or PATIENCE_S, errno.ETIMEDOUT
        deadline_s = asyncio.get_running_loop().time() + patience_s

        def give_up() -> None:
            self._watchdog.arm()
            release(connect.duplicate)

        return Held(call, partial(self._try, connect), give_up, deadline_s, too_late)

    def _try(self, connect: _Connect) -> Answer:
        """Connect, and verify that the command's own server accepted. None: its backlog is full.

        No attempt stays pending: the kernel would retry it a second later, with whoever listens by then.
        The server may close its socket as soon as it has accepted this connection (debuggers, kernels of
        notebooks), before the second question of who listens. Held here, it listens until then.
        """
        held = self._hold(connect.address.port)
        try:
            return self._try_held(connect)
        finally:
            for each in held:
                release(each)

    def _try_held(self, connect: _Connect) -> Answer:
        if self._standing(connect.address) is not Standing.OWN:
            return errno.ECONNREFUSED
        duplicate, target = connect.duplicate, connect.address.for_family(connect.duplicate.family)
        duplicate.setblocking(False)
        try:
            self._watchdog.arm()
            result = duplicate.connect_ex(target)
            if result in CONNECT_IN_PROGRESS:
                # The handshake is complete by now, and a second call reports that.
                result = duplicate.connect_ex(target)
                result = 0 if result == errno.EISCONN else result
            if result in CONNECT_IN_PROGRESS:
                _dissolve(duplicate)
                return None
            # A socket that listened before and still listens has listened all along: listen(2) is trapped.
            if result == 0 and (found := self._standing(connect.address)) is not Standing.OWN:
                _dissolve(duplicate)
                # A server that ends meanwhile is no denial: some connect to themselves in order to end.
                return errno.ECONNREFUSED if found is Standing.NOBODY else connect.refusal
            if result == 0 and self._leads_elsewhere(connect):
                _dissolve(duplicate)
                return connect.refusal
        finally:
            if connect.is_blocking:
                duplicate.setblocking(True)
        return errno.EINPROGRESS if result == 0 and not connect.is_blocking else result

    def _leads_elsewhere(self, connect: _Connect) -> bool:
        """Return True if the other end is at another port, address or network than was asked for.

        Rules of NAT and programs of BPF can lead a port of loopback elsewhere, whoever listens there.
        """
        local = connect.duplicate.getsockname()[:2]
        client = local[0].removeprefix("::ffff:"), local[1]
        if self._ends is None:
            self._ends = SocketOwners()
        if self._ends.is_here((str(connect.address.host), connect.address.port), client):
            return False
        # A server that has reset the connection has no end of it, and nor do we.
        return connect.duplicate.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != TCP_CLOSE

    def _hold(self, port: int) -> list[Socket]:
        """Return duplicates of the command's listening sockets on a port, which the caller closes.

        Those that have moved to another descriptor or process are left out.
        """
        held: list[Socket] = []
        with suppress(OSError):  # without sock_diag no server is known as the command's own
            listening = {(each.cookie, each.inode) for each in self._listening(port)}
            for key in islice(listening & self._own.keys(), HELD_MAX):
                duplicate = self._calls.socket_at(*self._own[key])
                if duplicate is None:
                    continue
                if _key_of(duplicate) == key:
                    held.append(duplicate)
                else:  # of another connection, or by now of another program: its options stay as they are
                    duplicate.close()
        return held

    def _standing(self, address: InetAddress) -> Standing:
        try:
            return standing(address, self._listening(address.port), self._is_own)
        except OSError:  # without sock_diag the owner of a listener is unknown
            return Standing.FOREIGN

    def _listening(self, port: int) -> list[Listener]:
        if self._listeners is None:
            self._listeners = Listeners()
        return self._listeners.on(port)

    def _is_own(self, listener: Listener) -> bool:
        return (listener.cookie, listener.inode) in self._own


def _key_of(duplicate: Socket) -> tuple[int, int]:
    return cookie_of(duplicate), os.fstat(duplicate.fileno()).st_ino


def _dissolve(duplicate: Socket) -> None:
    """Undo a connect (connect(2), AF_UNSPEC), and clear the error that this leaves on the socket."""
    socket_names.connect(duplicate.fileno(), _UNSPECIFIED)
    with suppress(OSError):
        duplicate.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
