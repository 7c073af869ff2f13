"""K4 to K6 and K15 wherever no supervisor judges a call: the same ways, closed by what is left."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable

import pytest

from support.attack_programs.sockets.odd_sockets import FAMILIES, PERMITTED
from support.canary import Canary
from support.modes import MODES, Mode, available
from support.nono_run import NonoRun, program

RINGS = ("io_uring_setup", "io_uring_enter", "io_uring_register")
CALLS = ("sendto", "sendmsg", "sendmmsg")
GATES = ("native", "i386", "socketcall", "x32")
# Their paths are not judged in these modes, which is said; so their kind is not either.
UNIX = ("unix datagram", "unix raw")
UDP = ("udp", "udp6", "udp with high bits")  # of the command's own network
DETOURS = (
    "dup2 over a connected socket",
    "dup2 over a high number",
    "SCM_RIGHTS",
    "own descriptor table",
    "vfork",
)
X86_ONLY = pytest.mark.skipif(os.uname().machine != "x86_64", reason="gates of x86-64")


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> Mode:
    chosen = MODES[request.param]
    if not available(chosen):
        pytest.skip("Landlock has no TCP rules on this kernel")
    return chosen


def test_the_mode_is_the_one_that_is_meant(mode: Mode, sandbox: NonoRun) -> None:
    run = sandbox.run(["true"], flags=mode.flags, wrapper=mode.wrapper)
    assert [event["rung"] for event in run.events if event["type"] == "enforced_by"] == [mode.rung]


@X86_ONLY
def test_no_system_call_table_leads_to_a_stranger(
    mode: Mode, sandbox: NonoRun, compiled: Callable[[str], str]
) -> None:
    """K5. The native one is judged by its port, or finds nobody; the others are not there."""
    each = f'for gate in {" ".join(GATES)}; do "$0" "$gate" "$1"; done'
    with Canary() as canary:
        command = ["sh", "-c", each, compiled("foreign_abi"), str(canary.tcp("stranger"))]
        ended = sandbox.run(command, flags=mode.flags, wrapper=mode.wrapper)
        assert canary.seen() == {}
    native, *foreign = [json.loads(line) for line in ended.stdout.splitlines()]
    assert native["socket"] > 0
    assert native["connect"] in (-errno.EACCES, -errno.ECONNREFUSED)
    assert foreign == [{"socket": -errno.EPERM, "connect": -errno.EPERM}] * 3


def test_a_send_reaches_nobody(mode: Mode, sandbox: NonoRun) -> None:
    """K6."""
    with Canary() as canary:
        command = program("sending.sends", canary.tcp("tcp"), canary.udp("udp"))
        outcomes = sandbox.run(command, flags=mode.flags, wrapper=mode.wrapper).outcomes()
        assert canary.seen() == {}
    fast_open = {name: outcome for name, outcome in outcomes.items() if "(MSG_FASTOPEN)" in name}
    assert len(fast_open) == 12
    assert set(fast_open.values()) == {"EPERM"}
    assert {outcomes[f"{call} on udp"] for call in CALLS} == {"ok" if mode.rung == "netns" else "EPERM"}
    assert outcomes["connect with TCP_FASTOPEN_CONNECT"] == "EPERM"
    assert outcomes["connect to the proxy with TCP_FASTOPEN_CONNECT"] == "EPERM"


def test_sockets_and_rings_are_refused(mode: Mode, sandbox: NonoRun) -> None:
    """K4."""
    run = sandbox.run(program("sockets.odd_sockets", "harmless"), flags=mode.flags, wrapper=mode.wrapper)
    outcomes = run.outcomes()
    made = (*UNIX, *(UDP if mode.rung == "netns" else ()))
    closed = [name for name in FAMILIES if name not in made]
    assert {name: outcomes[name] for name in closed} == dict.fromkeys(closed, "EPERM")
    assert {name: outcomes[name] for name in RINGS} == dict.fromkeys(RINGS, "EPERM")
    assert {name: outcomes[name] for name in PERMITTED} == dict.fromkeys(PERMITTED, "ok")


@pytest.mark.needs("unshare")
def test_no_detour_reaches_a_stranger(mode: Mode, sandbox: NonoRun) -> None:
    """K11. A socket that is not bound listens all the same, on a port of its own: the plan says so."""
    with Canary() as canary:
        command = program("sockets.socket_calls", canary.tcp("stranger"))
        run = sandbox.run(command, flags=mode.flags, wrapper=mode.wrapper)
        assert canary.seen() == {}
    outcomes = run.outcomes()
    to_proxy = {name: outcome for name, outcome in outcomes.items() if name.endswith(", to the proxy")}
    assert len(to_proxy) == 4
    assert set(to_proxy.values()) == {"ok"}
    assert {outcomes[name] for name in DETOURS} <= {"EACCES", "ECONNREFUSED"}
    gaps = [event["what"] for event in run.events if event["type"] == "not_enforced"]
    is_said = any("listens all the same" in gap for gap in gaps)
    assert (outcomes["listen unbound"], is_said) == ("ok", mode.rung == "landlock")
