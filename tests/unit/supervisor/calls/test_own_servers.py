"""What a connect to one of the command's own servers is answered if that ends meanwhile."""

from __future__ import annotations

import errno
import socket
from typing import Any, cast

import pytest

from nono.supervisor.calls.own_servers import OwnServers
from nono.supervisor.verdict.adjudicator import Refuse, loopback
from nono.supervisor.verdict.own_servers import Standing

REFUSAL = Refuse(errno.EACCES, "127.0.0.1", 1, "only the proxy can be reached", "network.proxy_only", None)


class Stub:
    """Everything around OwnServers that this test is not about."""

    def __init__(self, caller: socket.socket) -> None:
        self._caller = caller

    def tcp_socket(self, call: object) -> socket.socket:
        return self._caller.dup()

    def dedup(self, event: object) -> None: ...

    def arm(self) -> None: ...


@pytest.mark.parametrize(
    ("afterwards", "answer"),
    [(Standing.NOBODY, errno.ECONNREFUSED), (Standing.FOREIGN, REFUSAL)],
    ids=["nobody listens", "another program listens"],
)
def test_only_a_server_of_somebody_else_makes_a_connect_a_denial(
    afterwards: Standing, answer: int | Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as caller:
        stub = cast(Any, Stub(caller))
        servers = OwnServers(stub, stub, stub, stub)
        found = iter([Standing.OWN, Standing.OWN, afterwards])
        monkeypatch.setattr(servers, "_standing", lambda _: next(found))
        try:
            assert servers.connect(stub, loopback(server.getsockname()[1]), REFUSAL) == answer
        finally:
            servers.close()
        with pytest.raises(OSError, match="not connected"):
            caller.getpeername()
