"""Decides what becomes of a system call that the child was stopped in: values in, verdict out."""

from __future__ import annotations

import errno
from ipaddress import IPv4Address
from typing import NamedTuple

from nono.policy.ports import LISTEN_PORT, PortGrants
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
PROXY_ONLY, STATIC_FILTER = "network.proxy_only", "network.static_filter"


class NetworkGrants(NamedTuple):
    """What the child of a proxy-only run may do with sockets."""

    proxy: InetAddress
    ports: PortGrants = PortGrants()


def loopback(port: int) -> InetAddress:
    return InetAddress(IPv4Address("127.0.0.1"), port)


NO_NETWORK = NetworkGrants(loopback(0))  # where no call of a socket is trapped


class Perform(NamedTuple):
    """Do it for the child, on a duplicate of its socket and with the address that was judged."""

    address: InetAddress
    rule: str  # what lets it


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
    """connect(2): the proxy at its very address, whatever else means it, and the ports granted beside it."""
    match address:
        case InetAddress() if address == grants.proxy:
            return Perform(address, PROXY_ONLY)
        case InetAddress():
            rule = grants.ports.to_connect(address.host, address.port)
            return _refuse_connect(address, grants.proxy) if rule is None else Perform(address, rule)
        case UnixAddress():
            reason = "no matching unix_socket capability"
        case AbstractUnixAddress():
            reason = "abstract namespace is not covered by pathname capabilities"
        case UnnamedUnixAddress():
            reason = "no pathname to authorize"
        case OtherAddress():
            reason = f"address family {address.family} is not one that a proxy-only run connects to"
    return Refuse(REFUSED_ADDRESS, str(address), None, reason, PROXY_ONLY)


def _refuse_connect(address: InetAddress, proxy: InetAddress) -> Refuse:
    hint = "use HTTP_PROXY and HTTPS_PROXY, and `--allow-domain HOST` when the proxy refuses it"
    if address.host.is_loopback and address.port:
        hint = f"`--open-port {address.port}` for a service of this host"
    reason = f"direct connection to {address}: only the proxy at {proxy} can be reached"
    return Refuse(REFUSED_ADDRESS, str(address.host), address.port, reason, PROXY_ONLY, hint)


def judge_bind(address: Address, grants: NetworkGrants) -> Verdict:
    """bind(2): a granted TCP port, on any local address or on those of loopback."""
    match address:
        case InetAddress():
            rule = grants.ports.to_bind(address.host, address.port)
            return _refuse_bind(address) if rule is None else Perform(address, rule)
        case UnixAddress():
            reason = "no matching unix_socket_bind capability"
        case AbstractUnixAddress():
            reason = "abstract namespace is not covered by pathname capabilities"
        case UnnamedUnixAddress():
            reason = "no pathname to authorize"
        case OtherAddress():
            reason = f"address family {address.family} is not one that a proxy-only run binds"
    return Refuse(REFUSED_ADDRESS, str(address), None, reason, LISTEN_PORT)


def _refuse_bind(address: InetAddress) -> Refuse:
    flag = "--open-port" if address.host.is_loopback else "--listen-port"
    return Refuse(
        REFUSED_ADDRESS,
        str(address.host),
        address.port,
        f"port {address.port} is not granted for listening at {address.host}",
        LISTEN_PORT,
        f"`{flag} {address.port}`" if address.port else f"`{flag}` with a fixed port",
    )


def judge_listen(local: Address, grants: NetworkGrants) -> Verdict:
    """listen(2): on a socket bound to a granted port. On an unbound one the kernel would pick a port."""
    match local:
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
            rule = grants.ports.to_bind(local.host, local.port)
            return _refuse_bind(local) if rule is None else Perform(local, rule)
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
