"""Judge UDP sockets, which a command gets in a network where nobody else is."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from nono.supervisor.verdict.adjudicator import Refuse
from nono.supervisor.verdict.syscall_args import (
    AF_INET,
    AF_INET6,
    SOCK_DGRAM,
    Address,
    InetAddress,
    socket_kind,
)

OWN_DATAGRAMS = "network.own_datagrams"  # the name of the rule in the audit log
DNS = 53
_PROTOCOLS = 0, 17  # the default one of this type, and IPPROTO_UDP
# What a host without a network answers, for which programs are prepared.
UNREACHABLE = errno.ENETUNREACH
_LOOK_UP_HINT = (
    "A program that looks names up has to leave that to the proxy: use a client that reads HTTPS_PROXY, or "
    "for ssh what GIT_SSH_COMMAND holds. Node's fetch does from 22.21 and 24.0 on (NODE_USE_ENV_PROXY, which "
    "is set); with an older Node take undici's EnvHttpProxyAgent"
)
_OWN_RESOLVER_HINT = (
    "In a run with a proxy the C library looks names up by TCP; a program with a resolver of its own (Go "
    "without cgo, musl) has to leave that to the proxy: use a client that reads HTTPS_PROXY"
)
_SERVERS_HINT = (
    "A program that brings name servers of its own has to take those of this machine. If that has "
    "joined another network meanwhile, start the run again"
)
_UDP_HINT = (
    "UDP reaches nobody but the command itself. Many programs only try it, for HTTP/3 or to learn this "
    "machine's address, and work without"
)

_WITHOUT_NAMESPACES = "in this run, which has no namespaces of its own"
NOT_MADE = "in this run, for which no network of its own could be made"
MADE_INSIDE = "in a network that the command itself has made, as Bubblewrap does"


def refused_hint(where: str = _WITHOUT_NAMESPACES) -> str:
    """Explain a refused UDP socket. where: In which case there is none; one of the constants above.

    Most UDP packets are DNS queries, but many programs only try such a socket: that is said first.
    """
    by_names = _OWN_RESOLVER_HINT if where == _WITHOUT_NAMESPACES else _LOOK_UP_HINT
    return (
        f"UDP is closed {where}. A program that only tries it works without: curl for IPv6 and HTTP/3, "
        f"Ansible for its own address. {by_names}"
    )


def is_udp_socket(args: Sequence[int]) -> bool:
    """Return True for socket(2) of UDP, from its registers."""
    family, kind, protocol = socket_kind(args)
    return family in (AF_INET, AF_INET6) and kind == SOCK_DGRAM and protocol in _PROTOCOLS


def judge_connect(address: Address) -> Refuse | None:
    """Refuse what leads to another host; None for what a socket in that network may serve.

    Nobody would be reached there either: the refusal is for the audit log and for who reads it.
    """
    if not isinstance(address, InetAddress) or address.port == DNS:
        return None
    if address.host.is_loopback or address.host.is_unspecified:
        return None
    return _unreachable("udp", address, "UDP does not leave the sandbox", _UDP_HINT)


def no_name_server(address: Address) -> Refuse | None:
    """Refuse a name server that has no address in that network; None for any other address."""
    if not isinstance(address, InetAddress) or address.port != DNS:
        return None
    return _unreachable(
        "dns",
        address,
        "only the name servers that /etc/resolv.conf had at first answer inside",
        _SERVERS_HINT,
    )


def _unreachable(scheme: str, address: InetAddress, reason: str, hint: str) -> Refuse:
    host = f"[{address.host}]" if address.host.version == 6 else str(address.host)
    return Refuse(UNREACHABLE, f"{scheme}:{host}", address.port, reason, OWN_DATAGRAMS, hint)
