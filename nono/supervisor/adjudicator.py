"""Decides what becomes of a system call that the child was stopped in: values in, verdict out."""

from __future__ import annotations

import errno
from ipaddress import IPv4Address
from typing import NamedTuple

from nono.policy.ports import LISTEN_PORT, PortGrants
from nono.policy.unix_sockets import UNIX_SOCKET, UNIX_SOCKET_BIND, UnixSocketRules, shown
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
    unix: UnixSocketRules = UnixSocketRules()


def loopback(port: int) -> InetAddress:
    return InetAddress(IPv4Address("127.0.0.1"), port)


NO_NETWORK = NetworkGrants(loopback(0))  # where no call of a socket is trapped


class Perform(NamedTuple):
    """Do it for the child, on a duplicate of its socket and with the address that was judged."""

    address: InetAddress
    rule: str  # what lets it


class PerformUnix(NamedTuple):
    """As Perform, on the very file that was examined."""

    path: str  # canonical
    rule: str


class Refuse(NamedTuple):
    """Answer with errno_value. The rest is for the audit log and for whoever asks why."""

    errno_value: int
    target: str
    port: int | None
    reason: str
    rule: str
    hint: str | None = None


Verdict = Perform | Refuse
NOT_EXAMINED = "what its path leads to was not examined"
FOREIGN_VIEW = (
    "the caller has another root, other namespaces or other rights than the command: "
    "its paths would mean something else"
)


def judge_connect(address: Address, grants: NetworkGrants) -> Verdict:
    """connect(2): the proxy at its very address, whatever else means it, and the ports granted beside it."""
    match address:
        case InetAddress() if address == grants.proxy:
            return Perform(address, PROXY_ONLY)
        case InetAddress():
            rule = grants.ports.to_connect(address.host, address.port)
            return _refuse_connect(address, grants.proxy) if rule is None else Perform(address, rule)
        case UnixAddress():
            return refuse_unix(address, NOT_EXAMINED)
        case AbstractUnixAddress() | UnnamedUnixAddress():
            return refuse_unix(address, _unnamed(address))
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
            return refuse_unix(address, NOT_EXAMINED)
        case AbstractUnixAddress() | UnnamedUnixAddress():
            return refuse_unix(address, _unnamed(address))
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


def judge_listen(local: Address, grants: NetworkGrants) -> Verdict | PerformUnix:
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
        case UnixAddress():
            # It has that path from us, or from whoever handed it in through a socket that was granted.
            return PerformUnix(str(local), UNIX_SOCKET_BIND)
        case AbstractUnixAddress() | UnnamedUnixAddress():
            return refuse_unix(local, _unnamed(local))
        case OtherAddress():
            reason = f"address family {local.family} is not one that a proxy-only run listens on"
    return Refuse(REFUSED_ADDRESS, str(local), None, reason, LISTEN_PORT)


def judge_unix(
    path: str, rules: UnixSocketRules, *, binds: bool, is_resolved: bool = True
) -> PerformUnix | Refuse:
    """connect(2) to a Unix socket, or bind(2) of one: path is what the kernel calls the file that was opened.

    Of what is not there it is as much as could be resolved, and the rest as it was spelled.
    """
    verdict = rules.judge(path, binds=binds, is_resolved=is_resolved)
    rule = UNIX_SOCKET_BIND if binds else UNIX_SOCKET
    if verdict.granted is not None:
        return PerformUnix(path, rule)
    return Refuse(REFUSED_ADDRESS, f"unix:{shown(path)}", None, verdict.reason, rule, verdict.hint)


def refuse_unix(address: Address, reason: str) -> Refuse:
    return Refuse(REFUSED_ADDRESS, str(address), None, reason, UNIX_SOCKET)


def _unnamed(address: AbstractUnixAddress | UnnamedUnixAddress) -> str:
    if isinstance(address, AbstractUnixAddress):
        return "abstract namespace is not covered by pathname capabilities"
    return "no pathname to authorize"


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
