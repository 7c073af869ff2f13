"""Serves the seccomp listener on the loop: reads each call once, has it judged, carries the verdict out.

Nothing is decided from memory that the child can change afterwards: the address is copied, judged, and then
used by us on a duplicate of the child's socket. CONTINUE is never answered here.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import select
import socket
import struct
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

from nono.audit.folding import FoldingRecorder
from nono.kernel import notify, socket_names, uapi_process, uapi_seccomp
from nono.supervisor import adjudicator
from nono.supervisor.adjudicator import NetworkGrants, Perform, Refuse
from nono.supervisor.call_events import performed, refused
from nono.supervisor.caller_paths import CallerPaths
from nono.supervisor.never_wait import interrupted, interruptible
from nono.supervisor.peer_registry import PeerAddress
from nono.supervisor.syscall_args import (
    AbstractUnixAddress,
    Address,
    InetAddress,
    OtherAddress,
    UnixAddress,
    UnnamedUnixAddress,
    parse_sockaddr,
)
from nono.supervisor.trapped_call import HiddenCallerError, Socket, TrappedCalls, release, send_timeout_s
from nono.supervisor.unix_calls import UnixCalls

if TYPE_CHECKING:
    from nono.supervisor.file_opens import FileOpens

UnixName = UnixAddress | AbstractUnixAddress | UnnamedUnixAddress
_UNIX_FAMILY = struct.pack("=H", socket.AF_UNIX)
JUDGED_MAX = 256  # socket addresses whose verdict is remembered
SWEEP_INTERVAL_S = 1.0  # how often callers of pending connects are asked whether they still live
PENDING_MAX = 256  # of those: each holds a descriptor of ours for as long as a silent host likes
CONNECT_IN_PROGRESS = frozenset({errno.EINPROGRESS, errno.EALREADY, errno.EINTR})


@dataclass(slots=True)
class _PendingConnect:
    """A blocking connect whose answer is outstanding; the duplicate is non-blocking meanwhile."""

    notification: notify.Notification
    duplicate: Socket
    timer: asyncio.TimerHandle | None = None  # of the caller's SO_SNDTIMEO


class NotifyLoop:
    """One listener on one event loop, from start() until the last filtered process is gone or close().

    connected is called with the local address of every connection that was made to the proxy for the child,
    before the loop runs anything else: the proxy's accept callback among it.
    """

    def __init__(
        self,
        listener: int,
        grants: NetworkGrants,
        recorder: FoldingRecorder,
        connected: Callable[[PeerAddress], None],
        paths: CallerPaths | None = None,
        opens: FileOpens | None = None,
    ) -> None:
        """paths: of the command, where its sockets are trapped; opens: serves what opens files, if that is.

        Both are closed with this.
        """
        self._listener = listener
        self._opens = opens
        self._grants = grants
        self._recorder = recorder
        self._connected = connected
        self._pending: dict[int, _PendingConnect] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._while_serving = ExitStack()
        self._poll = select.poll()
        self._poll.register(listener, select.POLLIN)
        machine = os.uname().machine
        self._arch = uapi_seccomp.AUDIT_ARCH[machine]
        self._names = {number: name for name, number in uapi_seccomp.SYSCALL_NUMBERS[machine].items()}
        self._calls = TrappedCalls(listener)
        self._unix: UnixCalls | None = None
        if paths is not None:
            self._unix = UnixCalls(paths, grants.unix, self._calls, recorder, self._respond)
        # A child connects to the same few addresses again and again. The key is the copy that was read.
        self._judge_connect = lru_cache(JUDGED_MAX)(lambda raw: _judged(parse_sockaddr(raw), grants))

    def start(self) -> None:
        """Serve from now on. The listener becomes ours: close() closes it."""
        self._loop = asyncio.get_running_loop()
        self._while_serving.enter_context(interruptible())
        notify.wake_on_the_same_cpu(self._listener)
        self._loop.add_reader(self._listener, self._on_readable)

    def close(self) -> None:
        """Stop serving: calls of whoever is left answer ENOSYS from now on, which is a refusal too."""
        if self._listener < 0:
            return
        self._loop.remove_reader(self._listener)
        for pending in list(self._pending.values()):
            self._forget(pending)
        self._while_serving.close()
        if self._unix is not None:
            self._unix.close()
        self._calls.close()
        if self._opens is not None:
            self._opens.close()
        os.close(self._listener)
        self._listener = -1

    def _on_readable(self) -> None:
        # poll(2) again, because up to Linux 6.8 RECV blocks for ever once the tree is gone, and the loop
        # reports that hang-up as readable. One RECV per report keeps the proxy's turns coming: with 16 a
        # child that floods us delays everybody else by milliseconds.
        for _, events in self._poll.poll(0):
            if events & select.POLLIN:
                with suppress(FileNotFoundError):  # ENOENT: killed between poll and RECV
                    self._serve(notify.receive(self._listener))
            elif events & (select.POLLHUP | select.POLLERR):
                self._loop.remove_reader(self._listener)

    def _serve(self, call: notify.Notification) -> None:
        errno_value: int | None = errno.EACCES  # the answer, unless what follows earns a better one
        try:
            errno_value = self._decide_and_act(call)
        except socket.gaierror:
            errno_value = errno.EAFNOSUPPORT  # IPv6 for an IPv4 socket; its errno is none of the kernel's
        except ProcessLookupError:
            errno_value = errno.ESRCH  # the caller died; nobody will read this
        except HiddenCallerError:
            name = self._names.get(call.nr, f"nr={call.nr}")
            reason = "the arguments are in a process that cannot be looked into (PR_SET_DUMPABLE 0)"
            errno_value = self._refuse(call, adjudicator.refuse_call(name, reason))
        except ValueError:
            errno_value = errno.EINVAL  # an address that is none
        except OSError as error:
            errno_value = error.errno or errno.EACCES  # EFAULT, EINVAL, ECONNREFUSED ...: the kernel's own
        finally:
            if errno_value is not None:
                self._respond(call, errno_value)

    def _respond(self, call: notify.Notification, errno_value: int) -> None:
        try:
            notify.respond(self._listener, call.id, errno_value=errno_value)
        except FileNotFoundError:  # ENOENT: the caller is gone
            return

    def _decide_and_act(self, call: notify.Notification) -> int | None:
        """The errno to answer with, 0 for success; None when the answer comes later."""
        if call.arch != self._arch or call.nr & uapi_seccomp.X32_SYSCALL_BIT:
            reason = "a system call of a foreign ABI, which no rule here speaks of"
            return self._refuse(call, adjudicator.refuse_call(f"arch={call.arch:#x} nr={call.nr:#x}", reason))
        match self._names.get(call.nr):
            case "open" | "creat" | "openat" | "openat2" as name if self._opens is not None:
                self._opens.serve(call, name)
                return None
            case "connect":
                return self._connect(call)
            case "bind":
                return self._bind(call)
            case "listen":
                return self._listen(call)
            case "sendto" if not call.args[3] & uapi_process.MSG_FASTOPEN:
                address = parse_sockaddr(self._calls.sockaddr(call, call.args[4], call.args[5]))
                return self._refuse(call, adjudicator.judge_send(address))
            case "sendto" | "sendmsg" | "sendmmsg" as name:
                reason = "TCP Fast Open would connect and send in one call, to an address nobody has judged"
                return self._refuse(call, adjudicator.refuse_call(f"{name}(MSG_FASTOPEN)", reason))
            case "socket" | "socketpair" as name:
                family, kind, protocol = (int(argument) & 0xFFFFFFFF for argument in call.args[:3])
                reason = "only TCP and connection-oriented Unix sockets can be held to the proxy"
                target = f"{name}(family={family}, type={kind & 0xF}, protocol={protocol})"
                return self._refuse(call, adjudicator.refuse_call(target, reason))
            case "prlimit64":
                reason = "the limits of another process are its owner's to set"
                return self._refuse(call, adjudicator.refuse_call(f"prlimit64(pid={call.args[0]})", reason))
            case "ioctl":
                reason = "what is typed into the terminal is read by whoever reads it next: your shell"
                return self._refuse(
                    call, adjudicator.refuse_call(f"ioctl({call.args[1] & 0xFFFFFFFF:#x})", reason)
                )
            case name:
                reason = "it could connect or open files without a system call that is looked at"
                return self._refuse(call, adjudicator.refuse_call(name or f"nr={call.nr}", reason))

    def _refuse(self, call: notify.Notification, refusal: Refuse) -> int:
        with suppress(OSError):  # a refusal that cannot be recorded is a refusal all the same
            self._recorder(refused(refusal))
        return refusal.errno_value

    def _connect(self, call: notify.Notification) -> int | None:
        raw = self._calls.sockaddr(call, call.args[1], call.args[2])
        if self._grants.is_open:
            return self._connect_anywhere(call, raw)
        judged = self._judge_connect(raw)
        if isinstance(judged, UnixName):  # a path is judged by what it leads to, each time anew
            return self._on_unix(call, judged, raw, binds=False)
        if isinstance(judged, Refuse):
            return self._refuse(call, judged)
        duplicate = self._calls.tcp_socket(call)
        if duplicate is None:
            return errno.EACCES
        if judged.verdict.rule != adjudicator.PROXY_ONLY:
            try:
                self._recorder.fold(performed(judged.verdict))
            except OSError:  # what cannot be recorded is not carried out
                release(duplicate)
                return errno.EACCES
        connect = partial(duplicate.connect_ex, judged.sockaddr[duplicate.family])
        return self._start_connect(
            call, duplicate, connect, to_proxy=judged.verdict.rule == adjudicator.PROXY_ONLY
        )

    def _connect_anywhere(self, call: notify.Notification, raw: bytes) -> int | None:
        """On a network that is open: Unix sockets are judged, all others connected as they were told to."""
        address = parse_sockaddr(raw) if raw[:2] == _UNIX_FAMILY else None
        if isinstance(address, UnixName):
            return self._on_unix(call, address, raw, binds=False)
        duplicate = self._calls.socket(call)
        if duplicate is None:
            return errno.EACCES
        failed = self._refuse_family(call, duplicate, raw, binds=False)
        if failed is not None:
            release(duplicate)
            return failed
        connect = partial(socket_names.connect, duplicate.fileno(), raw)
        return self._start_connect(call, duplicate, connect, to_proxy=False)

    def _start_connect(
        self, call: notify.Notification, duplicate: Socket, connect: Callable[[], int], *, to_proxy: bool
    ) -> int | None:
        """Connect as the caller would have, without ever blocking the loop. Owns duplicate."""
        blocking = not fcntl.fcntl(duplicate.fileno(), fcntl.F_GETFL) & os.O_NONBLOCK
        keep = False
        try:
            # The flag belongs to the open file that the child shares, and is put back before it is answered.
            duplicate.setblocking(False)
            with interrupted:
                result = connect()
            if to_proxy:
                self._register(duplicate)
            if blocking and result in CONNECT_IN_PROGRESS:
                # On loopback the handshake is over by now and the second call says so; only a full accept
                # queue really makes it wait.
                with interrupted:
                    result = connect()
                if result in CONNECT_IN_PROGRESS:
                    if len(self._pending) >= PENDING_MAX:
                        return errno.EAGAIN
                    self._wait_for(_PendingConnect(call, duplicate))
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

    def _register(self, duplicate: Socket) -> None:
        try:
            host, port, *_ = duplicate.getsockname()
        except OSError:
            return
        self._connected((host.removeprefix("::ffff:"), port))

    def _wait_for(self, pending: _PendingConnect) -> None:
        self._pending[pending.notification.id] = pending
        self._loop.add_writer(pending.duplicate.fileno(), self._on_connected, pending)
        patience_s = send_timeout_s(pending.duplicate)
        if patience_s is not None:
            pending.timer = self._loop.call_later(patience_s, self._on_timeout, pending)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP_INTERVAL_S, self._sweep)

    def _on_connected(self, pending: _PendingConnect) -> None:
        result = pending.duplicate.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        call = pending.notification
        self._forget(pending)
        self._respond(call, result)

    def _on_timeout(self, pending: _PendingConnect) -> None:
        self._forget(pending)
        self._respond(pending.notification, errno.EINPROGRESS)

    def _forget(self, pending: _PendingConnect) -> None:
        del self._pending[pending.notification.id]
        if pending.timer is not None:
            pending.timer.cancel()
        self._loop.remove_writer(pending.duplicate.fileno())
        with suppress(OSError):
            pending.duplicate.setblocking(True)
        release(pending.duplicate)

    def _sweep(self) -> None:
        """A caller that was killed leaves its entry behind; nothing else tells us."""
        self._sweeper = None
        for pending in list(self._pending.values()):
            if not notify.is_valid(self._listener, pending.notification.id):
                self._forget(pending)
        if self._pending:
            self._sweeper = self._loop.call_later(SWEEP_INTERVAL_S, self._sweep)

    def _on_unix(
        self, call: notify.Notification, address: UnixName, raw: bytes, *, binds: bool
    ) -> int | None:
        if self._unix is None:
            return self._refuse(call, adjudicator.refuse_unix(address, adjudicator.NOT_EXAMINED))
        if not isinstance(address, UnixAddress):
            verdict = adjudicator.judge_unix_name(address, self._grants, binds=binds)
            if isinstance(verdict, Refuse):
                return self._refuse(call, verdict)
            return self._unix.perform_by_name(call, raw, binds=binds)
        answer = self._unix.bind(call, address) if binds else self._unix.connect(call, address)
        return self._refuse(call, answer) if isinstance(answer, Refuse) else answer

    def _bind(self, call: notify.Notification) -> int | None:
        raw = self._calls.sockaddr(call, call.args[1], call.args[2])
        address = parse_sockaddr(raw) if raw[:2] == _UNIX_FAMILY or not self._grants.is_open else None
        if isinstance(address, UnixName):
            return self._on_unix(call, address, raw, binds=True)
        if address is None:
            return self._bind_anywhere(call, raw)
        verdict = adjudicator.judge_bind(address, self._grants)
        if isinstance(verdict, Refuse):
            return self._refuse(call, verdict)
        duplicate = self._calls.tcp_socket(call)
        if duplicate is None:
            return errno.EACCES
        try:
            duplicate.bind(_sockaddr(verdict.address, duplicate.family))
        finally:
            release(duplicate)
        return 0

    def _bind_anywhere(self, call: notify.Notification, raw: bytes) -> int:
        duplicate = self._calls.socket(call)
        if duplicate is None:
            return errno.EACCES
        try:
            failed = self._refuse_family(call, duplicate, raw, binds=True)
            if failed is not None:
                return failed
            return socket_names.bind(duplicate.fileno(), raw)
        finally:
            release(duplicate)

    def _refuse_family(
        self, call: notify.Notification, duplicate: Socket, raw: bytes, *, binds: bool
    ) -> int | None:
        """On an open network: the errno for a socket that is not acted on; None for all others."""
        if duplicate.family == socket.AF_UNIX:
            return errno.EINVAL  # its address is of another family, as in AF_UNSPEC
        is_root = os.geteuid() == 0
        refusal = adjudicator.judge_family(duplicate.family)
        refusal = refusal or adjudicator.judge_netlink(raw, binds=binds, is_root=is_root)
        return None if refusal is None else self._refuse(call, refusal)

    def _listen(self, call: notify.Notification) -> int:
        duplicate = self._calls.socket(call)
        if duplicate is None:
            return errno.EACCES
        try:
            verdict = adjudicator.judge_listen(_local_address(duplicate), self._grants)
            if isinstance(verdict, Refuse):
                return self._refuse(call, verdict)
            backlog = call.args[1] & 0xFFFFFFFF
            duplicate.listen(min(backlog, 0x7FFFFFFF))
        finally:
            release(duplicate)
        return 0


class _Dialled(NamedTuple):
    """An address that may be connected to, as the sockets of each family take it."""

    verdict: Perform
    sockaddr: dict[int, tuple[str, int]]


def _judged(address: Address, grants: NetworkGrants) -> Refuse | _Dialled | UnixName:
    if isinstance(address, UnixName):
        return address
    verdict = adjudicator.judge_connect(address, grants)
    if isinstance(verdict, Refuse):
        return verdict
    families = (socket.AF_INET, socket.AF_INET6)
    return _Dialled(verdict, {family: _sockaddr(verdict.address, family) for family in families})


def _sockaddr(address: InetAddress, family: int) -> tuple[str, int]:
    """The address in the shape that a socket of this family takes."""
    if family == socket.AF_INET6 and address.host.version == 4:
        return f"::ffff:{address.host}", address.port
    return str(address.host), address.port


def _local_address(duplicate: Socket) -> Address:
    """What the socket is bound to: port 0 of the unspecified address when it is not."""
    name = duplicate.getsockname()
    if duplicate.family in (socket.AF_INET, socket.AF_INET6):
        return InetAddress(ip_address(name[0].partition("%")[0]), name[1])
    if duplicate.family == socket.AF_UNIX:
        if isinstance(name, bytes):
            return AbstractUnixAddress(name[1:])
        return UnixAddress(os.fsencode(name)) if name else UnnamedUnixAddress()
    return OtherAddress(duplicate.family)
