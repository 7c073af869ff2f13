"""The host that stands for a server is reached where the run names the server, and by no wider rule."""

from __future__ import annotations

import pytest

from nono.errors import UsageError
from nono.policy.hosts.host_filter import Allow, HostFilter, Refuse, parse_rule
from nono.policy.hosts.mcp_servers import PORT, host_of, servers_of, with_servers

TRACKER = servers_of([("tracker", "--mcp-server")])
LISTS = {
    "no list": HostFilter(None),
    "an empty list": HostFilter(()),
    "any host": HostFilter((parse_rule("*", "--allow-domain"),)),
}


@pytest.mark.parametrize("hosts", LISTS.values(), ids=LISTS)
def test_a_server_is_reached_where_it_is_named(hosts: HostFilter) -> None:
    named = with_servers(hosts, TRACKER)
    assert isinstance(named.judge_name(host_of("tracker"), PORT), Allow)
    assert named.allows_raw(host_of("tracker"), PORT)
    for refused in (
        hosts.judge_name(host_of("tracker"), PORT),
        named.judge_name(host_of("other"), PORT),
        named.judge_name(host_of("tracker"), 443),
    ):
        assert isinstance(refused, Refuse)
        assert refused.reason.startswith("this run has no MCP server ")


def test_a_server_opens_no_other_host_and_closes_none() -> None:
    for hosts, reached in ((HostFilter(None), Allow), (HostFilter(()), Refuse)):
        assert isinstance(with_servers(hosts, TRACKER).judge_name("other.example", 443), reached)


def test_the_fix_names_the_server() -> None:
    refused = LISTS["any host"].judge_name(host_of("other"), PORT)
    assert isinstance(refused, Refuse)
    assert refused.hint == "--mcp-server other"


def test_a_denial_beats_a_server() -> None:
    denied = HostFilter((), deny=(parse_rule(host_of("tracker"), "--deny-domain"),))
    assert isinstance(with_servers(denied, TRACKER).judge_name(host_of("tracker"), PORT), Refuse)


@pytest.mark.parametrize("name", ["", "Tracker", "a_b", "a.b", "-a", "a-", "./a", "a" * 64, "a\n"])
def test_a_name_that_is_no_label_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="not the name of a profile in lower case"):
        servers_of([(name, "--mcp-server")])


def test_a_server_that_is_named_twice_is_one() -> None:
    [server] = servers_of([("a", "profile p"), ("a", "--mcp-server")])
    assert (server.name, server.origin) == ("a", "profile p")


def test_a_name_may_be_as_long_as_a_label() -> None:
    assert [each.name for each in servers_of([("a" * 63, "--mcp-server")])] == ["a" * 63]
