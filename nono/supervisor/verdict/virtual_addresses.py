"""Give each host that the command looks up an address, by which a connect says which host is meant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address

from nono.named_tuple import NamedTuple
from nono.policy.hosts.host_filter import BUILT_IN, Refuse
from nono.policy.hosts.hostname import HostError, canonical_host, ip_literal
from nono.sandbox.plan.virtual_network import FIRST_ADDRESS, NETMASK
from nono.supervisor.verdict.dns_message import AAAA, NAME_ERROR, NO_ERROR, REFUSED, A, Query
from nono.supervisor.verdict.syscall_args import InetAddress

NETWORK = IPv4Network(f"{FIRST_ADDRESS}/{NETMASK}", strict=False)
NAMES_MAX = 16_384  # of one run; below a wildcard there are any number
_TOO_MANY = Refuse(f"the run has looked up {NAMES_MAX:,} hosts: no more get an address", None, BUILT_IN, None)
_DOMAIN_LABELS_MAX = 8  # of a search domain: each label costs a verdict
_LOCALHOST = IPv4Address("127.0.0.1")

NamesByAddress = Mapping[IPv4Address | IPv6Address, tuple[str, ...]]  # names in lower case
# Of a canonical name, never an address; None: it may be reached on some port.
JudgeLookUp = Callable[[str], Refuse | None]


class Refused(NamedTuple):
    """A name that no rule lets the command reach."""

    name: str
    refusal: Refuse


class Answered(NamedTuple):
    """The answer to a query."""

    code: int  # of nono.supervisor.verdict.dns_message
    address: bytes | None = None
    host: str | None = None  # that a virtual address stands for
    refused: Refused | None = None  # to be recorded


class Destination(NamedTuple):
    """The host and the port that a connect to a virtual address means."""

    host: str
    port: int


class VirtualAddresses:
    """The names that one run has looked up, each with an address for the whole run.

    No name server is ever asked. A name may be refused later: its rules are asked again for each connection.
    """

    def __init__(
        self, judge: JudgeLookUp, own_name: str, listed: Callable[[], NamesByAddress] = dict
    ) -> None:
        """Begin without any.

        own_name: The name of this machine (uname(2)), which programs look up to learn its address.
        listed: Reads the names that have an address without a look-up (hosts(5)); asked once.
        """
        self._judge = judge
        self._listed = cache(listed)
        self._own_names = {"localhost", own_name.lower()}
        self._addresses: dict[str, IPv4Address] = {}
        self._hosts: dict[IPv4Address | IPv6Address, str] = {}
        self._refused: set[str] = set()
        self._free = NETWORK.hosts()

    def look_up(self, query: Query) -> Answered:
        """Answer with the address of a host that may be reached; no other type of record exists.

        The answer for any other name is that there is none.
        """
        name = "" if query.name is None else query.name.lower()
        if name in self._own_names or name.endswith(".localhost"):
            return Answered(NO_ERROR, _LOCALHOST.packed if query.kind == A else None)
        if not _is_host_name(name):
            return Answered(NAME_ERROR)
        refusal = self._judge(name)
        if refusal is not None:
            refused = Refused(name, refusal) if self._is_news(name, query.kind) else None
            return Answered(NAME_ERROR, refused=refused)
        if query.kind != A:
            return Answered(NO_ERROR)
        address = self._addresses.get(name) or self._assign(name)
        if address is None:
            return Answered(REFUSED, refused=Refused(name, _TOO_MANY))
        return Answered(NO_ERROR, address.packed, name)

    def destination(self, address: InetAddress) -> Destination | None:
        """Return the host that a connect to the address means; None if it stands for none.

        That is the host which has been given the address here, or has it in hosts(5) and may be reached.
        """
        host = self._hosts.get(address.host) or self._listed_at(address.host)
        return None if host is None else Destination(host, address.port)

    def _listed_at(self, address: IPv4Address | IPv6Address) -> str | None:
        if address.is_loopback or address.is_unspecified:
            return None  # a port of this machine; lists of hosts to be blocked give them such addresses
        names = filter(_is_host_name, self._listed().get(address, ()))
        return next((name for name in names if self._judge(name) is None), None)

    def _assign(self, name: str) -> IPv4Address | None:
        if len(self._addresses) >= NAMES_MAX:
            return None
        address = self._addresses[name] = next(self._free)
        self._hosts[address] = name
        return address

    def _is_news(self, name: str, kind: int) -> bool:
        """Return False for a name that a resolver made of another one, by appending a search domain.

        And for one that was asked for an IPv4 address before, as resolvers do for each name.
        """
        if kind != A and (kind != AAAA or name in self._refused):
            return False
        if any(each in self._refused or self._judge(each) is None for each in _shortened(name)):
            return False
        if len(self._refused) < NAMES_MAX:
            self._refused.add(name)
        return True


def _is_host_name(name: str) -> bool:
    """Return True for the canonical name of a host: no address, and nothing that may be read as one."""
    try:
        return canonical_host(name) == name and ip_literal(name) is None
    except HostError:
        return False


def _shortened(name: str) -> Iterator[str]:
    """Yield the host names that are left of `name` without a search domain, as long as they have a dot."""
    for _ in range(_DOMAIN_LABELS_MAX):
        name = name.rpartition(".")[0]
        if "." not in name:
            return
        if _is_host_name(name):
            yield name
