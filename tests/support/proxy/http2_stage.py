"""Run a proxy that offers HTTP/2 to clients inside a CONNECT, and an upstream that speaks only that."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import anyio
import h2.settings

from nono.credentials.values.credential import Credential
from nono.proxy.handshake.alpn import HTTP1, HTTP2
from nono.proxy.http2.connection import Http2Connection
from nono.proxy.tls.session_ca import SessionCa
from nono.proxy.verdict.routes import Route
from support.clients.http2 import Http2Client, h2_client
from support.proxy.thread import PHANTOM, ProxyUnderTest, a_route, proxy
from support.servers.http1 import Authority, HttpUpstream, upstream
from support.servers.http1 import Handler as Http1Handler
from support.servers.http2 import Handler, Http2Server, answer_ok, h2_upstream

HOST = "api.test"
KEY = ("authorization", f"Bearer {PHANTOM}")


@cache
def session_authority() -> SessionCa:
    """Return the one authority for all tests: creating one takes longer than a test."""
    return SessionCa.create()


@dataclass
class Stage:
    """A running proxy. upstream_ca: the file to verify the upstream with; ca_file: the one for clients."""

    proxy: ProxyUnderTest
    port: int  # of the upstream
    ca_file: str
    upstream_ca: str

    @property
    def authority(self) -> str:
        return f"{HOST}:{self.port}"

    def client(
        self,
        *,
        acknowledges: bool = True,
        settings: dict[h2.settings.SettingCodes, int] | None = None,
        starts: bool = True,
        receive_buffer: int | None = None,
    ) -> AbstractContextManager[Http2Client]:
        return h2_client(
            self.proxy.port,
            self.authority,
            self.ca_file,
            acknowledges=acknowledges,
            settings=settings,
            starts=starts,
            receive_buffer=receive_buffer,
        )

    def connections(self) -> list[Http2Connection]:
        members = self.proxy.running.serving().context.connections.members
        return [member for member in members if isinstance(member, Http2Connection)]

    def wind_down(self) -> None:
        """Do what the proxy does with its clients when it ends."""

        def each() -> None:
            for connection in self.connections():
                connection.wind_down()

        anyio.from_thread.run_sync(each, token=self.proxy._token)


def server_context(host: str, has_x25519: bool, *, http2: bool = True) -> ssl.SSLContext:
    return session_authority().server_context(host, HTTP2 if http2 else HTTP1, x25519=has_x25519)


def a_route_to(port: int, ca: str | None, credential: Credential | None = None, **changes: object) -> Route:
    return a_route(port, host=HOST, scheme="https", tls_ca=ca, credential=credential, **changes)  # type: ignore[arg-type]  # a test names the fields it changes


@contextmanager
def _stage(port: int, ca: str, routes: Sequence[Route], options: dict[str, object]) -> Iterator[Stage]:
    with tempfile.TemporaryDirectory() as folder:
        ca_file = Path(folder) / "session-ca.pem"
        ca_file.write_bytes(session_authority().certificate_pem)
        options = {"server_context": server_context, **options}
        with proxy(*routes, **options) as running:  # type: ignore[arg-type]  # passed on
            yield Stage(running, port, str(ca_file), ca)


@contextmanager
def authority() -> Iterator[Authority]:
    """Return a certificate authority for an upstream."""
    with tempfile.TemporaryDirectory() as folder:
        yield Authority(str(Path(folder) / "upstream-ca.pem"))


@contextmanager
def h2_stage(
    handler: Handler = answer_ok,
    *,
    credential: Credential | None = None,
    settings: dict[h2.settings.SettingCodes, int] | None = None,
    options: dict[str, object] | None = None,
    **changes: object,
) -> Iterator[tuple[Stage, Http2Server]]:
    """Yield a route to an upstream that speaks only h2. changes: fields of Route; options: those of proxy."""
    with authority() as ca, h2_upstream(ca.server_context(HOST), handler, settings) as server:
        route = a_route_to(server.port, ca.ca_file, credential, **changes)
        with _stage(server.port, ca.ca_file, [route], options or {}) as stage:
            yield stage, server


@contextmanager
def h1_stage(
    handler: Http1Handler,
    *,
    credential: Credential | None = None,
    **changes: object,
) -> Iterator[tuple[Stage, HttpUpstream]]:
    """Yield a route to an upstream that speaks only HTTP/1.1. changes: fields of Route."""
    with authority() as ca, upstream(handler, ca.server_context(HOST)) as server:
        route = a_route_to(server.port, ca.ca_file, credential, **changes)
        with _stage(server.port, ca.ca_file, [route], {}) as stage:
            yield stage, server


@contextmanager
def routes_stage(port: int, ca: str, routes: Sequence[Route], **options: object) -> Iterator[Stage]:
    """Yield a stage with the test's own routes."""
    with _stage(port, ca, routes, options) as stage:
        yield stage
