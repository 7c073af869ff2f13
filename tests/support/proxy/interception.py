"""Run a proxy that intercepts, and clients that send exact bytes through their CONNECT."""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from nono.proxy.tls.session_ca import SessionCa
from nono.proxy.verdict.routes import Route
from support.proxy.thread import TOKEN, Client, ProxyUnderTest, proxy


def connect(authority: str) -> bytes:
    """Return the head of a CONNECT with the session token."""
    basic = b64encode(f"nono:{TOKEN}".encode()).decode()
    fields = f"Host: {authority}\r\nProxy-Authorization: Basic {basic}\r\n"
    return f"CONNECT {authority} HTTP/1.1\r\n{fields}\r\n".encode()


class Inside(Client):
    """A client whose bytes go through a CONNECT that the proxy intercepts."""

    def __init__(
        self,
        port: int,
        authority: str,
        server_name: str,
        trust: ssl.SSLContext,
        *,
        receive_buffer: int | None = None,
    ) -> None:
        super().__init__(port, receive_buffer=receive_buffer)
        try:
            self.send(connect(authority))
            status, reason, _ = self.head()
            assert status == 200, f"{status} {reason}"
            self.transport = self.start_tls(server_name, trust)
        except BaseException:
            self.transport.close()
            raise


@dataclass
class Intercepting(ProxyUnderTest):
    """A proxy with a session authority, which trust accepts."""

    trust: ssl.SSLContext

    def inside(
        self, host: str, port: int, *, server_name: str | None = None, receive_buffer: int | None = None
    ) -> Inside:
        authority = f"{host}:{port}"
        return Inside(self.port, authority, server_name or host, self.trust, receive_buffer=receive_buffer)


@contextmanager
def intercepting(*routes: Route, **options: object) -> Iterator[Intercepting]:
    """Yield a running proxy that intercepts. options: those of proxy."""
    authority = SessionCa.create()
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.load_verify_locations(cadata=authority.certificate_pem.decode())

    def server_context(host: str, has_x25519: bool) -> ssl.SSLContext:
        return authority.server_context(host, x25519=has_x25519)

    with proxy(*routes, server_context=server_context, **options) as p:  # type: ignore[arg-type]  # passed on
        yield Intercepting(p.running, p.recording, p.names, p._token, trust)
