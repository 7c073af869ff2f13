"""Hand out UDP sockets made in a network of the command's own, in which nobody else is.

Whatever is sent there reaches a socket of the command or nobody, so no address is judged for safety, and
sends are not trapped. The init of the command's namespaces makes that network, with the first socket.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from nono.disk.resolv_conf import NAME_SERVERS_MAX
from nono.kernel import socket_names
from nono.kernel.uapi.inet_diag import SO_NETNS_COOKIE
from nono.sandbox.socket_maker import NAME_SERVERS, REQUEST_BYTES, UDP_IPV4, UDP_IPV6
from nono.supervisor.calls.handover import Handover
from nono.supervisor.calls.trapped_call import Socket, TrappedCalls, cookie_of, release
from nono.supervisor.look_ups.name_server import LookUps, NameServer
from nono.supervisor.verdict.adjudicator import Refuse
from nono.supervisor.verdict.own_datagrams import (
    MADE_INSIDE,
    NOT_MADE,
    judge_connect,
    no_name_server,
    refused_hint,
)
from nono.supervisor.verdict.register_call import refuse_by_registers
from nono.supervisor.verdict.syscall_args import parse_sockaddr, unsigned

if TYPE_CHECKING:
    from nono.kernel.notify import Notification

ASKED_MAX = 64  # sockets asked for at a time: their descriptors are in flight, and the channel has a buffer
_DESCRIPTOR = struct.Struct("@i")


class OwnDatagrams:
    """Serves the UDP sockets of one listener, until close(); the sockets live on."""

    def __init__(
        self,
        handover: Handover,
        maker: Socket,
        calls: TrappedCalls,
        answer: Callable[[Notification, int | Refuse], None],
        look_ups: LookUps | None,
    ) -> None:
        """Set up. Call on the loop.

        handover: Answers with a socket; the caller closes it.
        maker: The channel of the socket maker, which the caller continues to own.
        answer: Sends a delayed answer.
        look_ups: Answers the queries that reach name servers in that network; without it nobody does.
        """
        self._look_ups = look_ups
        self._name_server: NameServer | None = None
        self._handover = handover
        self._maker = maker
        self._calls = calls
        self._answer = answer
        self._waiting: deque[Notification] = deque()  # in the order of the requests
        self._unasked: deque[Notification] = deque()  # too many wait already
        self._network = 0  # the cookie of that network; 0 before its first socket
        self._is_closed = False
        asyncio.get_running_loop().add_reader(maker.fileno(), self._on_readable)

    def close(self) -> None:
        """Make no more. Waiting calls are left to whoever closes the listener. Call on the loop."""
        if not self._is_closed:
            self._is_closed = True
            self._waiting.clear()
            self._unasked.clear()
            if self._name_server is not None:
                self._name_server.close()
            asyncio.get_running_loop().remove_reader(self._maker.fileno())

    def make(self, call: Notification) -> Refuse | None:
        """Answer socket(2) of UDP, later. Returns a refusal if that cannot be.

        Raises ProcessLookupError if the caller died: nobody is refused anything.
        """
        if not _shares_network(call.tid):
            return _refusal(call, MADE_INSIDE)
        if self._is_closed:
            return _refusal(call)
        self._unasked.append(call)
        self._ask_for_more()
        return None

    def _ask_for_more(self) -> None:
        while self._unasked and len(self._waiting) < ASKED_MAX:
            call = self._unasked.popleft()
            self._waiting.append(call)
            asked = UDP_IPV4 if unsigned(call.args[0]) == socket.AF_INET else UDP_IPV6
            try:
                self._maker.send(asked, socket.MSG_DONTWAIT)
            except OSError:  # the maker has ended
                self._refuse_all()

    def connect(self, call: Notification, sockaddr: bytes) -> int | Refuse | None:
        """Connect one of these sockets for the caller; None if the descriptor is none of them.

        Raises like every trapped call.
        """
        duplicate = self._duplicate(call)
        if duplicate is None:
            return None
        try:
            address = parse_sockaddr(sockaddr)
            refusal = judge_connect(address)
            if refusal is not None:
                return refusal
            result = socket_names.connect(duplicate.fileno(), sockaddr)
            return (result and no_name_server(address)) or result
        finally:
            duplicate.close()

    def bind(self, call: Notification, sockaddr: bytes) -> int | None:
        """Bind one of these sockets for the caller; None if the descriptor is none of them."""
        duplicate = self._duplicate(call)
        if duplicate is None:
            return None
        try:
            return socket_names.bind(duplicate.fileno(), sockaddr)
        finally:
            duplicate.close()

    def _on_readable(self) -> None:
        try:
            said, rights, _, _ = self._maker.recvmsg(
                REQUEST_BYTES,
                socket.CMSG_LEN(_DESCRIPTOR.size * NAME_SERVERS_MAX),
                socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT,
            )
        except BlockingIOError:
            return
        except OSError:
            said, rights = b"", []
        descriptors = [each for *_, data in rights for (each,) in _DESCRIPTOR.iter_unpack(data)]
        if said == NAME_SERVERS:
            self._serve_names(descriptors)
        elif said and self._waiting:
            self._hand_over(self._waiting.popleft(), descriptors)
            self._ask_for_more()
        else:
            self._refuse_all()  # the maker has ended, and the command with it

    def _serve_names(self, descriptors: Sequence[int]) -> None:
        """Answer the queries that reach these sockets, which are taken over."""
        if self._look_ups is not None:
            self._name_server = NameServer(descriptors, self._look_ups)
            return
        for each in descriptors:
            os.close(each)

    def _hand_over(self, call: Notification, descriptors: Sequence[int]) -> None:
        if not descriptors:
            if unsigned(call.args[0]) == socket.AF_INET6:  # which this host may lack
                self._answer(call, errno.EAFNOSUPPORT)
            else:
                self._answer(call, errno.ENOBUFS if self._network else _refusal(call))
            return
        with socket.socket(fileno=descriptors[0]) as made:
            try:
                if not self._network and not self._knows_network(made):
                    self._waiting.appendleft(call)
                    self._refuse_all()
                    return
                kind = call.args[1]
                made.setblocking(not kind & socket.SOCK_NONBLOCK)
                self._handover.give(call, made.fileno(), close_on_exec=bool(kind & socket.SOCK_CLOEXEC))
            except OSError as error:  # EMFILE
                self._answer(call, error.errno or errno.EACCES)

    def _refuse_all(self) -> None:
        refused = [*self._waiting, *self._unasked]
        self.close()
        for call in refused:
            self._answer(call, _refusal(call))

    def _knows_network(self, made: socket.socket) -> bool:
        """Take the cookie of the network; False if it is our own, or unknown (Linux before 5.14)."""
        with socket.socket(made.family, socket.SOCK_DGRAM) as ours:
            network = cookie_of(made, SO_NETNS_COOKIE)
            if network == cookie_of(ours, SO_NETNS_COOKIE):
                return False
        self._network = network
        return True

    def _duplicate(self, call: Notification) -> Socket | None:
        duplicate = self._calls.socket(call) if self._network else None
        if duplicate is None:
            return None
        is_udp = duplicate.family in (socket.AF_INET, socket.AF_INET6) and duplicate.type == socket.SOCK_DGRAM
        if is_udp and cookie_of(duplicate, SO_NETNS_COOKIE) == self._network:
            return duplicate
        release(duplicate)
        return None


def _shares_network(tid: int) -> bool:
    """Return False for a thread in a network that the command has made itself, as Bubblewrap does.

    A socket of ours would be of the wrong network there: its `lo` is not the one to configure.
    Raises ProcessLookupError if the thread has ended.
    """
    try:
        return os.path.samefile(f"/proc/{tid}/ns/net", "/proc/self/ns/net")
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessLookupError(errno.ESRCH, f"/proc/{tid}/ns/net: no such thread") from None
    except OSError:
        return False


def _refusal(call: Notification, where: str = NOT_MADE) -> Refuse:
    return refuse_by_registers("socket", call.nr, call.args)._replace(hint=refused_hint(where))
