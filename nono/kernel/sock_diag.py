"""Ask the kernel about sockets: users of TCP connections, listeners, bound files (sock_diag(7))."""

from __future__ import annotations

import errno
import socket
from collections.abc import Set
from contextlib import closing

from nono.kernel.uapi import inet_diag as uapi
from nono.kernel.uapi import unix_diag as unix_uapi
from nono.named_tuple import NamedTuple

Address = tuple[str, int]

_OPEN = frozenset((uapi.TCP_ESTABLISHED, uapi.TCP_CLOSE_WAIT))
# Its program may have sent all it has to say and wait for the answer, or have closed it.
_SAID_ALL = frozenset((uapi.TCP_FIN_WAIT1, uapi.TCP_FIN_WAIT2))
# Of TIME_WAIT nothing is sent any more: the other end may have its number from another connection.
_CONNECTED = _OPEN | _SAID_ALL | {uapi.TCP_SYN_RECV}

_EVERY_ADDRESS = ("0.0.0.0", "::")
_MAPPED = "::ffff:"


class Listener(NamedTuple):
    """A listening TCP socket of this network namespace."""

    host: str  # the local address, as inet_ntop writes it
    cookie: int  # SO_COOKIE: unique among all sockets of a network namespace, never reused
    inode: int  # st_ino of its descriptors: unique among the open sockets of the machine
    uid: int  # of the user who created it, as seen from our user namespace


class _Found(NamedTuple):
    state: int
    uid: int
    cookie: int
    inode: int  # 0: of a connection that nobody has accepted, or that is closed at its end


def _open() -> socket.socket:
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    return socket.socket(socket.AF_NETLINK, kind, uapi.NETLINK_SOCK_DIAG)


def _message(flags: int, sequence: int, request: bytes) -> bytes:
    size = uapi.NLMSGHDR.size + len(request)
    return uapi.NLMSGHDR.pack(size, uapi.SOCK_DIAG_BY_FAMILY, flags, sequence, 0) + request


class Listeners:
    """Lists the TCP sockets of this network namespace that listen on a port.

    Raises OSError where sock_diag is missing, as in some containers. A look-up takes about 20 µs.
    """

    def __init__(self) -> None:
        self._netlink = _open()
        self._sequence = 0

    def close(self) -> None:
        self._netlink.close()

    def on(self, port: int) -> list[Listener]:
        """Return the sockets that listen on `port`, at any address.

        Raises OSError if the kernel does not answer.
        """
        return [
            listener for family in (socket.AF_INET, socket.AF_INET6) for listener in self._dump(family, port)
        ]

    def _dump(self, family: int, port: int) -> list[Listener]:
        sockid = uapi.INET_DIAG_SOCKID.pack(port.to_bytes(2), bytes(2), bytes(16), bytes(16), 0, 0, 0)
        states = 1 << uapi.TCP_LISTEN
        request = uapi.INET_DIAG_REQ_V2.pack(family, socket.IPPROTO_TCP, 0, states, sockid)
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        flags = uapi.NLM_F_REQUEST | uapi.NLM_F_DUMP
        self._netlink.sendto(_message(flags, self._sequence, request), (0, 0))
        found: list[Listener] = []
        while not self._take(self._netlink.recv(1 << 16), family, found):
            pass
        return found

    def _take(self, received: bytes, family: int, found: list[Listener]) -> bool:
        """Add the listeners of one datagram. Returns True after the last."""
        start = 0
        while start + uapi.NLMSGHDR.size <= len(received):
            size, kind, _, sequence, _ = uapi.NLMSGHDR.unpack_from(received, start)
            body = start + uapi.NLMSGHDR.size
            if size < uapi.NLMSGHDR.size or kind == uapi.NLMSG_ERROR:
                raise OSError(errno.EIO, "sock_diag: no list of listeners")
            if sequence == self._sequence:
                if kind == uapi.NLMSG_DONE:
                    return True
                _, _, _, _, sockid, _, _, _, uid, inode = uapi.INET_DIAG_MSG.unpack_from(received, body)
                _, _, source, _, _, low, high = uapi.INET_DIAG_SOCKID.unpack(sockid)
                host = source[:4] if family == socket.AF_INET else source
                found.append(Listener(socket.inet_ntop(family, host), high << 32 | low, inode, uid))
            start += (size + 3) & ~3
        return False


class SocketOwners:
    """Looks up the users of connections that programs of this network namespace make to this process.

    Raises OSError where sock_diag is missing, as in some containers. A look-up takes about 5 µs.
    """

    def __init__(self) -> None:
        self._netlink = _open()
        self._sequence = 0

    def close(self) -> None:
        self._netlink.close()

    def uid(self, peer: Address, local: Address) -> int | None:
        """Return the user of the socket that is bound to `peer` and connected to `local`.

        This is the user who created the socket, as seen from our user namespace. None: the kernel does not
        know, or the socket is closed by now.
        """
        found = self._look_up(peer, local, _OPEN)  # for a closed one the kernel reports uid 0
        return None if found is None else found.uid

    def acceptor(self, server: Address, client: Address) -> int | None:
        """Return the user of the program that has accepted a connection from us; None: nobody has yet.

        Raises ConnectionResetError if the program has closed it.
        """
        # A program that has shut down its sending end may still read what it is sent.
        if (found := self._look_up(server, client, _OPEN | _SAID_ALL)) is None:
            return None
        if not found.inode and found.state in _SAID_ALL:
            raise ConnectionResetError(errno.ECONNRESET, "the server has closed the connection")
        return found.uid if found.inode else None

    def cookie(self, peer: Address, local: Address) -> int | None:
        """Return the cookie (SO_COOKIE) of that socket, whose connection may be closed at its own end.

        None: the kernel does not know it.
        """
        found = self._look_up(peer, local, _OPEN | _SAID_ALL)
        return None if found is None else found.cookie

    def is_here(self, peer: Address, local: Address) -> bool:
        """Return True if a socket of this network namespace is bound to `peer` and connected to `local`.

        Its program need not have accepted the connection, and may have closed it. IPv4 addresses are those of
        a socket of IPv6 too.
        """
        for prefix in ("",) if ":" in peer[0] else ("", _MAPPED):
            ends = (prefix + peer[0], peer[1]), (prefix + local[0], local[1])
            if self._look_up(*ends, _CONNECTED) is not None:
                return True
        return False

    def _look_up(self, peer: Address, local: Address, states: Set[int]) -> _Found | None:
        family = socket.AF_INET6 if ":" in peer[0] else socket.AF_INET
        sockid = uapi.INET_DIAG_SOCKID.pack(
            peer[1].to_bytes(2), local[1].to_bytes(2), *_packed(family, peer[0], local[0]), 0,
            uapi.INET_DIAG_NOCOOKIE, uapi.INET_DIAG_NOCOOKIE,
        )  # fmt: skip
        request = uapi.INET_DIAG_REQ_V2.pack(family, socket.IPPROTO_TCP, 0, 0xFFFFFFFF, sockid)
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        try:
            self._netlink.sendto(_message(uapi.NLM_F_REQUEST, self._sequence, request), (0, 0))
            return self._answer(sockid, states)
        except OSError:
            return None

    def _answer(self, sockid: bytes, states: Set[int]) -> _Found | None:
        """Read the answer, which is available when sendto returns.

        Raises OSError EAGAIN if there is no answer.
        """
        while True:
            message = self._netlink.recv(8192)
            _, kind, _, sequence, _ = uapi.NLMSGHDR.unpack_from(message)
            if sequence == self._sequence:
                break
        start = uapi.NLMSGHDR.size
        if kind != uapi.SOCK_DIAG_BY_FAMILY or len(message) < start + uapi.INET_DIAG_MSG.size:
            return None
        _, state, _, _, found, _, _, _, uid, inode = uapi.INET_DIAG_MSG.unpack_from(message, start)
        # Without such a connection the kernel reports a listener on that port.
        if state not in states or found[:4] != sockid[:4]:
            return None
        _, _, _, _, _, low, high = uapi.INET_DIAG_SOCKID.unpack(found)
        return _Found(state, uid, high << 32 | low, inode)


def users_of_server(server: Address, client: Address) -> frozenset[int]:
    """Return the users who may read what is sent on a connection of ours to an address of loopback.

    That is who has accepted it; as long as nobody has, whoever listens there. Empty: the kernel does not say.
    Raises ConnectionResetError if the server has closed it: whose it was is not known then, and it may have
    answered already.
    """
    try:
        with closing(Listeners()) as listeners, closing(SocketOwners()) as owners:
            # In this order: while nobody has accepted it, who listened when it was made still does.
            listening = listeners.on(server[1])
            acceptor = owners.acceptor(server, client)
    except ConnectionResetError:
        raise
    except OSError:
        return frozenset()
    if acceptor is not None:
        return frozenset((acceptor,))
    there = [each for each in listening if each.host.removeprefix("::ffff:") == server[0]]
    anywhere = [each for each in listening if each.host in _EVERY_ADDRESS]
    return frozenset(each.uid for each in there or anywhere)


def _packed(family: socket.AddressFamily, *addresses: str) -> list[bytes]:
    return [socket.inet_pton(family, each).ljust(16, b"\0") for each in addresses]


class BoundFile(NamedTuple):
    """The file that a Unix socket is bound to."""

    inode: int  # the low 32 bits of its number
    device: tuple[int, int]  # major and minor of its file system, which stat(2) does not tell for btrfs


def bound_file(socket_inode: int) -> BoundFile | None:
    """Return the file that a Unix socket is bound to.

    socket_inode: st_ino of the socket's descriptor. None: it is not bound, or the kernel does not answer.
    """
    states, show = 0xFFFFFFFF, unix_uapi.UDIAG_SHOW_VFS
    request = unix_uapi.UNIX_DIAG_REQ.pack(
        socket.AF_UNIX, 0, 0, states, socket_inode & 0xFFFFFFFF, show,
        uapi.INET_DIAG_NOCOOKIE, uapi.INET_DIAG_NOCOOKIE,
    )  # fmt: skip
    try:
        with _open() as netlink:
            netlink.sendto(_message(uapi.NLM_F_REQUEST, 1, request), (0, 0))
            answer = netlink.recv(8192)
    except OSError:
        return None
    _, kind, _, _, _ = uapi.NLMSGHDR.unpack_from(answer)
    if kind != uapi.SOCK_DIAG_BY_FAMILY:
        return None
    start = uapi.NLMSGHDR.size + unix_uapi.UNIX_DIAG_MSG_BYTES
    while start + unix_uapi.NLATTR.size + unix_uapi.UNIX_DIAG_VFS_BODY.size <= len(answer):
        size, attribute = unix_uapi.NLATTR.unpack_from(answer, start)
        if attribute == unix_uapi.UNIX_DIAG_VFS:
            inode, device = unix_uapi.UNIX_DIAG_VFS_BODY.unpack_from(answer, start + unix_uapi.NLATTR.size)
            return BoundFile(inode, divmod(device, 1 << unix_uapi.MINORBITS))
        start += max((size + 3) & ~3, unix_uapi.NLATTR.size)
    return None
