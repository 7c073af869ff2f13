"""One address that leads back to a proxy, or is denied, refuses a host, whatever its other addresses are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import anyio
import pytest

from nono.policy.hosts.host_filter import Allow, HostFilter, HostRule, Refuse
from nono.policy.hosts.live_hosts import LiveHosts
from nono.proxy.http.refusal import Refusal
from nono.proxy.http.upstream_proxy import ProxyAddress, UpstreamProxy
from nono.proxy.upstream.connector import Connector
from nono.proxy.upstream.dial import Dialer
from support.proxy.thread import Hosts


class Saying(asyncio.Protocol):
    """Says that it is there, and ends."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"reached")
        transport.write_eof()


OWN_PORT = 8080
VIA = ProxyAddress("proxy.test", 3128)
ELSEWHERE, OF_VIA, LOOPBACK = "192.0.2.1", "192.0.2.2", "127.0.0.1"


def connector(addresses: Sequence[str]) -> Connector:
    """Return a connector for which every name but that of the upstream proxy has some addresses."""

    async def resolver(host: str, port: int) -> Sequence[str]:
        return [OF_VIA] if host == VIA.host else addresses

    return Connector(Dialer(resolver), OWN_PORT, UpstreamProxy(VIA))


@pytest.mark.parametrize("port", [OWN_PORT, OWN_PORT + 1])
@pytest.mark.parametrize("addresses", [[LOOPBACK, ELSEWHERE], [ELSEWHERE, LOOPBACK]])
def test_a_host_with_an_address_of_the_proxy_itself_is_refused(addresses: Sequence[str], port: int) -> None:
    verdict = connector(addresses).judge_addresses(Hosts(), "api.test", port, addresses)
    if port == OWN_PORT:
        assert isinstance(verdict, Refuse)
        assert verdict.rule == "own port"
    else:
        assert isinstance(verdict, Allow)


@pytest.mark.parametrize(
    ("addresses", "port", "rule"),
    [
        ([ELSEWHERE, OF_VIA], VIA.port, "upstream proxy"),
        ([ELSEWHERE, OF_VIA], VIA.port + 1, None),
        ([ELSEWHERE], VIA.port, None),
    ],
)
def test_a_host_with_an_address_of_the_upstream_proxy_is_refused(
    addresses: Sequence[str], port: int, rule: str | None
) -> None:
    begun = list[bool]()

    def may_begin() -> bool:
        begun.append(True)
        return False

    async def main() -> asyncio.Protocol | Refusal:
        way = connector(addresses)
        return await way.connect(
            asyncio.Protocol, "api.test", port, hosts=Hosts(), may_begin=may_begin, sends_key=False
        )

    answer = anyio.run(main)
    assert isinstance(answer, Refusal)
    assert (answer.rule, begun) == (rule, [] if rule else [True])


@pytest.mark.parametrize("denied", [LOOPBACK, ELSEWHERE, None])
def test_an_address_that_is_denied_while_it_is_dialled_is_not_used(denied: str | None) -> None:
    """The other end chooses how long a handshake lasts, and so whether a denial comes before or after it."""
    hosts = LiveHosts(HostFilter((HostRule("localhost", None, "the test"),)))

    async def main() -> tuple[asyncio.Protocol | Refusal, bytes]:
        ended = asyncio.get_running_loop().create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            ended.set_result(await reader.read())
            writer.close()

        def deny() -> bool:
            rule = HostRule(denied or "192.0.2.9", None, "a person")
            hosts.put([], [rule])
            return True

        async def resolver(host: str, port: int) -> Sequence[str]:
            return [LOOPBACK]

        server = await asyncio.start_server(serve, LOOPBACK, 0)
        port = server.sockets[0].getsockname()[1]
        way = Connector(Dialer(resolver), OWN_PORT)
        reached = await way.connect(Saying, "localhost", port, hosts=hosts, may_begin=deny, sends_key=False)
        sent = await ended
        server.close()
        return reached, sent

    reached, sent = anyio.run(main)
    assert isinstance(reached, Refusal) == (denied == LOOPBACK)
    assert sent == (b"" if denied == LOOPBACK else b"reached")
