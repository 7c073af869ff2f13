"""nono.control.layers: what is said of a rule that a run cannot take."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from nono.control.layers import Endpoints, Files, Hosts, NoFiles, NoHosts
from nono.policy.capability import Access, CapabilitySet, Denial, Grant, NetworkMode, Scopes, Wsl2ProxyPolicy
from nono.policy.endpoints.policy import EndpointPolicy, EndpointRule
from nono.policy.files.denials import DenyRules
from nono.policy.files.grants import GrantTable
from nono.policy.files.path_verdict import FilePolicy
from nono.policy.hosts.host_filter import HostFilter, parse_rule
from nono.policy.hosts.live_hosts import LiveHosts
from nono.policy.live.endpoints import LiveEndpoints
from nono.policy.live.paths import LivePaths
from nono.policy.live.ports import LivePorts
from nono.policy.live.rule import Decision, LiveRule, Wanted
from nono.policy.ports import PortGrants, united


@pytest.mark.parametrize(
    ("access", "options"),
    [
        (Access.READ, "--read-file /srv/a (--read for a directory)"),
        (Access.READWRITE, "--allow-file /srv/a (--allow for a directory)"),
    ],
)
def test_the_option_for_the_next_run_fits_a_file(access: Access, options: str) -> None:
    held = CapabilitySet((), (), NetworkMode.ALLOWED, Scopes(), Wsl2ProxyPolicy.ERROR, "/")
    refused = NoFiles(held).refusal(Wanted("allow", "path", "/srv/a", access, None))
    assert refused is not None
    assert options in str(refused.hint)


@pytest.mark.parametrize(
    ("denied", "said"),
    [
        pytest.param("/srv/a", "Landlock takes nothing back", id="granted"),
        pytest.param("/srv/a/b", "Landlock takes nothing back", id="below a grant"),
        pytest.param("/srv", "Landlock takes nothing back", id="above a grant"),
        pytest.param("/srv/ab", "is not granted to this run", id="beside a grant"),
    ],
)
def test_a_denial_that_landlock_could_not_hold_is_refused_as_such(denied: str, said: str) -> None:
    granted = (Grant("/srv/a", Access.READ, True, "user", "/srv/a"),)
    held = CapabilitySet(granted, (), NetworkMode.ALLOWED, Scopes(), Wsl2ProxyPolicy.ERROR, "/")
    refused = NoFiles(held).refusal(Wanted("deny", "path", denied, Access.READ, None))
    assert refused is not None
    assert said in refused.reason


def test_no_option_is_named_for_a_host_that_an_open_network_reaches_already() -> None:
    refused = NoHosts(NetworkMode.ALLOWED).refusal(Wanted("allow", "host", "a.test", Access.READ, None))
    assert refused is not None
    assert "reaches every host already" in refused.reason
    assert refused.hint is None


@pytest.mark.parametrize(
    ("mode", "decision", "option"),
    [
        (NetworkMode.ALLOWED, "deny", "--deny-domain a.test"),
        (NetworkMode.BLOCKED, "allow", "--allow-domain a.test"),
        (NetworkMode.BLOCKED, "deny", "--deny-domain a.test"),
    ],
)
def test_the_option_for_the_next_run_is_named_for_a_host(
    mode: NetworkMode, decision: Decision, option: str
) -> None:
    refused = NoHosts(mode).refusal(Wanted(decision, "host", "a.test", Access.READ, None))
    assert refused is not None
    assert option in str(refused.hint)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("localhost:3000", None),
        ("93.184.216.34", None),
        ("a.test", "is allowed already: no rule restricts hosts"),
        ("b.test", "host b.test is in the deny list, and a denial beats every grant"),
        ("100.100.100.200", "belongs to a cloud metadata service"),
        ("169.254.169.254", "host 169.254.169.254 is in the deny list, and a denial beats every grant"),
    ],
)
def test_a_host_is_added_where_that_opens_it(target: str, said: str | None) -> None:
    """Where no list restricts hosts, this machine and addresses are refused all the same."""
    live = LiveHosts(HostFilter(None, deny=(parse_rule("b.test", "--deny-domain"),)))
    refused = Hosts(live, lambda: 0, None).refusal(Wanted("allow", "host", target, Access.READ, None))
    if said is None:
        assert refused is None
    else:
        assert refused is not None
        assert said in refused.reason


@pytest.mark.parametrize(
    ("target", "is_allowed_already"),
    [("a.test:443", True), ("a.test", False), ("c.b.test", True), ("c.b.test:80", True)],
)
def test_a_host_allowed_on_one_port_can_be_allowed_on_every_port(
    target: str, is_allowed_already: bool
) -> None:
    allowed = tuple(parse_rule(entry, "--allow-domain") for entry in ("a.test:443", "*.b.test"))
    hosts = Hosts(LiveHosts(HostFilter(allowed)), lambda: 0, None)
    refused = hosts.refusal(Wanted("allow", "host", target, Access.READ, None))
    assert (refused is not None and "allowed already" in refused.reason) is is_allowed_already


@pytest.mark.parametrize(
    ("target", "allowed", "is_allowed_already"),
    [
        ("a.test:8443", ("a.test",), False),
        ("a.test:8443", ("a.test", "a.test:8443"), True),
        ("a.test", ("a.test",), True),
        ("a.test:8443", None, True),
    ],
)
def test_a_port_that_no_rule_names_can_be_named_where_nono_listens_by_rule(
    target: str, allowed: tuple[str, ...] | None, is_allowed_already: bool
) -> None:
    """On the rung netns: elsewhere the port is reached without a rule of its own."""
    rules = None if allowed is None else tuple(parse_rule(entry, "--allow-domain") for entry in allowed)
    wanted = Wanted("allow", "host", target, Access.READ, None)
    for listens_by_rule in (True, False):
        hosts = Hosts(LiveHosts(HostFilter(rules)), lambda: 0, None, listens_by_rule=listens_by_rule)
        is_refused = hosts.refusal(wanted) is not None
        assert is_refused is (is_allowed_already or not listens_by_rule)


def test_an_address_allowed_on_one_port_is_not_allowed_on_every_port_by_a_rule_for_names() -> None:
    allowed = tuple(parse_rule(entry, "--allow-domain") for entry in ("*", "192.0.2.1:443"))
    hosts = Hosts(LiveHosts(HostFilter(allowed)), lambda: 0, None)
    for target, is_allowed_already in (("192.0.2.1", False), ("192.0.2.1:443", True), ("a.test", True)):
        refused = hosts.refusal(Wanted("allow", "host", target, Access.READ, None))
        assert (refused is not None) is is_allowed_already, target


@pytest.mark.parametrize(
    ("ports", "leaves"),
    [(None, False), (PortGrants(), False), (PortGrants(connect=united([22])), True)],
    ids=["fixed", "none", "one"],
)
def test_a_denied_host_keeps_connections_only_where_some_pass_the_proxy_by(
    ports: PortGrants | None, leaves: bool
) -> None:
    layer = Hosts(LiveHosts(HostFilter(None)), lambda: 0, None if ports is None else LivePorts(ports))
    assert layer.leaves_standing is leaves


def test_an_address_that_is_denied_is_denied_past_the_proxy_too() -> None:
    ports = LivePorts(PortGrants(connect=united([22])))
    layer = Hosts(LiveHosts(HostFilter(None)), lambda: 0, ports)
    denied, other = ip_address("192.0.2.1"), ip_address("192.0.2.2")
    layer.put((LiveRule("0", "deny", "host", str(denied), Access.READ, "a person", 0, None),))
    assert ports.to_connect(denied, 22) is None
    assert ports.to_connect(other, 22) is not None
    layer.put(())
    assert ports.to_connect(denied, 22) is not None


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("api:GET:/denied", "a denial beats every grant"),
        ("api:GET:/allowed", "is allowed already"),
        ("api:GET:/other", None),
        ("other:GET:/x", "the run has no service 'other'"),
    ],
)
def test_an_endpoint_is_added_where_that_opens_it(target: str, said: str | None) -> None:
    policy = EndpointPolicy(
        "deny", deny=(EndpointRule("GET", "/denied"),), allow=(EndpointRule("GET", "/allowed"),)
    )
    layer = Endpoints(LiveEndpoints(), {"api": policy}, lambda: 0)
    refused = layer.refusal(Wanted("allow", "endpoint", target, Access.READ, None))
    if said is None:
        assert refused is None
    else:
        assert refused is not None
        assert said in refused.reason


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/srv/denied/x", "a denial beats every grant"),
        ("/home/me/.nono/x", "where nono keeps its state; nothing grants that"),
        ("/srv/granted/x", "is granted already"),
        ("/srv/other", None),
    ],
)
def test_a_file_is_added_where_that_opens_it(path: str, said: str | None) -> None:
    policy = FilePolicy(
        GrantTable((Grant("/srv/granted", Access.READ, True, "user", "/srv/granted"),)),
        DenyRules((Denial("/srv/denied", "/srv/denied", "profile p"),)),
        (("~/.nono", "/home/me/.nono"),),
        GrantTable(()),
    )
    held = CapabilitySet((), (), NetworkMode.ALLOWED, Scopes(), Wsl2ProxyPolicy.ERROR, "/")
    refused = Files(LivePaths(), held, lambda: policy).refusal(
        Wanted("allow", "path", path, Access.READ, None)
    )
    if said is None:
        assert refused is None
    else:
        assert refused is not None
        assert said in refused.reason
