"""Run a plain upstream at localhost, and a proxy that intercepts what is sent to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from support.proxy.interception import Intercepting, intercepting
from support.proxy.thread import PHANTOM, Client, a_route
from support.servers.http1 import Handler, HttpUpstream, answer_ok, upstream

BEARER = b"Authorization: Bearer " + PHANTOM.encode() + b"\r\n"
OWN_KEY = b"Authorization: Bearer sk-a-key-of-the-childs-own\r\n"


def get(port: int, path: str = "/v1", fields: bytes = BEARER, *, host: str = "localhost") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n".encode() + fields + b"\r\n"


class InterceptedLocalhost(NamedTuple):
    server: HttpUpstream
    proxy: Intercepting


class InsideLocalhost(NamedTuple):
    server: HttpUpstream
    proxy: Intercepting
    client: Client  # through a CONNECT to the upstream


@contextmanager
def intercepted_localhost(
    handler: Handler = answer_ok,
    *,
    route: Mapping[str, object] | None = None,
    **options: object,
) -> Iterator[InterceptedLocalhost]:
    """Yield both, closed when the block is left. route: changes of the route; options: those of proxy."""
    with (
        upstream(handler) as server,
        intercepting(a_route(server.port, host="localhost", **(route or {})), **options) as proxy,  # type: ignore[arg-type]  # passed on
    ):
        yield InterceptedLocalhost(server, proxy)


@contextmanager
def inside_localhost(
    handler: Handler = answer_ok,
    *,
    route: Mapping[str, object] | None = None,
    receive_buffer: int | None = None,
    **options: object,
) -> Iterator[InsideLocalhost]:
    """Yield the same with a client inside. receive_buffer: the client's."""
    with (
        intercepted_localhost(handler, route=route, **options) as (server, proxy),
        proxy.inside("localhost", server.port, receive_buffer=receive_buffer) as client,
    ):
        yield InsideLocalhost(server, proxy, client)
