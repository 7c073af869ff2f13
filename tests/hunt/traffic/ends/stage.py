"""What outlives a play: certificates, the port of the proxy, and the upstream's listener."""

from __future__ import annotations

import socket
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.proxy.http2_stage import session_authority
from support.servers.http1 import Authority

HOSTS = ("api.test", "api.openai.com", "api.anthropic.com", "localhost")


@dataclass(frozen=True)
class Stage:
    """Two plays on one stage use the same ports, so that nothing they send differs by them."""

    listener: socket.socket
    proxy_port: int
    ca_file: str
    served: dict[bool, ssl.SSLContext]  # by whether HTTP/2 is spoken
    trust: dict[bool, ssl.SSLContext]

    @property
    def port(self) -> int:
        """Of the upstream."""
        return int(self.listener.getsockname()[1])


def _trust(protocol: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=session_authority().certificate_pem.decode())
    context.set_alpn_protocols([protocol])
    return context


def _served(authority: Authority, protocol: str) -> ssl.SSLContext:
    context = authority.server_context(*HOSTS)
    context.set_alpn_protocols([protocol])
    return context


@contextmanager
def stage() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(str(Path(folder) / "upstream-ca.pem"))
        with socket.create_server(("127.0.0.1", 0), backlog=256) as listener, socket.socket() as kept:
            kept.bind(("127.0.0.1", 0))
            port = int(kept.getsockname()[1])
            kept.close()
            listener.setblocking(False)
            yield Stage(
                listener,
                port,
                authority.ca_file,
                {True: _served(authority, "h2"), False: _served(authority, "http/1.1")},
                {True: _trust("h2"), False: _trust("http/1.1")},
            )
