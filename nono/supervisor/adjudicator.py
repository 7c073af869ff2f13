"""Decides what becomes of a system call that the child was stopped in: values in, verdict out."""

from __future__ import annotations

import errno
from ipaddress import IPv4Address
from typing import NamedTuple

from nono.supervisor.syscall_args import (
    AbstractUnixAddress,
    Address,
    InetAddress,
    OtherAddress,
    UnixAddress,
    UnnamedUnixAddress,
)

# EACCES is what Landlock answers where it decides, EPERM what the static filters answer: a program sees
# the same error whichever layer refused it.
REFUSED_ADDRESS = errno.EACCES
REFUSED_CALL = errno.EPERM

# The rules by name, as they stand in the audit log.
PROXY_ONLY, LISTEN_PORT, STATIC_FILTER = "network.proxy_only", "network.listen_port", "network.static_filter"


class NetworkGrants(NamedTuple):
    """What the child of a proxy-only run may do with sockets."""

    proxy: InetAddress
    listen_ports: frozenset[int] = frozenset()


class Perform(NamedTuple):
    """Do it for the child, on a duplicate of its socket and with the address that was judged."""

    address: InetAddress


class Refuse(NamedTuple):
    """Answer with errno_value. The rest is for the audit log and for whoever asks why."""

    errno_value: int
    target: str
    port: int | None
    reason: str
    rule: str
    hint: str | None = None


Verdict = Perform | Refuse


def judge_connect(address: Address, grants: NetworkGrants) -> Verdict:
    """connect(2): the proxy and nothing else. A name for it is no name: the address must be the same."""
    match address:
        case InetAddress() if address == grants.proxy:
            return Perform(address)
        case InetAddress():
            return Refuse(
                REFUSED_ADDRESS,
                str(address.host),
                address.port,
                f"direct connection to {address}: only the proxy at {grants.proxy} can be reached",
                PROXY_ONLY,
                "use HTTP_PROXY and HTTPS_PROXY, and `--allow-domain HOST` when the proxy refuses it",
            )
        case UnixAddress():
            reason = "no matching unix_socket capability"
        case AbstractUnixAddress():
            reason = "abstract namespace is not covered by pathname capabilities"
        case UnnamedUnixAddress():
            reason = "no pathname to authorize"
        case OtherAddress():
            reason = f"address family {address.family} is not one that a proxy-only run connects to"
    return Refuse(REFUSED_ADDRESS, str(address), None, reason, PROXY_ONLY)


def judge_bind(address: Address, grants: NetworkGrants) -> Verdict:
    """bind(2): a granted TCP port on any local address, as Landlock's own rule has it."""
    match address:
        case InetAddress() if address.port in grants.listen_ports:
            return Perform(address)
        case InetAddress():
            return Refuse(
                REFUSED_ADDRESS,
                str(address.host),
                address.port,
                f"port {address.port} is not granted for listening",
                LISTEN_PORT,
                f"--listen-port {address.port}" if address.port else "--listen-port with a fixed port",
            )
        case UnixAddress():
            reason = "no matching unix_socket_bind capability"
        case AbstractUnixAddress():
            reason = "abstract namespace is not covered by pathname capabilities"
        case UnnamedUnixAddress():
            reason = "no pathname to authorize"
        case OtherAddress():
            reason = f"address family {address.family} is not one that a proxy-only run binds"
    return Refuse(REFUSED_ADDRESS, str(address), None, reason, LISTEN_PORT)


def judge_listen(local: Address, grants: NetworkGrants) -> Verdict:
    """listen(2): on a socket bound to a granted port. On an unbound one the kernel would pick a port."""
    match local:
        case InetAddress() if local.port in grants.listen_ports:
            return Perform(local)
        case InetAddress(port=0):
            return Refuse(
                REFUSED_ADDRESS,
                str(local.host),
                None,
                "listen without bind: the kernel would choose a port that was not granted",
                LISTEN_PORT,
                "bind the socket to a port given with --listen-port first",
            )
        case InetAddress():
            reason = f"port {local.port} is not granted for listening"
        case UnixAddress() | AbstractUnixAddress() | UnnamedUnixAddress():
            reason = "no matching unix_socket_bind capability"
        case OtherAddress():
            reason = f"address family {local.family} is not one that a proxy-only run listens on"
    return Refuse(REFUSED_ADDRESS, str(local), None, reason, LISTEN_PORT)


def judge_send(address: Address) -> Refuse:
    """sendto(2) with a destination: no socket of a proxy-only run may name one at each send."""
    port = address.port if isinstance(address, InetAddress) else None
    target = str(address.host) if isinstance(address, InetAddress) else str(address)
    return Refuse(
        REFUSED_ADDRESS, target, port, f"a send to {address} that names its destination", PROXY_ONLY
    )


def refuse_call(call: str, reason: str) -> Refuse:
    """A call whose registers alone say no: a socket family, a flag, a foreign system call table."""
    return Refuse(REFUSED_CALL, call, None, reason, STATIC_FILTER)


def loopback(port: int) -> InetAddress:
    return InetAddress(IPv4Address("127.0.0.1"), port)
