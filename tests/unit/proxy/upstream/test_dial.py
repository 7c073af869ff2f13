"""nono.proxy.upstream.dial: the order of attempts, and a TLS context that nothing from outside weakens."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
import trustme

from nono.policy.schema.route_rules import NO_IDENTITY, TlsIdentity
from nono.proxy.tls.der import INTEGER, SEQUENCE, der, pem
from nono.proxy.upstream import dial as dial_module
from nono.proxy.upstream.contexts import tls_context
from nono.proxy.upstream.dial import Dialer, DialError, connect_first, interleaved
from support.proxy.thread import TIMEOUT_S
from support.servers.http1 import Authority, upstream


@pytest.mark.parametrize(
    ("addresses", "order"),
    [
        pytest.param(["1.1.1.1", "1.1.1.2"], ["1.1.1.1", "1.1.1.2"], id="one family"),
        pytest.param(["::1", "::2", "1.1.1.1"], ["::1", "1.1.1.1", "::2"], id="IPv6 first"),
        pytest.param(["1.1.1.1", "1.1.1.2", "::1"], ["1.1.1.1", "::1", "1.1.1.2"], id="IPv4 first"),
        pytest.param([], [], id="none"),
        pytest.param([*"abcdefghijklmnopq"], [*"abcdefghijklmnop"], id="no more than 16"),
    ],
)
def test_families_take_turns(addresses: list[str], order: list[str]) -> None:
    assert interleaved(addresses) == order


@contextmanager
def bound(*addresses: str) -> Iterator[tuple[int, list[socket.socket]]]:
    """Yield one port, held on each of addresses; none listens yet, so connecting is refused."""
    for _ in range(100):
        with ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket()) for _ in addresses]
            sockets[0].bind((addresses[0], 0))
            port: int = sockets[0].getsockname()[1]
            try:
                for other, address in zip(sockets[1:], addresses[1:], strict=True):
                    other.bind((address, port))
            except OSError:
                continue  # somebody else has it on one of the other addresses
            yield port, sockets
            return
    raise AssertionError("no port is free on all addresses")


def test_a_dead_address_does_not_keep_a_live_one_from_being_reached() -> None:
    async def main() -> str:
        with bound("127.0.0.1", "127.0.0.2", "127.0.0.3") as (port, sockets):
            sockets[2].listen()
            with await connect_first(["127.0.0.1", "127.0.0.2", "127.0.0.3"], port) as connected:
                return str(connected.getpeername()[0])

    assert anyio.run(main, backend_options={"use_uvloop": True}) == "127.0.0.3"


@pytest.mark.parametrize("others", [(), ("127.0.0.3",)], ids=["one address", "several"])
def test_a_connection_finds_out_in_three_minutes_that_its_network_is_gone(others: tuple[str, ...]) -> None:
    async def main() -> tuple[int, int]:
        with bound("127.0.0.1", *others) as (port, sockets):
            sockets[-1].listen()
            with await connect_first(["127.0.0.1", *others], port) as connected:
                options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
                idle_s, interval_s, probes = (
                    connected.getsockopt(socket.IPPROTO_TCP, option) for option in options
                )
                is_probed = connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                return is_probed, idle_s + interval_s * probes

    assert anyio.run(main, backend_options={"use_uvloop": True}) == (1, 180)


def test_the_second_address_is_tried_while_the_first_is_silent() -> None:
    async def main() -> str:
        with bound("127.0.0.1", "127.0.0.3") as (port, (full, live)), ExitStack() as fillers:
            live.listen()
            full.listen(0)
            for _ in range(4):  # a full accept queue drops the next SYN
                filler = fillers.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            with await connect_first(["127.0.0.1", "127.0.0.3"], port, stagger_s=0.01) as connected:
                return str(connected.getpeername()[0])

    assert anyio.run(main, backend_options={"use_uvloop": True}) == "127.0.0.3"


def test_when_no_address_connects_the_reason_is_told() -> None:
    async def main() -> None:
        with bound("127.0.0.1", "127.0.0.2") as (port, _), pytest.raises(ConnectionRefusedError):
            await connect_first(["127.0.0.1", "127.0.0.2"], port)

    anyio.run(main, backend_options={"use_uvloop": True})


@pytest.mark.parametrize("answer", [OSError("x"), UnicodeError("x"), []], ids=repr)
def test_a_name_without_an_address_is_an_error(answer: object) -> None:
    async def resolver(host: str, port: int) -> list[str]:
        if isinstance(answer, Exception):
            raise answer
        return []

    async def main() -> None:
        with pytest.raises(DialError, match=r"no address was found for a\.test"):
            await Dialer(resolver).resolve("a.test", 443)

    anyio.run(main, backend_options={"use_uvloop": True})


def test_a_resolver_that_hangs_is_a_timeout() -> None:
    async def resolver(host: str, port: int) -> list[str]:
        await anyio.Event().wait()
        return []

    async def main() -> None:
        with pytest.raises(DialError) as failed:
            await Dialer(resolver, connect_timeout_s=0.01).resolve("a.test", 443)
        assert failed.value.failure == "timeout"

    anyio.run(main, backend_options={"use_uvloop": True})


def test_the_context_writes_no_key_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    assert ssl.create_default_context().keylog_filename is not None
    assert not tls_context(NO_IDENTITY).keylog_filename


def test_the_context_verifies() -> None:
    context = tls_context(NO_IDENTITY)
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def _agree(context: ssl.SSLContext, server_context: ssl.SSLContext) -> str:
    """Shake hands in memory and return the suite. SSLError if an end refuses."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname="a.test")
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        for end in (client, server):
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    cipher = client.cipher()
    assert cipher is not None
    return cipher[0]


def test_keys_are_agreed_on_over_no_group_of_the_servers_choice(tmp_path: Path) -> None:
    authority, ca = trustme.CA(key_type=trustme.KeyType.RSA), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    group = tmp_path / "group.pem"
    group.write_bytes(_group())

    def server(suite: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("a.test", key_type=trustme.KeyType.RSA).configure_cert(context)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.load_dh_params(str(group))
        context.set_ciphers(suite)
        return context

    usual = ssl.create_default_context(cafile=ca)
    ours = tls_context(TlsIdentity(ca=str(ca)))
    assert _agree(usual, server("DHE-RSA-AES256-GCM-SHA384")) == "DHE-RSA-AES256-GCM-SHA384"
    with pytest.raises(ssl.SSLError, match="NO_SHARED_CIPHER"):
        _agree(ours, server("DHE-RSA-AES256-GCM-SHA384"))
    assert _agree(ours, server("ECDHE-RSA-AES256-GCM-SHA384")) == "ECDHE-RSA-AES256-GCM-SHA384"


def _group() -> bytes:
    """Return DH parameters that a server has made up: OpenSSL does not ask whether the modulus is prime."""
    modulus = ((1 << 2047) + 1).to_bytes(257)
    return pem("DH PARAMETERS", der(SEQUENCE, der(INTEGER, modulus), der(INTEGER, b"\2")))


def test_the_context_offers_every_other_suite() -> None:
    usual = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).get_ciphers()
    with_dhe = [each for each in usual if each["kea"] in ("kx-dhe", "kx-dhe-psk")]
    assert with_dhe
    assert tls_context(NO_IDENTITY).get_ciphers() == [each for each in usual if each not in with_dhe]


def test_a_ca_file_that_holds_none_is_an_error(tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.write_text("")
    for path in (empty, tmp_path / "missing.pem"):
        with pytest.raises(OSError):  # noqa: PT011  # ssl.SSLError here, FileNotFoundError there
            tls_context(TlsIdentity(ca=str(path)))


@dataclass
class Loads:
    """Stands for tls_context(): notes the threads that load one, and keeps each there until it is let go."""

    threads: list[int] = field(default_factory=list)
    let_go: threading.Event = field(default_factory=threading.Event)

    def __call__(self, *_: object) -> ssl.SSLContext:
        self.threads.append(threading.get_ident())
        assert self.let_go.wait(TIMEOUT_S)
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


async def never_asked(host: str, port: int) -> list[str]:
    pytest.fail(f"the address is known, and {host} was looked up")


async def dial(dialer: Dialer, port: int) -> str:
    try:
        await dialer.open(asyncio.Protocol, ["127.0.0.1"], port, server_name="api.test")
    except DialError as failure:
        return failure.failure
    return "connected"


def test_roots_are_loaded_once_and_not_by_the_loop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They took two thirds of the 10 ms that a turn may have, and more on a busy machine."""
    loads = Loads()
    monkeypatch.setattr(dial_module, "tls_context", loads)

    async def main(port: int) -> None:
        dialer = Dialer(never_asked)
        ends: list[str] = []

        async def one() -> None:
            ends.append(await dial(dialer, port))

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(one)
            while not loads.threads:  # the thread sets no event of the loop's
                await anyio.lowlevel.checkpoint()
            loads.let_go.set()
        assert ends == ["tls"] * 3  # nobody trusts the server
        assert len(loads.threads) == 1
        assert loads.threads != [threading.get_ident()]

    with upstream(tls=Authority(str(tmp_path / "ca.pem")).server_context("api.test")) as server:
        anyio.run(main, server.port, backend_options={"use_uvloop": True})


def test_roots_are_loaded_where_no_thread_can_be_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_thread(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    async def main(port: int) -> None:
        assert await dial(Dialer(never_asked), port) == "tls"  # nobody trusts the server

    monkeypatch.setattr(anyio.to_thread, "run_sync", no_thread)
    with upstream(tls=Authority(str(tmp_path / "ca.pem")).server_context("api.test")) as server:
        anyio.run(main, server.port, backend_options={"use_uvloop": True})


def test_a_load_that_takes_too_long_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = Loads()
    monkeypatch.setattr(dial_module, "tls_context", loads)

    async def main(port: int) -> None:
        dialer = Dialer(never_asked, connect_timeout_s=0.01)
        try:
            assert await dial(dialer, port) == "timeout"
        finally:
            loads.let_go.set()

    with upstream() as server:
        anyio.run(main, server.port, backend_options={"use_uvloop": True})
