"""Make sockets for the supervisor in a network that it is not in, the command's own or an empty one."""

from __future__ import annotations

import _socket  # socket makes enums of its constants: the init of a command's namespaces imports this
import errno
import struct
import time
from contextlib import suppress

from nono.kernel import capabilities, namespaces, process

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

# The requests, each one message on a SOCK_SEQPACKET channel.
TCP_IPV4, TCP_IPV6, UDP_IPV4, UDP_IPV6 = b"4", b"6", b"u", b"U"
REQUEST_BYTES = 1
KINDS = {
    TCP_IPV4: (_socket.AF_INET, _socket.SOCK_STREAM),
    TCP_IPV6: (_socket.AF_INET6, _socket.SOCK_STREAM),
    UDP_IPV4: (_socket.AF_INET, _socket.SOCK_DGRAM),
    UDP_IPV6: (_socket.AF_INET6, _socket.SOCK_DGRAM),
}
REFUSED = b"-"  # the answer if no socket could be made; other answers repeat the request
NAME_SERVERS = b"n"  # no answer: what comes with it is bound to the port of name servers (ADR 120)
_DESCRIPTOR = struct.Struct("@i")
_DNS_PORT = 53
_WAITING_BYTES = 1 << 20  # of queries that nobody has read yet, as far as net.core.rmem_max goes
_IPV4_BYTES = 4
# A new address of IPv6 is of no use until the kernel has found, in a worker, that nobody else has it.
_TENTATIVE_POLLS, _TENTATIVE_POLL_S = 500, 0.001
_OF_LOOPBACK = (b"\x7f\0\0\1", b"\0" * 15 + b"\1")  # what it has anyway


def fork_socket_maker(name_servers: Sequence[_socket.socket]) -> socket.socket:
    """Fork a process that makes sockets, and return the other end of its channel.

    It ends when the caller closes that. The caller's own arguments are overwritten (proc_pid_stat(5)).

    name_servers: What bind_name_servers() has made: sent first, and closed.
    """
    # Imported here: the init of a command's namespaces needs neither.
    from socket import socketpair

    from nono.forked import fork_orphan

    ours, theirs = socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    with theirs:
        send_name_servers(theirs, name_servers)
        # They may hold a password. The command sees what is forked here, and may begin before that runs.
        process.forget_arguments()
        fork_orphan(lambda: _make_sockets(theirs.fileno()))
    return ours


def answer(channel: _socket.socket, asked: bytes) -> None:
    """Answer a request with a socket of this process's network. Raises OSError if nobody listens any more."""
    try:
        made = _socket.socket(*KINDS[asked])
    except (OSError, KeyError):  # too many sockets, or no IPv6 here
        channel.send(REFUSED)
        return
    _send(channel, asked, [made], otherwise=REFUSED)


def bind_name_servers(addresses: Sequence[bytes]) -> list[_socket.socket]:
    """Give loopback the addresses of name servers, and return a UDP socket bound to the port of each.

    The caller passes them to send_name_servers(). Takes CAP_NET_ADMIN and CAP_NET_BIND_SERVICE over this
    process's network. An address that cannot be had is left out, such as one of IPv6 where there is none:
    whoever asks that server finds it unreachable.

    addresses: Packed.
    """
    bound = []
    for at, packed in enumerate(addresses):
        family = _socket.AF_INET if len(packed) == _IPV4_BYTES else _socket.AF_INET6
        with suppress(OSError):
            if packed not in _OF_LOOPBACK:
                namespaces.add_loopback_address(packed, at)
            made = _socket.socket(family, _socket.SOCK_DGRAM | _socket.SOCK_NONBLOCK)
            made.setsockopt(_socket.SOL_SOCKET, _socket.SO_RCVBUF, _WAITING_BYTES)  # before anybody asks
            try:
                _bind(made, (_socket.inet_ntop(family, packed), _DNS_PORT))
            except OSError:
                made.close()
                raise
            bound.append(made)
    return bound


def _bind(made: _socket.socket, address: tuple[str, int]) -> None:
    for _ in range(_TENTATIVE_POLLS):
        try:
            made.bind(address)
            return
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
        time.sleep(_TENTATIVE_POLL_S)
    raise OSError(errno.EADDRNOTAVAIL, "the address stays tentative")


def send_name_servers(channel: _socket.socket, bound: Sequence[_socket.socket]) -> None:
    """Send sockets that bind_name_servers() has made, and close them. Raises like answer()."""
    _send(channel, NAME_SERVERS, bound, otherwise=NAME_SERVERS)


def _send(channel: _socket.socket, what: bytes, made: Sequence[_socket.socket], *, otherwise: bytes) -> None:
    descriptors = b"".join(_DESCRIPTOR.pack(each.fileno()) for each in made)
    try:
        channel.sendmsg([what], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptors)] if made else [])
    except OSError:  # ETOOMANYREFS: this user has too many descriptors in flight
        channel.send(otherwise)
    finally:
        for each in made:
            each.close()


def _make_sockets(descriptor: int) -> None:
    # It has the command's uid and is outside its sandbox, so the command must not be able to inspect it.
    process.set_dumpable(False)
    capabilities.drop_all_but(())
    process.close_range_from(0, keep={descriptor})
    channel = _socket.socket(fileno=descriptor)
    while asked := channel.recv(REQUEST_BYTES):
        answer(channel, asked)
