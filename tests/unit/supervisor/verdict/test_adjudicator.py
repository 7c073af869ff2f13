"""The adjudicator grants the proxy's address and the listed ports, and nothing beside them."""

import errno
import struct
from collections.abc import Callable
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.policy.capability import Access, Grant
from nono.policy.files.unix_sockets import OWN_SOCKET, UNIX_SOCKET, UNIX_SOCKET_BIND, UnixSocketRules
from nono.policy.live.ports import LivePorts
from nono.policy.live.rule import LiveRule
from nono.policy.ports import CONNECT_PORT, LISTEN_PORT, OPEN_PORT, OWN_SERVER, KeptPort, PortGrants, united
from nono.policy.socket_grant import SocketGrant, SocketScope
from nono.supervisor.verdict.adjudicator import (
    BLOCKED,
    DENIED_PORT,
    KEPT_PORT,
    PROXY_ONLY,
    NetworkGrants,
    Perform,
    PerformUnix,
    Refuse,
    judge_bind,
    judge_connect,
    judge_family,
    judge_listen,
    judge_netlink,
    judge_unix,
    judge_unix_name,
    loopback,
    refuse_call,
)
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

PROXY = loopback(4000)
GRANTS = NetworkGrants(PROXY, PortGrants(listen=united([3000])))
OPEN = NetworkGrants(PROXY, PortGrants(open=united([], [(5000, 5009)]), connect=united([22])))


def inet(host: str, port: int) -> InetAddress:
    return InetAddress(ip_address(host), port)


addresses: st.SearchStrategy[Address] = st.one_of(
    st.builds(InetAddress, st.ip_addresses(), st.integers(0, 65535)),
    st.builds(UnixAddress, st.binary(min_size=1, max_size=108)),
    st.builds(AbstractUnixAddress, st.binary(max_size=107)),
    st.just(UnnamedUnixAddress()),
    st.builds(OtherAddress, st.integers(0, 65535)),
)


def test_the_proxy_is_reached() -> None:
    assert judge_connect(PROXY, GRANTS) == Perform(PROXY, PROXY_ONLY)


@pytest.mark.parametrize(
    "address",
    [
        pytest.param(inet("127.0.0.1", 4001), id="another port"),
        pytest.param(inet("127.0.0.2", 4000), id="another loopback address"),
        pytest.param(inet("0.0.0.0", 4000), id="the unspecified address, which means loopback"),
        pytest.param(inet("::1", 4000), id="IPv6 loopback"),
        pytest.param(inet("::127.0.0.1", 4000), id="IPv4-compatible"),
        pytest.param(inet("203.0.113.7", 4000), id="a remote host on the proxy's port"),
        pytest.param(inet("127.0.0.1", 3000), id="a port granted for listening"),
        pytest.param(UnixAddress(b"/var/run/docker.sock"), id="a Unix socket"),
        pytest.param(AbstractUnixAddress(b"/tmp/dbus-x"), id="an abstract socket"),
        pytest.param(UnnamedUnixAddress(), id="an unnamed socket"),
        pytest.param(OtherAddress(0), id="AF_UNSPEC"),
    ],
)
def test_nothing_beside_the_proxy_is_reached(address: Address) -> None:
    verdict = judge_connect(address, GRANTS)
    assert isinstance(verdict, Refuse)
    is_abstract = isinstance(address, AbstractUnixAddress)
    assert verdict.errno_value == (errno.ECONNREFUSED if is_abstract else errno.EACCES)
    assert verdict.reason


@pytest.mark.parametrize("rules", [UnixSocketRules(), UnixSocketRules(files=())], ids=["mediated", "left"])
def test_a_connect_to_an_abstract_name_is_answered_as_if_nobody_listened(rules: UnixSocketRules) -> None:
    grants = NetworkGrants(unix=rules)
    verdict = judge_unix_name(AbstractUnixAddress(b"/tmp/.X11-unix/X0"), grants, binds=False)
    assert isinstance(verdict, Refuse)
    assert verdict.errno_value == errno.ECONNREFUSED
    unnamed = judge_unix_name(UnnamedUnixAddress(), grants, binds=False)
    bound = judge_unix_name(AbstractUnixAddress(b"name"), NetworkGrants(unix=UnixSocketRules()), binds=True)
    for verdict, reason in ((unnamed, "no pathname"), (bound, "abstract namespace")):
        assert isinstance(verdict, Refuse)
        assert verdict.errno_value == errno.EACCES
        assert verdict.reason.startswith(reason)


def test_a_granted_port_is_served() -> None:
    performed = Perform(inet("0.0.0.0", 3000), LISTEN_PORT)
    assert judge_bind(inet("0.0.0.0", 3000), GRANTS) == performed
    assert judge_listen(inet("0.0.0.0", 3000), GRANTS) == performed


# None is mapped: what reads addresses makes IPv4 of such a one (syscall_args), and early releases of Python
# 3.12 do not take it for loopback.
LOOPBACK = ["127.0.0.1", "127.255.255.254", "::1"]
NOT_LOOPBACK = [
    "0.0.0.0",
    "::",
    "203.0.113.7",
    "2001:db8::1",
    "::127.0.0.1",
    "::ffff:203.0.113.7",
    "128.0.0.1",
]


@pytest.mark.parametrize("host", LOOPBACK)
@pytest.mark.parametrize("port", [5000, 5009])
def test_an_open_port_works_both_ways_on_loopback(host: str, port: int) -> None:
    address = inet(host, port)
    assert judge_connect(address, OPEN) == Perform(address, OPEN_PORT)
    assert judge_bind(address, OPEN) == judge_listen(address, OPEN) == Perform(address, OPEN_PORT)
    for beside in (4999, 5010):
        for judge in (judge_connect, judge_bind, judge_listen):
            assert isinstance(judge(inet(host, beside), OPEN), Refuse)


@pytest.mark.parametrize("host", NOT_LOOPBACK)
def test_an_open_port_is_nothing_at_any_other_address(host: str) -> None:
    for judge in (judge_connect, judge_bind, judge_listen):
        assert isinstance(judge(inet(host, 5000), OPEN), Refuse)


@pytest.mark.parametrize("host", [*LOOPBACK, *NOT_LOOPBACK])
def test_a_connect_port_opens_any_host_to_connections_only(host: str) -> None:
    address = inet(host, 22)
    assert judge_connect(address, OPEN) == Perform(address, CONNECT_PORT)
    assert isinstance(judge_bind(address, OPEN), Refuse)
    assert isinstance(judge_connect(inet(host, 23), OPEN), Refuse)


def test_a_refusal_on_loopback_names_the_port_to_open() -> None:
    verdict = judge_connect(inet("127.0.0.1", 5432), OPEN)
    assert isinstance(verdict, Refuse)
    assert verdict.hint == "`--open-port 5432` for a service of this host"
    bound = judge_bind(inet("0.0.0.0", 5000), OPEN)
    assert isinstance(bound, Refuse)
    assert bound.hint == "`--listen-port 5000`"


def test_a_refusal_of_port_0_says_what_can_be_granted() -> None:
    bound = judge_bind(inet("127.0.0.1", 0), OPEN)
    assert isinstance(bound, Refuse)
    assert bound.hint is not None
    assert bound.hint.endswith("grant it: --open-port PORT or FIRST-LAST")


def test_an_unbound_socket_is_not_listened_on_although_a_port_is_granted() -> None:
    verdict = judge_listen(inet("0.0.0.0", 0), GRANTS)
    assert isinstance(verdict, Refuse)
    assert "listen without bind" in verdict.reason


@given(addresses)
def test_without_grants_nothing_is_bound_or_listened_on(address: Address) -> None:
    grants = NetworkGrants(PROXY)
    assert isinstance(judge_bind(address, grants), Refuse)
    # A socket has a path from an earlier bind, which had a verdict of its own.
    assert isinstance(judge_listen(address, grants), Refuse) != isinstance(address, UnixAddress)


@given(addresses)
def test_a_verdict_to_act_carries_the_very_address_that_was_judged(address: Address) -> None:
    for judge in (judge_connect, judge_bind, judge_listen):
        verdict = judge(address, GRANTS)
        if isinstance(verdict, Perform):
            assert verdict.address == address


def test_a_listener_refuses_registers_as_the_static_filter_does() -> None:
    assert refuse_call("socket(family=16)", "why").errno_value == errno.EPERM


def test_a_denied_port_is_refused_whatever_grants_it() -> None:
    live = LivePorts(PortGrants(listen=united([5000]), open=united([5000, 5001]), connect=united([5000])))
    live.put([LiveRule("0", "deny", "port", "5000", Access.READ, "a person", 0, None)])
    grants = NetworkGrants(PROXY, live, own_servers=True)
    for judge in (judge_connect, judge_bind, judge_listen):
        assert isinstance(judge(inet("127.0.0.1", 5001), grants), Perform)
        for host in ("127.0.0.1", "::1", "0.0.0.0", "::"):
            verdict = judge(inet(host, 5000), grants)
            assert isinstance(verdict, Refuse)
            assert (verdict.rule, verdict.errno_value) == (DENIED_PORT, errno.EACCES)
            assert verdict.reason == f"port 5000 at {host} is denied by nono deny, by a person"


@pytest.mark.parametrize("judge", [judge_bind, judge_listen])
@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "0.0.0.0"])
def test_nobody_listens_where_nono_asks_whatever_grants_it(
    judge: Callable[[Address, NetworkGrants], object], host: str
) -> None:
    """The kernel chooses a port at a bind to any; then the listen is judged."""
    ports = PortGrants(listen=united([5000, 5001]), open=united([5000, 5001]))
    grants = NetworkGrants(PROXY, ports, kept_ports=(KeptPort(5000, "sends a key"),), own_servers=True)
    assert isinstance(judge(inet(host, 5001), grants), Perform)
    verdict = judge(inet(host, 5000), grants)
    assert isinstance(verdict, Refuse)
    assert (verdict.rule, verdict.errno_value, verdict.port) == (KEPT_PORT, errno.EACCES, 5000)
    assert verdict.reason.startswith("nono itself sends a key on port 5000 of this machine")
    assert isinstance(judge_connect(inet("127.0.0.1", 5000), grants), Perform)


def test_no_denial_keeps_the_command_from_its_proxy() -> None:
    live = LivePorts(PortGrants())
    live.put([LiveRule("0", "deny", "port", "*:4000", Access.READ, "a person", 0, None)])
    assert judge_connect(PROXY, NetworkGrants(PROXY, live)) == Perform(PROXY, PROXY_ONLY)


@pytest.mark.parametrize(
    ("judge", "beside"),
    [
        (judge_bind, ("127.0.0.1", 80)),
        (judge_bind, ("192.0.2.7", 80)),
        (judge_listen, ("127.0.0.1", 80)),
        (judge_listen, ("192.0.2.7", 5000)),  # a bind to it is narrowed, so this socket was handed in
    ],
)
def test_an_own_server_is_one_on_loopback_at_a_port_of_no_service(
    judge: Callable[[Address, NetworkGrants], object], beside: tuple[str, int]
) -> None:
    grants = NetworkGrants(PROXY, own_servers=True)
    own = inet("127.0.0.1", 5000)
    assert judge(own, grants) == Perform(own, OWN_SERVER)
    assert isinstance(judge(inet(*beside), grants), Refuse)


def test_a_server_at_another_address_is_one_of_its_own_until_a_grant_names_the_port() -> None:
    """The bind is narrowed to loopback then, and otherwise made where it was asked for."""
    asked = inet("192.0.2.7", 5000)
    grants = NetworkGrants(PROXY, own_servers=True)
    assert judge_bind(asked, grants) == Perform(asked, OWN_SERVER)
    granted = grants._replace(ports=PortGrants(listen=united([5000])))
    assert judge_bind(asked, granted) == Perform(asked, LISTEN_PORT)


def test_a_granted_port_is_listened_on_by_its_grant_although_the_command_may_serve_itself() -> None:
    granted = inet("127.0.0.1", 3000)
    assert judge_listen(granted, GRANTS._replace(own_servers=True)) == Perform(granted, LISTEN_PORT)


@pytest.mark.parametrize("rules", [UnixSocketRules(files=()), UnixSocketRules()], ids=["open", "mediated"])
def test_the_rule_of_a_unix_socket_says_whether_it_was_bound(rules: UnixSocketRules) -> None:
    assert judge_unix("/run/x.sock", rules, binds=True).rule == UNIX_SOCKET_BIND
    assert judge_unix("/run/x.sock", rules, binds=False).rule == UNIX_SOCKET
    unscoped = NetworkGrants(unix=UnixSocketRules(files=()), reaches_abstract=True)
    for binds, rule in ((True, UNIX_SOCKET_BIND), (False, UNIX_SOCKET)):
        assert judge_unix_name(AbstractUnixAddress(b"name"), unscoped, binds=binds).rule == rule


def test_a_socket_of_the_commands_own_is_allowed_by_no_grant() -> None:
    """The rule says so in the report; without mediation all of them are reached, whoever has bound them."""
    held = Grant("/run", Access.READWRITE, True, "user", "/run")
    granted = SocketGrant("/run/x.sock", SocketScope.FILE, True, "user", "/run/x.sock")
    for grants, files, rule in (
        ((), None, OWN_SOCKET),
        ((), (held,), UNIX_SOCKET),
        ((granted,), None, UNIX_SOCKET),
    ):
        rules = UnixSocketRules(grants, files=files)
        assert judge_unix("/run/x.sock", rules, binds=False, is_own=True).rule == rule


def test_without_a_proxy_the_port_is_what_can_be_granted() -> None:
    remote = inet("203.0.113.7", 5432)
    without, beside = judge_connect(remote, NetworkGrants()), judge_connect(remote, GRANTS)
    assert isinstance(without, Refuse)
    assert isinstance(beside, Refuse)
    assert (without.rule, without.hint) == (BLOCKED, "`--allow-connect-port 5432`")
    assert beside.rule == PROXY_ONLY
    assert "--allow-domain" in str(beside.hint)


@pytest.mark.parametrize("name", [AbstractUnixAddress(b"name"), UnnamedUnixAddress()])
def test_a_name_without_a_path_is_bound_unmediated_and_reached_unscoped(
    name: AbstractUnixAddress | UnnamedUnixAddress,
) -> None:
    left = NetworkGrants(unix=UnixSocketRules(files=()))
    assert isinstance(judge_unix_name(name, left, binds=True), PerformUnix)
    assert isinstance(judge_unix_name(name, left, binds=False), Refuse)
    unscoped = left._replace(reaches_abstract=True)
    assert isinstance(judge_unix_name(name, unscoped, binds=False), PerformUnix)
    mediated = unscoped._replace(unix=UnixSocketRules())
    for binds in (True, False):
        assert isinstance(judge_unix_name(name, mediated, binds=binds), Refuse)


@pytest.mark.parametrize(
    ("port", "groups", "connects", "binds"),
    [
        pytest.param(0, 0, True, True, id="the kernel, or any port"),
        pytest.param(1, 0, False, True, id="the first port"),
        pytest.param(0xFF00_0000, 0, False, True, id="a port that the kernel chose"),
        pytest.param(0, 1, False, False, id="the first group"),
        pytest.param(0, 1 << 31, False, False, id="the last group"),
    ],
)
def test_netlink_leads_root_to_the_kernel_alone(port: int, groups: int, connects: bool, binds: bool) -> None:
    ignored = 0xFFFF, b"\xff"  # the padding, and what follows
    sockaddr = struct.pack("=HHII", AF_NETLINK, ignored[0], port, groups) + ignored[1]
    assert (judge_netlink(sockaddr, binds=False, is_root=True) is None) == connects
    assert (judge_netlink(sockaddr, binds=True, is_root=True) is None) == binds
    assert judge_netlink(sockaddr, binds=False, is_root=False) is None  # the kernel asks for the capability
    for family in (AF_INET, AF_NETLINK | 0x100):
        other = struct.pack("=HHII", family, 0, port, groups)
        assert judge_netlink(other, binds=False, is_root=True) is None


@given(st.integers(0, 65535))
def test_an_open_network_serves_ip_and_netlink_alone(family: int) -> None:
    assert (judge_family(family) is None) == (family in (AF_INET, AF_INET6, AF_NETLINK))
    assert all(judge_family(served) is None for served in (AF_INET, AF_INET6, AF_NETLINK))
