"""Which host and which address a request leads to, over every transport: judged before DNS and after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from nono.policy.hosts.host_filter import Allow, HostFilter, HostRule, Refuse, parse_rule
from support.proxy.transports import API, CONNECTS, SITE, WITH_CREDENTIAL, Transport, five_transports

NEVER = {
    "metadata service": "169.254.169.254",
    "link-local": "169.254.1.1",
    "mapped": "::ffff:169.254.169.254",
    "compatible": "::a9fe:a9fe",
    "NAT64": "64:ff9b::a9fe:a9fe",
    "6to4": "2002:a9fe:a9fe::",
    "AWS, IPv6": "fd00:ec2::254",
    "Google, IPv6": "fd20:ce::254",
    "Alibaba": "100.100.100.200",
    "Azure": "168.63.129.16",
    "Oracle": "192.0.0.192",
    "link-local, IPv6": "fe80::1",
    "unspecified": "0.0.0.0",
    "unspecified, IPv6": "::",
    "multicast": "224.0.0.1",
    "broadcast": "255.255.255.255",
}


def rules(*texts: str) -> tuple[HostRule, ...]:
    return tuple(parse_rule(text, "the test") for text in texts)


@dataclass(frozen=True)
class HereToo:
    """A real filter, but for the address of this test's upstreams, to which no name may lead."""

    inner: HostFilter

    def judge_name(self, host: str, port: int) -> Allow | Refuse:
        return self.inner.judge_name(host, port)

    def judge_addresses(self, host: str, port: int, addresses: Sequence[str]) -> Allow | Refuse:
        others = [address for address in addresses if address != "127.0.0.1"]
        return self.inner.judge_addresses(host, port, others) if others else Allow(None, None)

    def allows_raw(self, host: str, port: int) -> bool:
        return self.inner.allows_raw(host, port)

    def for_route(self, host: str, port: int, origin: str) -> HereToo:
        return HereToo(self.inner.for_route(host, port, origin))


def granting(*texts: str, deny: tuple[str, ...] = ()) -> HereToo:
    return HereToo(HostFilter(rules(*texts), rules(*deny)))


GRANTED = granting(SITE, API)


@pytest.mark.parametrize("transport", Transport)
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside a good one"])
def test_a_granted_name_that_leads_to_a_forbidden_address_leads_nowhere(
    transport: Transport, beside: bool
) -> None:
    answers = [["127.0.0.1", address] if beside else [address] for address in NEVER.values()]
    with five_transports(hosts=GRANTED, addresses=[*answers, ["127.0.0.1"]]) as stage:
        for name in NEVER:
            assert stage.ask(transport).status == 403, name
        assert stage.is_untouched
        assert len(stage.proxy.names.asked) == len(NEVER)
        assert [event["denial_category"] for event in stage.denials] == ["host_denied"] * len(NEVER)
        assert stage.ask(transport).status == 200


@pytest.mark.parametrize("transport", Transport)
@pytest.mark.parametrize("granted", [(SITE, API), ("*",), ("*.test",), None], ids=repr)
def test_no_grant_of_a_name_leads_to_this_machine(
    transport: Transport, granted: tuple[str, ...] | None
) -> None:
    addresses = [["127.0.0.1"], ["127.9.9.9"], ["::1"], ["::ffff:127.0.0.1"]]
    hosts = HostFilter(None if granted is None else rules(*granted))
    with five_transports(hosts=hosts, addresses=addresses) as stage:
        for address in addresses:
            assert stage.ask(transport).status == 403, address
        assert stage.is_untouched
        assert len(stage.denials) == len(addresses)


@pytest.mark.parametrize("transport", Transport)
def test_no_dns_answer_after_the_judged_one_counts(transport: Transport) -> None:
    with five_transports(hosts=GRANTED, addresses=[["127.0.0.1"], ["169.254.169.254"]]) as stage:
        assert stage.ask(transport).status == 200
        assert stage.proxy.names.asked == [stage.host_of(transport)]
        again = stage.ask(transport).status
        # A kept connection leads where it led; whatever is dialled anew is looked up and judged anew.
        assert again == (200 if len(stage.proxy.names.asked) == 1 else 403)
        assert len([*stage.secure.connections, *stage.plain.connections]) == 1


@pytest.mark.parametrize("transport", Transport)
def test_a_name_without_an_address_is_looked_up_once(transport: Transport) -> None:
    with five_transports(addresses=[]) as stage:
        assert stage.ask(transport).status == 502
        assert stage.proxy.names.asked == [stage.host_of(transport)]
        assert [event["denial_category"] for event in stage.denials] == ["upstream_connect_failed"]


@pytest.mark.parametrize("transport", Transport)
def test_a_refused_name_is_not_looked_up(transport: Transport) -> None:
    with five_transports(hosts=granting("other.test")) as stage:
        is_granted = transport in WITH_CREDENTIAL  # its route says so, and nothing else does
        assert stage.ask(transport).status == (200 if is_granted else 403)
        assert stage.proxy.names.asked == ([API] if is_granted else [])
        assert stage.is_untouched is not is_granted
        assert [event["denial_category"] for event in stage.denials] == (
            [] if is_granted else ["host_denied"]
        )


@pytest.mark.parametrize("transport", Transport)
@pytest.mark.parametrize("grant", ["*", "*.test", "{host}"])
@pytest.mark.parametrize("denial", ["{host}", "{HOST}.", "*.test", "*"])
def test_a_denial_beats_every_grant_before_any_lookup(transport: Transport, grant: str, denial: str) -> None:
    host = API if transport in WITH_CREDENTIAL else SITE
    grant, denial = grant.replace("{host}", host), denial.replace("{host}", host)
    with five_transports(hosts=granting(grant, deny=(denial.replace("{HOST}", host.upper()),))) as stage:
        assert stage.ask(transport).status == 403
        assert stage.proxy.names.asked == []
        assert stage.is_untouched
        assert [event["denial_category"] for event in stage.denials] == ["host_denied"]
        assert stage.denials[0]["origin"] == "the test"


@pytest.mark.parametrize("transport", Transport)
def test_a_denial_of_another_name_changes_nothing(transport: Transport) -> None:
    with five_transports(hosts=granting("*", deny=("te.test", "*.site.test", "*.api.test", "test"))) as stage:
        assert stage.ask(transport).status == 200


SPELLINGS = {
    "in capitals": ("{HOST}:{port}", 200),
    "with its root label": ("{host}.:{port}", 200),
    "full-width": ("\uff41\uff50\uff49.test:{port}", 0),
    "ideographic full stop": ("api\u3002test:{port}", 0),
    "another host": ("evil.test:{port}", 0),
    "a host below": ("x.{host}:{port}", 0),
    "longer on the right": ("{host}.evil.test:{port}", 0),
    "longer on the left": ("evil{host}:{port}", 0),
    "without its port": ("{host}", 0),
    "port 443": ("{host}:443", 0),
    "port 0": ("{host}:0", 0),
    "signed port": ("{host}:+{port}", 0),
    "two ports": ("{host}:{port}:{port}", 0),
    "zeros in front": ("{host}:0{port}", 0),
    "user": ("user@{host}:{port}", 0),
    "this one as the user": ("{host}:{port}@evil.test", 0),
    "NUL": ("{host}%00.evil.test:{port}", 0),
    "tab": ("{host}\t:{port}", 0),
    "two": ("{host}:{port}, evil.test", 0),
    "address": ("127.0.0.1:{port}", 0),
    "decimal address": ("2130706433:{port}", 0),
    "in brackets": ("[{host}]:{port}", 0),
    "zone": ("[::1%25lo]:{port}", 0),
    "empty": ("", 0),
    "300 characters": ("a" * 300 + ".test:{port}", 0),
    "path": ("{host}:{port}/x", 0),
    "scheme": ("https://{host}:{port}", 0),
}


@pytest.mark.parametrize("transport", [Transport.ABSOLUTE, Transport.INSIDE, Transport.HTTP2])
def test_a_request_that_names_another_host_than_it_goes_to_reaches_nobody(transport: Transport) -> None:
    with five_transports() as stage:
        host, port = stage.host_of(transport), stage.port_of(transport)
        expected = 0
        for name, (text, status) in SPELLINGS.items():
            named = text.format(host=host, HOST=host.upper(), port=port).encode().decode("latin-1")
            answer = stage.ask(transport, named=named)
            assert answer.status in ((200,) if status else (400, 421)), name
            expected += status == 200
        assert len(stage.requests) == expected
        assert {request.value(b"host") for request in stage.requests} == {f"{host}:{port}".encode()}
        assert len(stage.denials) == len(SPELLINGS) - expected
        assert set(stage.proxy.names.asked) == {host}


@pytest.mark.parametrize("transport", CONNECTS)
@pytest.mark.parametrize("server_name", ["other.test", "x.site.test", "te.test", "127.0.0.1"])
def test_a_hello_for_another_host_ends_the_connection(transport: Transport, server_name: str) -> None:
    with five_transports() as stage:
        with pytest.raises((OSError, AssertionError)), stage.client(transport, server_name=server_name):
            pass
        assert stage.sent == b""
        assert stage.ask(transport).status == 200


@pytest.mark.parametrize("transport", [Transport.TUNNEL, Transport.ABSOLUTE])
def test_the_proxy_does_not_lead_to_itself(transport: Transport) -> None:
    with five_transports() as stage:
        own = stage.proxy.port
        stage.secure.port = stage.plain.port = own
        answer = stage.ask(transport)
        assert answer.status in (403, 502)
        assert stage.is_untouched
        assert len(stage.denials) == 1
