"""Serve the seccomp listener on the loop: read each call once, have it judged, and carry out the verdict.

No decision depends on memory that the command can change afterwards: the address is copied, judged, and then
used by us on a duplicate of the command's socket. CONTINUE is answered to two of the socket calls: the bind
of a Unix socket where Landlock lets the command make one (UnixCalls), and a listen where every port may be
served, whose arguments are in registers.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from nono.audit.dedup import DedupRecorder
from nono.kernel import notify
from nono.kernel.uapi import seccomp as uapi_seccomp
from nono.policy.ports import OWN_SERVER
from nono.supervisor.calls import inet, route_netlink
from nono.supervisor.calls.answers import Answers
from nono.supervisor.calls.caller_paths import CallerPaths
from nono.supervisor.calls.handover import Handover
from nono.supervisor.calls.inet import Bound, Connected, InetCalls
from nono.supervisor.calls.own_servers import OwnServers
from nono.supervisor.calls.trapped_call import HiddenCallerError, Socket, TrappedCalls, release
from nono.supervisor.calls.unix import UnixCalls
from nono.supervisor.calls.watchdog import BlockingCallWatchdog
from nono.supervisor.look_ups.name_server import LookUps
from nono.supervisor.look_ups.tcp_name_server import TcpNameServer
from nono.supervisor.verdict import adjudicator
from nono.supervisor.verdict.adjudicator import NetworkGrants, Perform, Refuse
from nono.supervisor.verdict.audit_events import refused
from nono.supervisor.verdict.own_datagrams import is_udp_socket
from nono.supervisor.verdict.path_call import PATH_CALLS
from nono.supervisor.verdict.register_call import refuse_by_registers
from nono.supervisor.verdict.route_netlink import is_route_socket
from nono.supervisor.verdict.syscall_args import (
    AbstractUnixAddress,
    Address,
    InetAddress,
    OtherAddress,
    UnixAddress,
    UnnamedUnixAddress,
    inet_address,
    parse_sockaddr,
    unsigned,
)

if TYPE_CHECKING:
    from nono.supervisor.calls.own_datagrams import OwnDatagrams
    from nono.supervisor.verdict.virtual_addresses import VirtualAddresses

_UNIX_FAMILY, _NETLINK_FAMILY = (struct.pack("=H", each) for each in (socket.AF_UNIX, socket.AF_NETLINK))


class PathCalls(Protocol):
    """Answers the calls that name files."""

    def serve(self, notification: notify.Notification, name: str) -> None: ...

    def close(self) -> None: ...


class NotifyLoop:
    """Serves one listener on one event loop, from start() until the last filtered process is gone or close().

    `connected` is called for every connection that was made to the proxy for the command,
    before the loop runs anything else, including the proxy's accept callback.
    """

    def __init__(
        self,
        listener: int,
        grants: NetworkGrants,
        recorder: DedupRecorder,
        connected: Connected,
        paths: CallerPaths | None = None,
        opens: PathCalls | None = None,
        bound: Bound | None = None,
        *,
        maker: Socket | None = None,
        names: VirtualAddresses | None = None,
    ) -> None:
        """Set up the loop; close() closes `paths` and `opens`.

        paths: Resolves the command's paths, if its Unix sockets are trapped.
        opens: Serves calls that open files, if those are trapped.
        maker: The channel of a socket maker in an empty network, which the caller closes; without it there is
            no UDP.
        names: The hosts that the command may look up; without them it looks up none.
        """
        self._listener = listener
        self._opens = opens
        self._grants = grants
        self._recorder = recorder
        # An epoll between the listener and the loop: libuv drops for good a descriptor that reports POLLERR,
        # and a listener does when a signal comes while the kernel waits for its lock. An epoll never does.
        self._poll = select.epoll()
        self._poll.register(listener, select.POLLIN)
        machine = os.uname().machine
        self._arch = uapi_seccomp.AUDIT_ARCH[machine]
        self._names = {number: name for name, number in uapi_seccomp.SYSCALL_NUMBERS[machine].items()}
        self._answers = Answers(listener)
        self._watchdog = BlockingCallWatchdog()
        self._calls = TrappedCalls(listener, self._watchdog)
        self._handover = Handover(listener, self._watchdog, self._answers.fail)
        # Where only Unix sockets are judged, the network is the command's or blocked.
        self._lists_network = grants.proxy is not None
        self._maker = maker
        self._datagrams: OwnDatagrams | None = None
        self._look_ups = None if names is None else LookUps(names, recorder)
        self._name_server = None if self._look_ups is None else TcpNameServer(self._look_ups)
        self._own: OwnServers | None = None
        if grants.own_servers:
            self._own = OwnServers(self._calls, recorder, self._answer_late, self._watchdog)
        self._inet = InetCalls(
            *(grants, self._calls, recorder, connected, self._answers.fail, self._watchdog, bound),
            *(self._own, names, self._name_server),
        )
        self._unix: UnixCalls | None = None
        if paths is not None:
            self._unix = UnixCalls(
                paths,
                grants.unix,
                self._calls,
                recorder,
                self._answer_late,
                self._answers.leave,
                self._watchdog,
            )

    def start(self) -> None:
        """Start serving. Takes ownership of the listener: close() closes it."""
        self._loop = asyncio.get_running_loop()
        self._watchdog.start()
        notify.set_sync_wake_up(self._listener)
        self._loop.add_reader(self._poll.fileno(), self._on_readable)

    def forget_verdicts(self) -> None:
        """Judge every address anew: the rules have changed."""
        self._inet.forget_verdicts()

    def close(self) -> None:
        """Stop serving: trapped calls of remaining processes fail with ENOSYS, which refuses them too."""
        if self._listener < 0:
            return
        self._loop.remove_reader(self._poll.fileno())
        self._inet.close()
        if self._datagrams is not None:
            self._datagrams.close()
        if self._name_server is not None:
            self._name_server.close()
        if self._own is not None:
            self._own.close()
        self._handover.close()
        self._watchdog.close()
        if self._unix is not None:
            self._unix.close()
        self._calls.close()
        if self._opens is not None:
            self._opens.close()
        self._answers.close()
        self._poll.close()
        os.close(self._listener)
        self._listener = -1

    def _on_readable(self) -> None:
        # poll(2) again, because up to Linux 6.8 RECV blocks forever once the process tree is gone, and the
        # loop reports that hang-up as readable. One RECV per report gives the proxy its turns: with 16 a
        # command that floods us delays everything else by milliseconds.
        for _, events in self._poll.poll(0):
            if events & select.POLLIN:
                with suppress(FileNotFoundError):  # ENOENT: killed between poll and RECV
                    self._serve(notify.receive(self._listener))
            elif events & select.POLLHUP:
                self._loop.remove_reader(self._poll.fileno())
            # POLLERR alone: a signal came while the kernel waited for the listener's lock; poll again.

    def _serve(self, call: notify.Notification) -> None:
        errno_value: int | None = errno.EACCES  # the answer, unless what follows earns a better one
        try:
            errno_value = self._decide_and_act(call)
        except socket.gaierror:
            errno_value = errno.EAFNOSUPPORT  # IPv6 for an IPv4 socket; gaierror has no kernel errno
        except ProcessLookupError:
            errno_value = errno.ESRCH  # the caller died; nobody will read this
        except HiddenCallerError:
            name = self._names.get(call.nr, f"nr={call.nr}")
            reason = "the arguments are in a process that cannot be looked into (PR_SET_DUMPABLE 0)"
            errno_value = self._refuse(adjudicator.refuse_call(name, reason))
        except ValueError:
            errno_value = errno.EINVAL  # a malformed address
        except OSError as error:
            errno_value = error.errno or errno.EACCES  # EFAULT, EINVAL, ECONNREFUSED ...: the kernel's own
        finally:
            if errno_value is not None:
                self._answers.fail(call, errno_value)

    def _answer_late(self, call: notify.Notification, answer: int | Refuse) -> None:
        self._answers.fail(call, self._refuse(answer) if isinstance(answer, Refuse) else answer)

    def _decide_and_act(self, call: notify.Notification) -> int | None:
        """Return the errno to answer with, 0 for success; None if the answer comes later."""
        if call.arch == self._arch and call.nr < 0:
            return errno.ENOSYS  # no table has such a call: a tracer (proot) has one skipped by this number
        if call.arch != self._arch or call.nr & uapi_seccomp.X32_SYSCALL_BIT:
            reason = "a system call of a foreign ABI, which no rule here speaks of"
            return self._refuse(adjudicator.refuse_call(f"arch={call.arch:#x} nr={call.nr:#x}", reason))
        match self._names.get(call.nr):
            case str(name) if self._opens is not None and name in PATH_CALLS:
                self._opens.serve(call, name)
                return None
            case "connect":
                return self._connect(call)
            case "bind":
                return self._bind(call)
            case "listen":
                return self._listen(call)
            case "socket" if self._lists_network and is_route_socket(call.args):
                return self._make_route_socket(call)
            case "socket" if self._lists_network and self._maker is not None and is_udp_socket(call.args):
                refusal = self._own_datagrams(self._maker).make(call)
                return None if refusal is None else self._refuse(refusal)
            case name:
                return self._refuse(refuse_by_registers(name, call.nr, call.args))

    def _own_datagrams(self, maker: Socket) -> OwnDatagrams:
        if self._datagrams is None:
            # Imported here: few runs use UDP.
            from nono.supervisor.calls.own_datagrams import OwnDatagrams

            self._datagrams = OwnDatagrams(
                self._handover, maker, self._calls, self._answer_late, self._look_ups
            )
        return self._datagrams

    def _make_route_socket(self, call: notify.Notification) -> int | None:
        try:
            route_netlink.make(self._handover, call)
        except OSError as error:
            if error.errno == errno.EMFILE:
                return errno.EMFILE
            # Before Linux 5.9 no socket can be passed on.
            return self._refuse(refuse_by_registers("socket", call.nr, call.args))
        return None

    def _refuse(self, refusal: Refuse) -> int:
        with suppress(OSError):  # a refusal that cannot be recorded is a refusal all the same
            self._recorder(refused(refusal))
        return refusal.errno_value

    def _connect(self, call: notify.Notification) -> int | None:
        raw = self._calls.sockaddr(call, call.args[1], call.args[2])
        if raw[:2] == _UNIX_FAMILY:
            return self._on_unix(call, raw, binds=False)
        if self._datagrams is not None and (answer := self._datagrams.connect(call, raw)) is not None:
            return self._unless_refused(call, answer)
        return self._unless_refused(call, self._inet.connect(call, raw))

    def _bind(self, call: notify.Notification) -> int | None:
        raw = self._calls.sockaddr(call, call.args[1], call.args[2])
        if raw[:2] == _UNIX_FAMILY:
            return self._on_unix(call, raw, binds=True)
        if self._datagrams is not None and (answer := self._datagrams.bind(call, raw)) is not None:
            return answer
        if raw[:2] == _NETLINK_FAMILY and self._lists_network:
            return self._unless_refused(call, route_netlink.bind(self._calls, call, raw))
        return self._unless_refused(call, self._inet.bind(call, raw))

    def _unless_refused(self, call: notify.Notification, answer: int | Refuse | None) -> int | None:
        return self._refuse(answer) if isinstance(answer, Refuse) else answer

    def _on_unix(self, call: notify.Notification, raw: bytes, *, binds: bool) -> int | None:
        """Connect or bind a Unix socket. A path is resolved and judged each time."""
        address = parse_sockaddr(raw)
        assert isinstance(address, UnixAddress | AbstractUnixAddress | UnnamedUnixAddress)  # by its family
        if self._unix is None:
            return self._refuse(adjudicator.refuse_unix(address, adjudicator.NOT_EXAMINED))
        if isinstance(address, UnixAddress):
            answer = self._unix.bind(call, address) if binds else self._unix.connect(call, address)
            return self._unless_refused(call, answer)
        verdict = adjudicator.judge_unix_name(address, self._grants, binds=binds)
        if isinstance(verdict, Refuse):
            return self._refuse(verdict)
        return self._unix.perform_by_name(call, raw, binds=binds)

    def _listen(self, call: notify.Notification) -> int | None:
        duplicate = self._calls.socket(call)
        if duplicate is None:
            return errno.EACCES
        try:
            local = _local_address(duplicate)
            if self._grants.is_open and not isinstance(local, UnixAddress):
                # Nothing to judge. A Unix socket put in its place meanwhile does not count as the command's.
                self._answers.leave(call)
                return None
            verdict = adjudicator.judge_listen(local, self._grants)
            if isinstance(verdict, Refuse):
                return self._refuse(verdict)
            is_own = isinstance(verdict, Perform) and verdict.rule == OWN_SERVER
            if is_own and self._own is not None and not self._own.may_listen(duplicate, local):
                return errno.EADDRINUSE
            if self._unix is not None and isinstance(local, UnixAddress):
                self._unix.will_listen(call, duplicate, local)
            backlog = min(unsigned(call.args[1]), 0x7FFFFFFF)
            if not isinstance(local, InetAddress):
                duplicate.listen(backlog)
            elif not inet.listen(duplicate, local, backlog):
                return self._refuse(adjudicator.refuse_moved(local))
            if self._own is not None and isinstance(verdict, Perform):
                self._own.add(duplicate, call.tid, unsigned(call.args[0]))
        finally:
            release(duplicate)
        return 0


def _local_address(duplicate: Socket) -> Address:
    """Return the address that the socket is bound to; port 0 of the unspecified address if unbound."""
    name = duplicate.getsockname()
    if duplicate.family in (socket.AF_INET, socket.AF_INET6):
        return inet_address(name[0], name[1])
    if duplicate.family == socket.AF_UNIX:
        if isinstance(name, bytes):
            return AbstractUnixAddress(name[1:])
        return UnixAddress(os.fsencode(name)) if name else UnnamedUnixAddress()
    return OtherAddress(duplicate.family)
