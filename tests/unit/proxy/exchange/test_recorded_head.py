"""A recorded request shows where a credential was written, and nothing of the credential."""

from __future__ import annotations

from typing import Any

import pytest

from nono.policy.schema.route_rules import Inject
from nono.proxy.flows.flow import Flow
from nono.proxy.flows.recorder import FlowRecorder
from support.proxy.thread import PHANTOM, Client, a_route, proxy
from support.servers.http1 import answer_ok, upstream


class Recorder(FlowRecorder):
    """Keeps what each flow begins with, and writes nothing."""

    def __init__(self) -> None:
        super().__init__("/nonexistent", lambda text: text)
        self.begun = list[dict[str, Any]]()

    def begin(self, **begins: Any) -> Flow:
        self.begun.append(begins)
        return super().begin(**begins)


@pytest.mark.parametrize(
    ("inject", "shown"),
    [
        (Inject(header="X-Key"), [(b"X-Key", b"[REDACTED]")]),
        (Inject("basic_auth", header="Authorization"), [(b"Authorization", b"[REDACTED]")]),
        (Inject("query_param", query_param="key"), []),
    ],
    ids=lambda value: value.mode if isinstance(value, Inject) else "",
)
def test_a_header_is_shown_where_the_key_goes_into_one(
    inject: Inject, shown: list[tuple[bytes, bytes]]
) -> None:
    recorder = Recorder()
    with upstream(answer_ok) as server, proxy(a_route(server.port, inject=inject), flows=recorder) as p:
        with Client(p.port) as client:
            fields = f"Authorization: Bearer {PHANTOM}\r\nAccept: a/b\r\n"
            client.send(f"GET /alpha/v1?page=2 HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n".encode())
            assert client.response().status == 200
        [begun] = recorder.begun
        authority = f"127.0.0.1:{server.port}".encode()
        assert begun["headers"] == [(b"Host", authority), (b"Accept", b"a/b"), *shown]
        assert (begun["host"], begun["port"], begun["target"]) == ("127.0.0.1", server.port, b"/v1?page=2")
