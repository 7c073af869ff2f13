"""K6: no send that names its destination reaches it, and TCP Fast Open connects to nobody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.canary import Canary
from support.nono_run import NonoRun, program
from support.running.needs import has_datagrams

CALLS = ("sendto", "sendmsg", "sendmmsg")
FAST_OPEN = "tcp with TCP_FASTOPEN_CONNECT"
TCP = ("tcp", "tcp connected", "tcp6", FAST_OPEN)


def expected(udp: str) -> dict[str, str]:
    """Return refusals, or no effect: the kernel ignores the destination in a send on a TCP socket.

    udp: What becomes of UDP, which is sent to nobody if it is.
    """
    ignored = {name: "ok" if name == "tcp connected" else "EPIPE" for name in TCP}
    return (
        {f"{call}(MSG_FASTOPEN) on {name}": "EPERM" for call in CALLS for name in TCP}
        | {f"{call} on {name}": ignored[name] for call in CALLS for name in TCP}
        | {f"{call} on {FAST_OPEN}": "EPERM" for call in CALLS}  # the option is refused before
        | {f"{call} on udp": udp for call in CALLS}
        | {"connect with TCP_FASTOPEN_CONNECT": "EPERM"}
        | {"connect to the proxy with TCP_FASTOPEN_CONNECT": "EPERM"}
    )


@contextmanager
def destinations() -> Iterator[tuple[Canary, int, int]]:
    with Canary() as canary:
        yield canary, canary.tcp("tcp"), canary.udp("udp")


@pytest.mark.needs("listener")
def test_a_send_reaches_nobody_on_any_socket(sandbox: NonoRun) -> None:
    with destinations() as (canary, tcp, udp):
        run = sandbox.run(program("sending.sends", tcp, udp))
        assert canary.seen() == {}
    has_udp = has_datagrams(sandbox.user.uid)
    assert run.outcomes() == expected("ok" if has_udp else "EPERM")
    targets = run.denied_targets()
    assert {(f"{call}(MSG_FASTOPEN)", None) for call in CALLS} <= targets
    assert (("socket(family=2, type=2, protocol=0)", None) in targets) is not has_udp


def test_the_sends_reach_their_destination_without_nono(sandbox: NonoRun) -> None:
    with destinations() as (canary, tcp, udp):
        proxy = canary.tcp("proxy")
        canary.start()
        environment = {"HTTP_PROXY": f"http://127.0.0.1:{proxy}"}
        outcomes = sandbox.bare(program("sending.sends", tcp, udp), environment=environment).outcomes()
        seen = canary.seen()
    # Three calls with MSG_FASTOPEN on the three sockets that are not connected, and one connect.
    assert (seen["tcp"], seen["udp"]) == (3 * 3 + 1, 3)
    for call in CALLS:
        assert outcomes[f"{call}(MSG_FASTOPEN) on tcp"] == outcomes[f"{call} on udp"] == "ok"
