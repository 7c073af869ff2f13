"""On which sockets a call with the path of a Unix socket is performed."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nono.policy.files.unix_sockets import UnixSocketRules
from nono.supervisor.calls.unix import UnixCalls

MEDIATED, LEFT = UnixSocketRules(), UnixSocketRules(files=())


@pytest.mark.parametrize(
    ("family", "kind", "rules", "is_served"),
    [
        (socket.AF_UNIX, socket.SOCK_STREAM, MEDIATED, True),
        (socket.AF_UNIX, socket.SOCK_SEQPACKET, MEDIATED, True),
        (socket.AF_UNIX, socket.SOCK_DGRAM, MEDIATED, False),
        (socket.AF_UNIX, socket.SOCK_DGRAM, LEFT, True),
        (socket.AF_INET, socket.SOCK_STREAM, MEDIATED, False),
        (socket.AF_INET, socket.SOCK_STREAM, LEFT, False),
    ],
)
def test_a_mediated_call_is_made_on_a_socket_that_keeps_its_peer(
    family: int, kind: int, rules: UnixSocketRules, is_served: bool
) -> None:
    with socket.socket(family, kind) as caller:
        stub = cast(Any, SimpleNamespace(socket=lambda _: caller.dup(), close=lambda: None))
        calls = UnixCalls(stub, rules, stub, stub, stub, stub, stub)
        duplicate = calls._stream(stub)
        assert (duplicate is not None) == is_served
        if duplicate is not None:
            duplicate.close()
        calls.close()
