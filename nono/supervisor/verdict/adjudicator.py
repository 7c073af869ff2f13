"""Judge a trapped system call: values in, verdict out."""

from __future__ import annotations

import errno
from ipaddress import IPv4Address
from sys import byteorder

from nono.named_tuple import NamedTuple
from nono.policy.files.unix_sockets import (
    OWN_SOCKET,
    UNIX_SOCKET,
    UNIX_SOCKET_BIND,
    UnixSocketPolicy,
    UnixSocketRules,
    shown,
)
from nono.policy.ports import LISTEN_PORT, OWN_SERVER, KeptPort, PortGrants, PortPolicy
from nono.supervisor.verdict.own_servers import may_serve, narrowed
from nono.supervisor.verdict.syscall_args import (
    AF_INET,
    AF_INET6,
    AF_NETLINK,
    AbstractUnixAddress,
    Address,
    InetAddress,
    OtherAddress,
    UnixAddress,
    UnnamedUnixAddress,
)

# Landlock answers EACCES where it decides, the static filters EPERM: a program sees the same error
# whichever layer refused it.
REFUSED_ADDRESS = errno.EACCES
REFUSED_CALL = errno.EPERM
# The answer where nobody listens: clients of X11 then try the socket that has a path (ADR 115).
REFUSED_ABSTRACT = errno.ECONNREFUSED

# The names of the rules in the audit log.
PROXY_ONLY, BLOCKED, STATIC_FILTER = "network.proxy_only", "network.block", "network.static_filter"
DENIED_PORT = "nono deny"
KEPT_PORT = "network.kept_port"


class NetworkGrants(NamedTuple):
    """The socket operations that the command is granted when the supervisor makes its connections."""

    proxy: InetAddress | None = None
    ports: PortPolicy = PortGrants()
    unix: UnixSocketPolicy = UnixSocketRules()
    is_open: bool = False  # the network is not restricted, and only Unix sockets are judged
    kept_ports: tuple[KeptPort, ...] = ()  # of this machine, where nono asks somebody: nobody listens there
    own_servers: bool = False  # the command may serve loopback and connect to its own servers there
    reaches_abstract: bool = False  # abstract Unix sockets may be reached, whoever listens on them


def loopback(port: int) -> InetAddress:
    return InetAddress(IPv4Address("127.0.0.1"), port)


class Perform(NamedTuple):
    """Perform the call for the command, on a duplicate of its socket and with the address that was judged."""

    address: InetAddress
    rule: str  # the rule that allows it


class PerformUnix(NamedTuple):
    """Perform the call for the command, on the very file that was examined."""

    path: str  # canonical
    rule: str


class Refuse(NamedTuple):
    """Answer with errno_value. The other fields are for the audit log and `nono why`."""

    errno_value: int
    target: str
    port: int | None
    reason: str
    rule: str
    hint: str | None = None


Verdict = Perform | Refuse
# The families served if only Unix sockets are judged. With others, root's command could use capabilities of
# the supervisor that it has itself lost.
OPEN_FAMILIES = frozenset({AF_INET, AF_INET6, AF_NETLINK})
NOT_EXAMINED = "what its path leads to was not examined"
FOREIGN_VIEW = (
    "the caller has another root, other namespaces or other rights than the command: "
    "its paths would mean something else"
)


def judge_connect(address: Address, grants: NetworkGrants) -> Verdict:
    """Judge connect(2): allow the proxy at its exact address, and the ports granted beside it."""
    match address:
        case InetAddress() if address == grants.proxy:
            return Perform(address, PROXY_ONLY)
        case InetAddress():
            if (denier := grants.ports.denied(address.host, address.port)) is not None:
                return _denied_port(address, denier)
            rule = grants.ports.to_connect(address.host, address.port)
            return _refuse_connect(address, grants) if rule is None else Perform(address, rule)
        case UnixAddress():
            return refuse_unix(address, NOT_EXAMINED)
        case AbstractUnixAddress() | UnnamedUnixAddress():
            return _refuse_connect_by_name(address)
        case OtherAddress():
            reason = f"address family {address.family} is not one that a proxy-only run connects to"
    return Refuse(REFUSED_ADDRESS, str(address), None, reason, PROXY_ONLY)


def _refuse_connect(address: InetAddress, grants: NetworkGrants) -> Refuse:
    hint = "use HTTP_PROXY and HTTPS_PROXY, and `--allow-domain HOST` when the proxy refuses it"
    reason = f"direct connection to {address}: only the proxy at {grants.proxy} can be reached"
    rule = PROXY_ONLY
    if grants.proxy is None:
        hint = f"`--allow-connect-port {address.port}`"
        reason, rule = f"connection to {address}: neither the port nor the address is granted", BLOCKED
    if address.host.is_loopback and address.port:
        hint = f"`--open-port {address.port}` for a service of this host"
    return Refuse(REFUSED_ADDRESS, str(address.host), address.port, reason, rule, hint)


def judge_bind(address: Address, grants: NetworkGrants) -> Verdict:
    """Judge bind(2): allow a granted TCP port, on any local address or on loopback only.

    With the rule OWN_SERVER the address, if this host has it, is to be narrowed to loopback
    (own_servers.narrowed).
    """
    match address:
        case InetAddress():
            if (refusal := _refuse_denied_bind(address, grants)) is not None:
                return refusal
            rule = grants.ports.to_bind(address.host, address.port)
            if rule is None and grants.own_servers and may_serve(narrowed(address)):
                rule = OWN_SERVER
            return _refuse_bind(address) if rule is None else Perform(address, rule)
        case UnixAddress():
            return refuse_unix(address, NOT_EXAMINED)
        case AbstractUnixAddress() | UnnamedUnixAddress():
            return refuse_unix(address, _unnamed(address))
        case OtherAddress():
            reason = f"address family {address.family} is not one that a proxy-only run binds"
    return Refuse(REFUSED_ADDRESS, str(address), None, reason, LISTEN_PORT)


def _refuse_denied_bind(address: InetAddress, grants: NetworkGrants) -> Refuse | None:
    denier = grants.ports.denied_to_bind(address.host, address.port)
    if denier is not None:
        return _denied_port(address, denier)
    for port, use, _ in grants.kept_ports:
        if port == address.port:
            reason = f"nono itself {use} on port {port} of this machine: the command never listens there"
            return Refuse(REFUSED_ADDRESS, str(address.host), port, reason, KEPT_PORT)
    return None


def _denied_port(address: InetAddress, denier: str) -> Refuse:
    reason = f"port {address.port} at {address.host} is denied by {denier}"
    return Refuse(REFUSED_ADDRESS, str(address.host), address.port, reason, DENIED_PORT)


def _refuse_bind(address: InetAddress) -> Refuse:
    flag = "--open-port" if address.host.is_loopback else "--listen-port"
    return Refuse(
        REFUSED_ADDRESS,
        str(address.host),
        address.port,
        f"port {address.port} is not granted for listening at {address.host}",
        LISTEN_PORT,
        f"`{flag} {address.port}`"
        if address.port
        else f"bind a fixed port instead of any free one, and grant it: {flag} PORT or FIRST-LAST",
    )


def judge_listen(local: Address, grants: NetworkGrants) -> Verdict | PerformUnix:
    """Judge listen(2): allow a socket bound to a granted port.

    For an unbound one the kernel would pick a port.
    """
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
            if (refusal := _refuse_denied_bind(local, grants)) is not None:
                return refusal
            rule = grants.ports.to_bind(local.host, local.port)
            if rule is None and grants.own_servers and may_serve(local):
                rule = OWN_SERVER
            return _refuse_bind(local) if rule is None else Perform(local, rule)
        case UnixAddress():
            # We bound it to that path, or it was passed in through a socket that was granted.
            return PerformUnix(str(local), UNIX_SOCKET_BIND)
        case AbstractUnixAddress() | UnnamedUnixAddress() if grants.unix.files is not None:
            return PerformUnix(str(local), UNIX_SOCKET_BIND)  # not mediated; without a name it is EINVAL
        case AbstractUnixAddress() | UnnamedUnixAddress():
            return refuse_unix(local, _unnamed(local))
        case OtherAddress():
            reason = f"address family {local.family} is not one that a proxy-only run listens on"
    return Refuse(REFUSED_ADDRESS, str(local), None, reason, LISTEN_PORT)


def refuse_moved(local: InetAddress) -> Refuse:
    """Refuse listen(2) of a socket that has lost the port that was judged."""
    reason = f"the socket no longer has port {local.port}: the kernel would choose one that was not judged"
    return Refuse(REFUSED_ADDRESS, str(local.host), local.port, reason, LISTEN_PORT)


def judge_unix(
    path: str,
    rules: UnixSocketPolicy,
    *,
    binds: bool,
    is_resolved: bool = True,
    is_own: bool = False,
    is_dead: bool = False,
) -> PerformUnix | Refuse:
    """Judge connect(2) to a Unix socket, or bind(2) of one. The flags are those of the rules.

    path: The kernel's name of the opened file. For a missing file, the resolved part followed by the rest
    as spelled.
    """
    verdict = rules.judge(path, binds=binds, is_resolved=is_resolved, is_own=is_own, is_dead=is_dead)
    rule = UNIX_SOCKET_BIND if binds else UNIX_SOCKET
    if verdict.is_allowed and verdict.grant is None and rules.files is None:
        rule = OWN_SOCKET
    if verdict.is_allowed:
        return PerformUnix(path, rule)
    return Refuse(REFUSED_ADDRESS, f"unix:{shown(path)}", None, verdict.reason, rule, verdict.hint)


def judge_unix_name(
    address: AbstractUnixAddress | UnnamedUnixAddress, grants: NetworkGrants, *, binds: bool
) -> PerformUnix | Refuse:
    """Judge a Unix socket without a path: refused if mediated; connect also if abstract sockets are scoped.

    Landlock's scope restricts the command but not the supervisor, which cannot tell who listens on a name.
    """
    if grants.unix.files is not None and (binds or grants.reaches_abstract):
        return PerformUnix(str(address), UNIX_SOCKET_BIND if binds else UNIX_SOCKET)
    return refuse_unix(address, _unnamed(address)) if binds else _refuse_connect_by_name(address)


def judge_family(family: int) -> Refuse | None:
    """Judge a socket of an unrestricted network: None if its calls can be made for the command."""
    if family in OPEN_FAMILIES:
        return None
    reason = f"sockets of family {family} cannot be served while Unix sockets are mediated"
    return Refuse(REFUSED_ADDRESS, f"family={family}", None, reason, STATIC_FILTER)


def judge_netlink(sockaddr: bytes, *, binds: bool, is_root: bool) -> Refuse | None:
    """Judge connect(2) or bind(2) of a netlink socket on an open network. None: allowed.

    Refuses any use of CAP_NET_ADMIN, which the supervisor still has and root's command has lost: sending to
    groups, and to or from ports other than the kernel's. struct sockaddr_nl (netlink(7)): family, padding,
    port, groups.
    """
    family, others = int.from_bytes(sockaddr[:2], byteorder), sockaddr[8 if binds else 4 : 12]
    if not (is_root and family == AF_NETLINK and any(others)):
        return None
    reason = "the groups of netlink are for CAP_NET_ADMIN, which the command does not have"
    return Refuse(REFUSED_CALL, f"family={family}", None, reason, STATIC_FILTER)


def refuse_unix(address: Address, reason: str) -> Refuse:
    return Refuse(REFUSED_ADDRESS, str(address), None, reason, UNIX_SOCKET)


def _refuse_connect_by_name(address: AbstractUnixAddress | UnnamedUnixAddress) -> Refuse:
    refusal = refuse_unix(address, _unnamed(address))
    is_abstract = isinstance(address, AbstractUnixAddress)
    return refusal._replace(errno_value=REFUSED_ABSTRACT) if is_abstract else refusal


def _unnamed(address: AbstractUnixAddress | UnnamedUnixAddress) -> str:
    if isinstance(address, AbstractUnixAddress):
        return "abstract namespace is not covered by pathname capabilities"
    return "no pathname to authorize"


def refuse_call(call: str, reason: str) -> Refuse:
    """Refuse a call by its registers alone: a socket family, a flag, a foreign system call table."""
    return Refuse(REFUSED_CALL, call, None, reason, STATIC_FILTER)
