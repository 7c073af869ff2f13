"""Perform connect(2) and bind(2) on IP sockets, to the address that was judged and without blocking."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Protocol

from nono.kernel import socket_names
from nono.named_tuple import NamedTuple
from nono.policy.ports import OWN_SERVER
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
from nono.supervisor.verdict import adjudicator, own_servers
from nono.supervisor.verdict.adjudicator import DENIED_PORT, NetworkGrants, Perform, Refuse
from nono.supervisor.verdict.audit_events import performed
from nono.supervisor.verdict.syscall_args import Address, InetAddress, inet_address, parse_sockaddr
from nono.supervisor.verdict.virtual_addresses import NETWORK as VIRTUAL

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

    from nono.audit.dedup import DedupRecorder
    from nono.kernel.notify import Notification
    from nono.supervisor.calls.own_servers import OwnServers
    from nono.supervisor.look_ups.tcp_name_server import TcpNameServer
    from nono.supervisor.verdict.peer_registry import Destination, PeerAddress
    from nono.supervisor.verdict.virtual_addresses import VirtualAddresses

JUDGED_MAX = 256  # socket addresses whose verdict is remembered
SWEEP_INTERVAL_S = 1.0  # how often to check that callers of pending connects still live
PENDING_MAX = 256  # pending connects: each keeps a descriptor open for as long as a silent host likes


Told = Callable[["PeerAddress", int], None]  # of the local address and the cookie of a connection


class Connected(Protocol):
    """Callback: the socket with this cookie was connected to the proxy from this local address.

    destination: Where the command meant to connect; None: to the proxy.
    """

    def __call__(self, peer: PeerAddress, cookie: int, destination: Destination | None, /) -> None: ...


class Bound(Protocol):
    """Callback: a socket was bound, to listen. `is_shared`: Other sockets may listen on the same port."""

    def __call__(self, host: IPv4Address | IPv6Address, port: int, *, is_shared: bool) -> None: ...


@dataclass(slots=True)
class _Pending:
    """A blocking connect without an answer yet; its duplicate is non-blocking in the meantime."""

    call: Notification
    duplicate: Socket
    timer: asyncio.TimerHandle | None = None  # of the caller's SO_SNDTIMEO


class InetCalls:
    """Performs the calls of one listener on IP and other non-Unix sockets. close() abandons pending ones."""

    def __init__(
        self,
        grants: NetworkGrants,
        calls: TrappedCalls,
        recorder: DedupRecorder,
        connected: Connected,
        answer: Callable[[Notification, int], None],
        watchdog: BlockingCallWatchdog,
        bound: Bound | None = None,
        own: OwnServers | None = None,
        names: VirtualAddresses | None = None,
        name_server: TcpNameServer | None = None,
    ) -> None:
        """Set up the calls of one listener.

        connected: Called for each connection to the proxy.
        answer: Sends the errno of a delayed answer.
        bound: Called with each address that a socket was bound to.
        own: Connects to the command's own servers, if it may reach them; the caller closes it.
        names: The hosts that addresses stand for; a connect to one is made to the proxy.
        name_server: Serves connects to name servers; the caller closes it.
        """
        self._grants = grants
        self._calls = calls
        self._recorder = recorder
        self._connected = connected
        self._answer = answer
        self._watchdog = watchdog
        self._bound = bound
        self._own = own
        self._names = names
        self._name_server = name_server
        self._pending: dict[int, _Pending] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        # A command connects to the same few addresses repeatedly. The key is the copied sockaddr.
        self._judged = lru_cache(JUDGED_MAX)(partial(_judged, grants))

    def close(self) -> None:
        for pending in list(self._pending.values()):
            self._forget(pending)

    def forget_verdicts(self) -> None:
        """Judge every address anew: the rules have changed."""
        self._judged.cache_clear()

    def connect(self, call: Notification, sockaddr: bytes) -> Answer:
        """Connect for the caller.

        Raises OSError, HiddenCallerError and ValueError like every trapped call.
        """
        if self._grants.is_open:
            return self._connect_anywhere(call, sockaddr)
        judged = self._judged(sockaddr)
        if isinstance(judged, _Virtual):
            destination = None if self._names is None else self._names.destination(judged.address)
            if destination is not None:
                return self._lead_to_proxy(call, destination)
            judged = judged.otherwise
        if isinstance(judged, Refuse):
            return self._connect_otherwise(call, sockaddr, judged)
        duplicate = self._calls.tcp_socket(call)
        if duplicate is None:
            return errno.EACCES
        to_proxy = judged.verdict.rule == adjudicator.PROXY_ONLY
        if not to_proxy:
            try:
                self._recorder.dedup(performed(judged.verdict))
            except OSError:  # a connection that cannot be recorded is not made
                release(duplicate)
                return errno.EACCES
        connect = partial(duplicate.connect_ex, judged.sockaddr[duplicate.family])
        return self._start_connect(call, duplicate, connect, self._told(None) if to_proxy else None)

    def bind(self, call: Notification, sockaddr: bytes) -> Answer:
        """Bind for the caller. Raises like connect()."""
        if self._grants.is_open:
            return self._bind_anywhere(call, sockaddr)
        verdict = adjudicator.judge_bind(parse_sockaddr(sockaddr), self._grants)
        if isinstance(verdict, Refuse):
            return verdict
        duplicate = self._calls.tcp_socket(call)
        if duplicate is None:
            return errno.EACCES
        try:
            address = verdict.address
            if verdict.rule == OWN_SERVER:
                require_own(address)
                address = own_servers.narrowed(address, is_v6_only=_is_v6_only(duplicate))
            duplicate.bind(address.for_family(duplicate.family))
            if self._bound is not None:
                is_shared = bool(duplicate.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT))
                self._bound(verdict.address.host, verdict.address.port, is_shared=is_shared)
                self.forget_verdicts()  # connecting to it is allowed from now on
        finally:
            release(duplicate)
        return 0

    def _connect_otherwise(self, call: Notification, sockaddr: bytes, refused: Refuse) -> Answer:
        """Connect to what stands for a refused address, if anything does."""
        address = parse_sockaddr(sockaddr)
        if not isinstance(address, InetAddress) or refused.rule == DENIED_PORT:
            return refused
        server = self._name_server
        if server is not None and server.stands_for(address.host, address.port):
            return self._lead(call, server.address(), server.expect)
        destination = None if self._names is None else self._names.destination(address)
        if destination is not None:
            return self._lead_to_proxy(call, destination)
        served = own_servers.narrowed(address)
        if self._own is None or self._grants.ports.denied(served.host, served.port) is not None:
            return refused
        return self._own.connect(call, address, refused)

    def _lead_to_proxy(self, call: Notification, destination: Destination) -> Answer:
        proxy = self._grants.proxy
        assert proxy is not None  # otherwise no names are looked up
        return self._lead(call, proxy, self._told(destination))

    def _told(self, destination: Destination | None) -> Told:
        return lambda peer, cookie: self._connected(peer, cookie, destination)

    def _lead(self, call: Notification, address: InetAddress, told: Told) -> Answer:
        """Connect to one of the supervisor's own listeners instead of to the address that was asked for."""
        duplicate = self._calls.tcp_socket(call)
        if duplicate is None:
            return errno.EACCES
        connect = partial(duplicate.connect_ex, address.for_family(duplicate.family))
        return self._start_connect(call, duplicate, connect, told)

    def _connect_anywhere(self, call: Notification, sockaddr: bytes) -> Answer:
        """Connect on an open network, as the caller asked, with the bytes that were copied."""
        duplicate = self._calls.socket(call)
        if duplicate is None:
            return errno.EACCES
        refused = _refused(duplicate, sockaddr, binds=False)
        if refused is not None:
            release(duplicate)
            return refused
        connect = partial(socket_names.connect, duplicate.fileno(), sockaddr)
        return self._start_connect(call, duplicate, connect, None)

    def _bind_anywhere(self, call: Notification, sockaddr: bytes) -> Answer:
        duplicate = self._calls.socket(call)
        if duplicate is None:
            return errno.EACCES
        try:
            refused = _refused(duplicate, sockaddr, binds=True)
            return socket_names.bind(duplicate.fileno(), sockaddr) if refused is None else refused
        finally:
            release(duplicate)

    def _start_connect(
        self, call: Notification, duplicate: Socket, connect: Callable[[], int], told: Told | None
    ) -> int | None:
        """Connect as the caller would have, without ever blocking the loop. Owns `duplicate`.

        told: Is told of the connection before the loop runs anything else.
        """
        blocking = is_blocking(duplicate)
        keep = False
        try:
            # The flag belongs to the open file description that the command shares; it is restored before the
            # answer.
            duplicate.setblocking(False)
            self._watchdog.arm()
            result = connect()
            if told is not None:
                _tell(told, duplicate)
            if blocking and result in CONNECT_IN_PROGRESS:
                # On loopback the handshake is complete by now, and a second call reports that; only a full
                # accept queue really delays it.
                result = connect()
                if result in CONNECT_IN_PROGRESS:
                    if len(self._pending) >= PENDING_MAX:
                        return errno.EAGAIN
                    self._wait_for(_Pending(call, duplicate))
                    keep = True
                    return None
                if result == errno.EISCONN:
                    result = 0
            return result
        finally:
            if not keep:
                if blocking:
                    duplicate.setblocking(True)
                release(duplicate)

    def _wait_for(self, pending: _Pending) -> None:
        loop = asyncio.get_running_loop()
        loop.add_writer(pending.duplicate.fileno(), self._on_connected, pending)
        self._pending[pending.call.id] = pending  # only now: without a free watch that raised OSError
        patience_s = send_timeout_s(pending.duplicate)
        if patience_s is not None:
            pending.timer = loop.call_later(patience_s, self._on_timeout, pending)
        if self._sweeper is None:
            self._sweeper = loop.call_later(SWEEP_INTERVAL_S, self._sweep)

    def _on_connected(self, pending: _Pending) -> None:
        result = pending.duplicate.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._forget(pending)
        self._answer(pending.call, result)

    def _on_timeout(self, pending: _Pending) -> None:
        self._forget(pending)
        self._answer(pending.call, errno.EINPROGRESS)

    def _forget(self, pending: _Pending) -> None:
        del self._pending[pending.call.id]
        if pending.timer is not None:
            pending.timer.cancel()
        asyncio.get_running_loop().remove_writer(pending.duplicate.fileno())
        with suppress(OSError):
            pending.duplicate.setblocking(True)
        self._watchdog.arm()
        release(pending.duplicate)

    def _sweep(self) -> None:
        """Forget connects whose caller was killed; the kernel reports no event for that."""
        self._sweeper = None
        for pending in list(self._pending.values()):
            if not self._calls.is_valid(pending.call):
                self._forget(pending)
        if self._pending:
            self._sweeper = asyncio.get_running_loop().call_later(SWEEP_INTERVAL_S, self._sweep)


def listen(duplicate: Socket, local: InetAddress, backlog: int) -> bool:
    """Make a bound socket listen at `local`, the address that was judged; False if it would be elsewhere.

    A port that the kernel has chosen is given back when the socket stops listening (shutdown(2)), although
    getsockname(2) still tells it, and the next listen(2) would take another, which the command can name
    (IP_LOCAL_PORT_RANGE). So it is bound to that port again. The command may stop it once more in between,
    so what it was given is looked at as well. Raises OSError as listen(2) does.
    """
    try:
        duplicate.bind(local.for_family(duplicate.family))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:  # by somebody else meanwhile
            raise
        # EINVAL: it still has its port.
    duplicate.listen(backlog)
    host, port, *_ = duplicate.getsockname()
    if inet_address(host, port) == local:
        return True
    duplicate.shutdown(socket.SHUT_RDWR)
    return False


def _tell(told: Told, duplicate: Socket) -> None:
    try:
        host, port, *_ = duplicate.getsockname()
    except OSError:
        return
    told((host.removeprefix("::ffff:"), port), cookie_of(duplicate))


class _Dialled(NamedTuple):
    """An address to connect to, in the form for sockets of each family."""

    verdict: Perform
    sockaddr: dict[int, tuple[str, int]]


class _Virtual(NamedTuple):
    """An address that may come to stand for a host, and its verdict as long as it does not."""

    address: InetAddress
    otherwise: Refuse | _Dialled


def _judged(grants: NetworkGrants, sockaddr: bytes) -> Refuse | _Dialled | _Virtual:
    address = parse_sockaddr(sockaddr)
    verdict = _by_address(grants, address)
    if isinstance(address, InetAddress) and address.host in VIRTUAL:
        return _Virtual(address, verdict)
    return verdict


def _by_address(grants: NetworkGrants, address: Address) -> Refuse | _Dialled:
    verdict = adjudicator.judge_connect(address, grants)
    if isinstance(verdict, Refuse):
        return verdict
    families = (socket.AF_INET, socket.AF_INET6)
    return _Dialled(verdict, {family: verdict.address.for_family(family) for family in families})


def _refused(duplicate: Socket, sockaddr: bytes, *, binds: bool) -> Refuse | int | None:
    """Return the answer for a socket that is not served on an open network; None for all others."""
    if duplicate.family == socket.AF_UNIX:
        return errno.EINVAL  # an address of another family, such as AF_UNSPEC
    is_root = os.geteuid() == 0
    refusal = adjudicator.judge_family(duplicate.family)
    return refusal or adjudicator.judge_netlink(sockaddr, binds=binds, is_root=is_root)


def _is_v6_only(duplicate: Socket) -> bool:
    if duplicate.family != socket.AF_INET6:
        return False
    return bool(duplicate.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
