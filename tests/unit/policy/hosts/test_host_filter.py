"""Which hosts a filter lets through, by name and by address."""

from __future__ import annotations

import shlex
from contextlib import nullcontext
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.cli.args.parse import parse
from nono.cli.resolution import resolve_given
from nono.errors import ConfigError, UsageError
from nono.policy.builtin import shipped
from nono.policy.hosts.host_filter import Allow, HostFilter, Refuse, as_entry, parse_rule
from nono.policy.hosts.host_rules import host_filter
from nono.policy.hosts.hostname import HostError
from nono.policy.network_request import NetworkRequest
from nono.policy.why.remedy import in_hint

NOTHING_ASKED = NetworkRequest(
    block=None, network_profile=None, allow=None, domains=(), deny=(), raw_tunnels=(), deny_private=None,
    credentials=(), optional_credentials=(), upstream_proxy=None, logins=None, mcp_servers=(),
)  # fmt: skip


def rules(*texts: str, origin: str = "--allow-domain") -> tuple:  # type: ignore[type-arg]  # of HostRule
    return tuple(parse_rule(text, origin) for text in texts)


def allowing(*texts: str) -> HostFilter:
    return HostFilter(rules(*texts))


@pytest.mark.parametrize(
    ("entry", "allowed", "refused"),
    [
        pytest.param("example.com", ("example.com", 443), ("sub.example.com", 443), id="exact"),
        pytest.param(
            "example.com", ("EXAMPLE.com.", 8443), ("notexample.com", 8443), id="canonical, any port"
        ),
        pytest.param("*.example.com", ("a.b.example.com", 443), ("example.com", 443), id="never the apex"),
        pytest.param("*.example.com", ("a.example.com", 443), ("aexample.com", 443), id="label boundary"),
        pytest.param(
            "*.example.com", ("x.example.com", 443), ("x.example.com.evil", 443), id="suffix at the end"
        ),
        pytest.param("example.com:8443", ("example.com", 8443), ("example.com", 443), id="port"),
        pytest.param(
            "*.example.com:22", ("a.example.com", 22), ("a.example.com", 443), id="wildcard with port"
        ),
        pytest.param("*", ("anything.example", 1), ("10.0.0.1", 1), id="star grants no literal"),
        pytest.param("10.0.0.1", ("10.0.0.1", 80), ("10.0.0.2", 80), id="IPv4 literal"),
        pytest.param("[2001:db8::1]:80", ("[2001:db8:0::1]", 80), ("2001:db8::2", 80), id="IPv6 literal"),
    ],
)
def test_an_entry_allows_only_what_it_names(
    entry: str, allowed: tuple[str, int], refused: tuple[str, int]
) -> None:
    assert isinstance(allowing(entry).judge_name(*allowed), Allow)
    assert isinstance(allowing(entry).judge_name(*refused), Refuse)


def test_without_an_allow_list_a_name_is_allowed_but_a_literal_is_not() -> None:
    everything = HostFilter(None)
    assert everything.judge_name("example.com", 443) == Allow(None, None)
    assert isinstance(everything.judge_name("93.184.216.34", 443), Refuse)


def test_an_empty_allow_list_denies_everything() -> None:
    assert isinstance(HostFilter(()).judge_name("example.com", 443), Refuse)


def test_a_refusal_says_where_its_rule_was_written() -> None:
    denying = HostFilter(None, deny=rules("*.evil.example", origin="profile web, network.deny_domain"))
    assert denying.judge_name("a.evil.example", 443) == Refuse(
        "host a.evil.example is in the deny list",
        "*.evil.example",
        "profile web, network.deny_domain",
        "remove *.evil.example from profile web, network.deny_domain",
    )


def test_a_host_off_the_list_is_told_the_smallest_grant() -> None:
    assert allowing("example.org").judge_name("example.com", 443) == Refuse(
        "host example.com is not in the allowlist", None, None, "--allow-domain example.com"
    )
    verdict = allowing("example.com:22").judge_name("example.com", 443)
    assert isinstance(verdict, Refuse)
    assert verdict.hint == "--allow-domain example.com:443"


@pytest.mark.parametrize("group", sorted(shipped.network_policy().groups))
def test_no_fix_for_a_host_grants_a_group_of_that_name(group: str) -> None:
    """The command chooses the name of a host that it asks for."""
    verdict = allowing("example.org").judge_name(group, 443)
    assert isinstance(verdict, Refuse)
    assert verdict.hint == f"--allow-domain {group}:443"
    asked = NOTHING_ASKED._replace(allow=((f"{group}:443", "--allow-domain"),))
    granted = host_filter(asked, shipped.network_policy(), ()).allow
    assert granted is not None
    assert [str(rule) for rule in granted] == [f"{group}:443"]


@pytest.mark.parametrize(
    ("host", "entry"),
    [
        ("x.example", "x.example"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "[2001:db8::1]"),
        ("intranet", "intranet:443"),
        ("localhost", "localhost:443"),
        ("127.0.0.1", "127.0.0.1:443"),
        ("::1", "[::1]:443"),
    ],
)
def test_only_loopback_and_a_name_that_may_be_a_groups_have_their_port(host: str, entry: str) -> None:
    assert as_entry(host, 443) == entry
    assert parse_rule(entry, "").matches(host, 443)


def test_deny_beats_allow_only_at_its_own_port() -> None:
    both = HostFilter(rules("*.example.com"), deny=rules("a.example.com:25"))
    assert isinstance(both.judge_name("a.example.com", 25), Refuse)
    assert isinstance(both.judge_name("a.example.com", 443), Allow)


@pytest.mark.parametrize("hosts", [None, ("example.com",), ("*",)], ids=["no list", "a host", "every name"])
@pytest.mark.parametrize(
    ("address", "rule"),
    [
        ("169.254.1.1", "link-local"),
        ("fe80::1", "link-local"),
        ("100.100.100.200", "metadata"),
        ("64:ff9b::a9fe:a9fe", "embedding"),
        ("224.0.0.1", "unusable"),
    ],
)
def test_an_address_that_no_option_opens_is_refused_without_one(
    address: str, rule: str, hosts: tuple[str, ...] | None
) -> None:
    hosts_only = HostFilter(None) if hosts is None else allowing(*hosts)
    refused = hosts_only.judge_name(address, 80)
    assert isinstance(refused, Refuse)
    assert (refused.rule, refused.origin, refused.hint) == (rule, "built in", None)
    assert not refused.is_ungranted, "nobody is asked about it"
    granted = allowing(f"[{address}]" if ":" in address else address).judge_addresses(address, 80, [address])
    assert granted == refused, "the option would have changed nothing"


@pytest.mark.parametrize("address", ["10.1.2.3", "93.184.215.14", "127.0.0.1"])
def test_an_address_that_an_option_opens_is_refused_with_it(address: str) -> None:
    refused = allowing("example.com").judge_name(address, 80)
    assert isinstance(refused, Refuse)
    assert refused.is_ungranted
    assert f"--allow-domain {address}" in (refused.hint or "")
    assert isinstance(allowing(address).judge_addresses(address, 80, [address]), Allow)


@pytest.mark.parametrize("host", ["metadata.google.internal.", "METADATA.google", "169.254.169.254"])
def test_a_metadata_host_is_denied_even_when_it_is_granted(host: str) -> None:
    verdict = allowing(host).judge_name(host, 80)
    assert isinstance(verdict, Refuse)
    assert verdict.hint is None


def test_a_malformed_host_is_refused_without_its_control_characters() -> None:
    verdict = allowing("*").judge_name("evil\0\x1b[2J.example.com", 443)
    assert isinstance(verdict, Refuse)
    assert verdict.reason.isprintable()


@pytest.mark.parametrize(
    "entry", ["*suffix.example", "a.*.example", "*.10.0.0.1", "127.1", "a:0", "http://a", ""]
)
def test_an_entry_that_is_no_host_is_refused(entry: str) -> None:
    with pytest.raises(HostError):
        parse_rule(entry, "")


@pytest.mark.parametrize(
    ("entry", "words"), [("https://a.example/x", "for some paths"), ("a.*.example", "leftmost labels")]
)
def test_an_entry_that_is_no_host_is_told_what_may_be_meant(entry: str, words: str) -> None:
    with pytest.raises(HostError, match=words):
        parse_rule(entry, "")


@pytest.mark.parametrize(
    "bad",
    [
        *(
            "127.0.0.1",
            "127.8.8.8",
            "::1",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
        ),
        *("169.254.169.254", "169.254.1.1", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "fd20:ce::254"),
        *("fd00:ec2::23", "fd00:c1::a9fe:a9fe", "fd00:42::42"),
        *(
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::127.0.0.1",
        ),
        *("64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001:0:1::1", "240.0.0.1", "not an address"),
    ],
)
def test_one_bad_address_refuses_the_name_even_next_to_a_good_one(bad: str) -> None:
    granted = allowing("example.com")
    assert isinstance(granted.judge_addresses("example.com", 443, ["93.184.216.34"]), Allow)
    assert isinstance(granted.judge_addresses("example.com", 443, ["93.184.216.34", bad]), Refuse)


def test_a_link_local_address_is_refused_in_the_words_of_the_policy() -> None:
    verdict = allowing("example.com").judge_addresses("example.com", 80, ["169.254.169.254"])
    assert isinstance(verdict, Refuse)
    assert verdict.reason == (
        "resolved IP 169.254.169.254 is in the link-local range (cloud metadata protection)"
    )


def test_no_address_at_all_is_a_refusal() -> None:
    assert isinstance(allowing("example.com").judge_addresses("example.com", 443, []), Refuse)


def test_judging_addresses_does_not_get_around_the_name() -> None:
    assert isinstance(allowing("example.com").judge_addresses("example.org", 443, ["93.184.216.34"]), Refuse)


@pytest.mark.parametrize(
    ("entry", "host", "address"),
    [
        ("localhost", "localhost", "127.0.0.1"),
        ("localhost:3000", "localhost", "::1"),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("[::1]:3000", "::1", "::1"),
    ],
)
def test_loopback_is_reached_by_an_exact_entry(entry: str, host: str, address: str) -> None:
    assert isinstance(allowing(entry).judge_addresses(host, 3000, [address]), Allow)


@pytest.mark.parametrize(
    ("entry", "host"),
    [("*", "localhost"), ("dev.example", "dev.example"), ("*.localhost", "a.localhost")],
)
def test_loopback_is_not_reached_by_another_entry(entry: str, host: str) -> None:
    assert isinstance(allowing(entry).judge_addresses(host, 3000, ["127.0.0.1"]), Refuse)
    assert isinstance(HostFilter(None).judge_addresses("localhost", 3000, ["127.0.0.1"]), Refuse)


@pytest.mark.parametrize(
    ("host", "address", "hint"),
    [
        ("93.184.216.34", "93.184.216.34", "--allow-domain '*' --allow-domain 93.184.216.34"),
        ("2606:2800::1", "2606:2800::1", "--allow-domain '*' --allow-domain '[2606:2800::1]'"),
        ("localhost", "127.0.0.1", "--allow-domain '*' --allow-domain localhost:3000"),
    ],
)
def test_where_no_list_restricts_hosts_the_hint_grants_one_and_keeps_the_others(
    host: str, address: str, hint: str
) -> None:
    refused = HostFilter(None).judge_addresses(host, 3000, [address])
    assert isinstance(refused, Refuse)
    assert refused.hint == hint
    _, every, _, entry = shlex.split(hint)
    followed = allowing(every, entry)
    assert isinstance(followed.judge_addresses(host, 3000, [address]), Allow)
    assert isinstance(followed.judge_addresses("example.com", 443, ["93.184.216.34"]), Allow)
    assert isinstance(allowing(entry).judge_name("example.com", 443), Refuse)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_hint_for_loopback_grants_no_other_program_of_this_machine(host: str) -> None:
    refused = allowing("x.example").judge_unresolved(host, 3000)
    assert isinstance(refused, Refuse)
    assert refused.hint == f"--allow-domain {host}:3000"
    followed = allowing("x.example", f"{host}:3000")
    assert isinstance(followed.judge_unresolved(host, 3000), Allow)
    assert isinstance(followed.judge_unresolved(host, 3001), Refuse)


def test_the_hint_for_localhost_names_it_and_not_its_address() -> None:
    refused = allowing("*").judge_addresses("localhost", 3000, ["127.0.0.1"])
    assert isinstance(refused, Refuse)
    assert refused.hint == "--allow-domain localhost:3000"
    named = allowing("dev.example").judge_addresses("dev.example", 3000, ["127.0.0.1"])
    assert isinstance(named, Refuse)
    assert named.hint == "use the address in place of the name, with --allow-domain 127.0.0.1:3000"
    # It is for a person to read: the option alone would leave the name refused.
    assert [in_hint(str(each.hint)) for each in (refused, named)] == [refused.hint, None]


@pytest.mark.parametrize("hosts", [HostFilter(None), allowing("*")])
def test_an_address_that_no_wildcard_grants_is_called_one(hosts: HostFilter) -> None:
    refused = hosts.judge_name("93.184.216.34", 443)
    assert isinstance(refused, Refuse)
    assert refused.reason.endswith("is an address, which is reached only where it is granted by itself")
    assert isinstance(hosts.judge_name("example.com", 443), Allow)


@pytest.mark.parametrize("entry", ["localhost", "93.184.216.34"])
def test_a_rule_added_for_this_machine_or_an_address_opens_it_beside_every_name(entry: str) -> None:
    before = HostFilter(None)
    after = before.allowing(parse_rule(entry, "live"))
    assert isinstance(before.judge_unresolved(entry, 443), Refuse)
    assert isinstance(after.judge_unresolved(entry, 443), Allow)
    assert isinstance(after.judge_unresolved("example.com", 443), Allow)


@pytest.mark.parametrize("entry", ["localhost", "93.184.216.34", "b.example"])
def test_a_rule_added_to_a_list_opens_that_alone(entry: str) -> None:
    after = allowing("a.example").allowing(parse_rule(entry, "live"))
    for host in ("a.example", entry):
        assert isinstance(after.judge_unresolved(host, 443), Allow)
    assert isinstance(after.judge_name("other.example", 443), Refuse)


def test_without_a_list_a_name_needs_no_rule() -> None:
    assert HostFilter(None).allowing(parse_rule("a.example", "live")) == HostFilter(None)
    assert HostFilter(None).allowing(parse_rule("*.a.example", "live")) == HostFilter(None)


@pytest.mark.parametrize(
    ("denial", "entry", "is_denied"),
    [
        ("a.example", "a.example", True),
        ("a.example", "b.example", False),
        ("a.example", "*.a.example", False),
        ("*.example", "a.example", True),
        ("*.example", "*.a.example", True),
        ("*.example", "example", False),
        ("*.a.example", "*.example", False),
        ("*", "a.example", True),
        ("*", "*.example", True),
        ("a.example:443", "a.example:443", True),
        ("a.example:443", "a.example:80", False),
        ("a.example:443", "a.example", False),
        ("a.example", "a.example:443", True),
    ],
)
def test_an_entry_is_denied_if_one_denial_covers_all_of_it(denial: str, entry: str, is_denied: bool) -> None:
    assert HostFilter(None, deny=rules(denial)).is_denied(parse_rule(entry, "")) is is_denied


@pytest.mark.parametrize(
    ("entry", "is_never_reached"),
    [
        ("169.254.169.254", True),
        ("metadata.google.internal", True),
        ("224.0.0.1", True),
        ("10.0.0.1", False),
        ("93.184.216.34", False),
        ("a.example", False),
        ("*.internal", False),
    ],
)
def test_an_entry_that_opens_nothing_in_any_run_is_told(entry: str, is_never_reached: bool) -> None:
    assert (HostFilter(rules(entry)).built_in_denial(parse_rule(entry, "")) is not None) is is_never_reached
    assert (
        HostFilter((), deny=rules(entry), deny_private=True).built_in_denial(parse_rule("10.0.0.1", ""))
        is None
    )


def test_a_person_may_be_asked_about_what_no_rule_refuses_alone() -> None:
    hosts = HostFilter(rules("a.example"), deny=rules("denied.example"))
    asked = ("b.example", "denied.example", "169.254.169.254", "evil\0.example", "x.mcp.nono.alt")
    refused = [hosts.judge_name(host, 443) for host in asked]
    assert [isinstance(each, Refuse) and each.is_ungranted for each in refused] == [
        *(True, False, False, False, True)
    ]


def test_an_address_with_a_zone_is_refused() -> None:
    verdict = allowing("a.example").judge_addresses("a.example", 443, ["2001:db8::1%eth0"])
    assert isinstance(verdict, Refuse)
    assert verdict.reason.endswith("has a zone id")


def test_localhost_must_resolve_to_loopback() -> None:
    assert isinstance(allowing("localhost").judge_addresses("localhost", 80, ["93.184.216.34"]), Refuse)


@pytest.mark.parametrize(
    "address", ["100.100.100.200", "169.254.1.1", "224.0.0.1", "fd00:ec2::254", "0.0.0.0"]
)
def test_a_literal_grant_does_not_override_what_is_never_reached(address: str) -> None:
    assert isinstance(allowing(address).judge_addresses(address, 80, [address]), Refuse)


@pytest.mark.parametrize("address", ["10.1.2.3", "172.16.0.1", "192.168.0.1", "100.64.0.1", "fd12::1"])
def test_private_addresses_are_allowed_unless_the_profile_denies_them(address: str) -> None:
    strict = HostFilter(rules("intra.example"), deny_private=True, deny_private_origin="the profile")
    assert isinstance(allowing("intra.example").judge_addresses("intra.example", 443, [address]), Allow)
    assert isinstance(strict.judge_addresses("intra.example", 443, [address]), Refuse)
    assert isinstance(strict.judge_addresses("intra.example", 443, ["93.184.216.34"]), Allow)


def test_the_profile_that_denies_private_addresses_is_named_once() -> None:
    origin = "profile web, network.deny_private"
    strict = HostFilter(rules("intra.example"), deny_private=True, deny_private_origin=origin)
    verdict = strict.judge_addresses("intra.example", 443, ["10.1.2.3"])
    assert isinstance(verdict, Refuse)
    assert (verdict.origin, verdict.hint) == (origin, "remove network.deny_private from profile web")


def test_a_denied_address_is_denied_behind_a_name_too() -> None:
    both = HostFilter(rules("example.com"), deny=rules("10.0.0.9"))
    assert isinstance(both.judge_addresses("example.com", 443, ["10.0.0.8"]), Allow)
    assert isinstance(both.judge_addresses("example.com", 443, ["10.0.0.9"]), Refuse)


def test_raw_tunnels_name_a_host_and_a_port() -> None:
    raw = HostFilter(None, raw_tunnels=rules("git.example:22"))
    assert raw.allows_raw("git.example", 22)
    assert not raw.allows_raw("git.example", 443)
    assert not raw.allows_raw("other.example", 22)
    assert not raw.allows_raw("git\0.example", 22)


def test_a_route_reaches_only_its_upstream_unless_that_is_denied() -> None:
    base = HostFilter((), deny=rules("api.evil.example"))
    route = base.for_route("api.example", 443, "--credential")
    assert isinstance(base.judge_name("api.example", 443), Refuse)
    assert isinstance(route.judge_name("api.example", 443), Allow)
    assert isinstance(route.judge_name("other.example", 443), Refuse)
    assert isinstance(
        base.for_route("api.evil.example", 443, "x").judge_name("api.evil.example", 443), Refuse
    )


NAMES = st.sampled_from(
    ["example.com", "a.example.com", "b.a.example.com", "example.org", "10.0.0.1", "localhost"]
)
ENTRIES = st.one_of(
    NAMES, NAMES.map(lambda name: f"{name}:443"), st.sampled_from(["*.example.com", "*.com", "*", "*.org:80"])
)
LISTS = st.lists(ENTRIES, max_size=4)
PORTS = st.sampled_from([80, 443, 22])


@given(NAMES, PORTS)
def test_an_empty_policy_refuses_every_host(host: str, port: int) -> None:
    assert isinstance(HostFilter(()).judge_name(host, port), Refuse)


@given(LISTS, LISTS, ENTRIES, NAMES, PORTS)
def test_adding_a_deny_never_allows_more(
    allow: list[str], deny: list[str], more: str, host: str, port: int
) -> None:
    before = HostFilter(rules(*allow), deny=rules(*deny)).judge_name(host, port)
    after = HostFilter(rules(*allow), deny=rules(*deny, more)).judge_name(host, port)
    assert isinstance(before, Allow) or isinstance(after, Refuse)


@given(LISTS, NAMES, PORTS)
def test_nothing_is_allowed_that_no_allow_rule_matches(allow: list[str], host: str, port: int) -> None:
    entries = rules(*allow)
    if not any(rule.matches(host, port) for rule in entries):
        assert isinstance(HostFilter(entries).judge_name(host, port), Refuse)


@given(LISTS, NAMES, PORTS, st.lists(st.ip_addresses().map(str), max_size=3))
def test_addresses_never_allow_what_the_name_was_refused(
    allow: list[str], host: str, port: int, addresses: list[str]
) -> None:
    hosts = HostFilter(rules(*allow))
    if isinstance(hosts.judge_name(host, port), Refuse):
        assert isinstance(hosts.judge_addresses(host, port, addresses), Refuse)


@pytest.mark.parametrize(("entry", "is_refused"), [("githb", True), ("github", False), ("nas", False)])
def test_a_group_that_is_mistyped_is_no_host(entry: str, is_refused: bool, tmp_path: Path) -> None:
    argv = ["--allow-domain", entry, "true"]
    refused = pytest.raises(UsageError, match="neither a group nor a whole host")
    with refused if is_refused else nullcontext():
        resolve_given(parse("run", "", argv, {}), {"HOME": str(tmp_path)})


@pytest.mark.parametrize(
    ("hosts", "name", "may_be_reached"),
    [
        pytest.param(allowing("example.com"), "example.com", True, id="every port"),
        pytest.param(allowing("example.com:5432"), "example.com", True, id="one port"),
        pytest.param(allowing("example.com:5432"), "other.com", False, id="another name"),
        pytest.param(allowing("*.example.com:22"), "a.example.com", True, id="below a wildcard"),
        pytest.param(allowing("*.example.com:22"), "example.com", False, id="the apex of one"),
        pytest.param(HostFilter(None), "example.com", True, id="no list"),
        pytest.param(HostFilter(None), "metadata.google.internal", False, id="built in"),
        pytest.param(HostFilter(rules("*"), rules("example.com")), "example.com", False, id="denied"),
        pytest.param(
            HostFilter(rules("*"), rules("example.com:443")), "example.com", True, id="but for a port"
        ),
    ],
)
def test_a_name_is_looked_up_if_some_port_of_it_may_be_reached(
    hosts: HostFilter, name: str, may_be_reached: bool
) -> None:
    assert isinstance(hosts.judge_look_up(name), Allow) is may_be_reached


@pytest.mark.parametrize(
    ("name", "ports"),
    [
        ("example.com", {443, 5432}),
        ("a.example.com", {8443}),
        ("raw.example.com", {8443, 6379}),
        ("open.test", set()),
        ("other.test", set()),
    ],
)
def test_the_ports_of_a_host_are_those_of_its_rules_and_of_its_raw_tunnels(
    name: str, ports: set[int]
) -> None:
    allowed = rules("example.com:443", "example.com:5432", "*.example.com:8443", "open.test")
    hosts = HostFilter(allowed, raw_tunnels=rules("raw.example.com:6379"))
    assert hosts.ports_named(name) == ports


def test_a_look_up_is_judged_for_no_port_of_another_host() -> None:
    class Counting(HostFilter):
        judged: ClassVar[list[int]] = []

        def judge_name(self, host: str, port: int) -> Allow | Refuse:
            self.judged.append(port)
            return super().judge_name(host, port)

    others = [f"other{number}.com:{8000 + number}" for number in range(50)]
    hosts = Counting(rules(*others, "example.com:5432"))
    assert isinstance(hosts.judge_look_up("example.com"), Allow)
    assert set(hosts.judged) == {443, 0, 5432}


def test_a_network_profile_alone_is_an_allow_list() -> None:
    policy = shipped.network_policy()
    named = host_filter(
        NOTHING_ASKED._replace(network_profile=("developer", "--network-profile")), policy, ()
    )
    assert isinstance(named.judge_name("github.com", 443), Allow)
    assert isinstance(named.judge_name("other.example", 443), Refuse)
    assert isinstance(host_filter(NOTHING_ASKED, policy, ()).judge_name("other.example", 443), Allow)
    with pytest.raises(ConfigError, match="'develper' not found") as unknown:
        host_filter(NOTHING_ASKED._replace(network_profile=("develper", "profile p")), policy, ())
    assert "developer" in str(unknown.value.hint)


def test_a_denial_in_a_profile_that_blocks_the_network_leaves_nothing_else_open() -> None:
    denies = NOTHING_ASKED._replace(block="profile p", deny=(("bad.example", "profile p"),))
    for block, reached in (("profile p", Refuse), ("--block-net", Allow), (None, Allow)):
        hosts = host_filter(denies._replace(block=block), shipped.network_policy(), ())
        assert isinstance(hosts.judge_name("other.example", 443), reached)


@pytest.mark.parametrize("text", ["a.example,b.example", "a.example, b.example", "github,gitlab"])
@pytest.mark.parametrize(
    ("origin", "hint"),
    [
        ("--allow-domain", "give the option once for each host"),
        ("p.json: network.allow_domain", "an entry for each host"),
    ],
)
def test_hosts_joined_by_a_comma_are_refused_with_how_to_write_several(
    text: str, origin: str, hint: str
) -> None:
    """The name of a group that is like the whole would be a wrong hint, for fewer hosts than asked for."""
    asked = NOTHING_ASKED._replace(allow=((text, origin),))
    with pytest.raises((ConfigError, UsageError), match="has a comma") as refused:
        host_filter(asked, shipped.network_policy(), ())
    assert (str(refused.value), refused.value.hint) == (
        f"{origin}: '{text}' is not a host: it has a comma.",
        hint,
    )
