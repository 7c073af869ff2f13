"""K1, K2: nothing that changes while it is judged gets through, in ten thousand tries each or more.

The second user of .ci/run has half as many.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from support.canary import Canary
from support.modes import MODES, available
from support.nono_run import NonoRun, most_records
from support.ports import unused_port
from support.running.races import ATTEMPTS, Attempts

# At least a hundred thousand with NONO_TEST_LONG; fewer where everything is emulated.
LONG_TRIES = 100_000
TRIES = int(os.environ.get("NONO_TEST_TRIES") or (LONG_TRIES if os.environ.get("NONO_TEST_LONG") else 10_000))
SYSTEM_PORT = 987
UNJUDGED = TRIES if TRIES >= LONG_TRIES else TRIES // 10  # where the kernel alone reads what is flipped
ELSEWHERE = "127.0.0.2"


def sockaddr_as_path(port: int) -> bytes:
    """Return the sockaddr of 127.0.0.1:port read as a sockaddr_un: the bytes before its first NUL."""
    return struct.pack("!HB", port, 127)


def is_race(mode: str, counts: Mapping[str, int], tries: int) -> bool:
    """Return True if both got their turn: on a busy machine one of them may hardly get any."""
    return mode == "unmap" or counts["permitted"] > tries // 100


def listen_elsewhere(canary: Canary, project: Path) -> int:
    """Listen on a port of 127.0.0.2 that 127.0.0.1 does not use, and at the path that its sockaddr spells."""
    for _ in range(100):
        port = unused_port()
        name = sockaddr_as_path(port)
        if not {0, ord("/")} & set(name):
            break
    path = project / os.fsdecode(name)
    path.unlink(missing_ok=True)
    canary.unix("family", path)
    return canary.tcp("address", ELSEWHERE, port)


@pytest.mark.needs("listener")
@pytest.mark.parametrize("mode", ["port", "address", "family", "unmap", "bind", "listen"])
def test_what_is_flipped_during_a_call_reaches_nothing_forbidden(
    mode: str, sandbox: NonoRun, compiled: Callable[[str], str], attempts: Attempts
) -> None:
    race, listen_port = compiled("race"), unused_port()
    with Canary() as canary:
        port = listen_elsewhere(canary, sandbox.project)
        # Any other port of loopback could be served, except those of the system.
        forbidden_port = SYSTEM_PORT if mode == "bind" else canary.tcp("port")
        good = listen_port if mode in ("bind", "listen") else port
        canary.start()
        command = [race, mode, str(TRIES), str(good), str(forbidden_port), ELSEWHERE]
        flags = [f"--proxy-port={port}", f"--listen-port={listen_port}"]
        for _ in attempts(ATTEMPTS):
            run = sandbox.run(command, flags=flags)
            counts = run.outcomes()
            print(mode, TRIES, counts)  # shown by pytest -rP
            assert canary.seen() == {}
            assert counts["forbidden"] == 0
            if is_race(mode, counts, TRIES):
                break
    # The same program, the same loop: what was permitted did get through in between.
    assert is_race(mode, counts, TRIES)
    refusals = [event for event in run.denial_lines if "rule" in event]  # the proxy's own come without
    assert refusals
    assert sum(event.get("repeats", 1) for event in refusals) <= TRIES
    assert len(refusals) <= most_records(refusals)


def unjudged_races() -> list[tuple[str, str]]:
    """List the races that are held without a supervisor. Landlock holds no address, and that is said.

    In a network of its own every port is the command's: unit/sandbox/plan/test_plan.py.
    """
    rungs = MODES if TRIES >= LONG_TRIES else ("busy", "netns")
    return [
        (mode, rung)
        for rung in rungs
        for mode in ("port", "address", "unmap", "bind")
        if available(MODES[rung])
        and (mode != "address" or MODES[rung].rung == "netns")
        and (mode != "bind" or MODES[rung].rung == "landlock")
    ]


@pytest.mark.parametrize(("mode", "rung"), unjudged_races())
def test_nothing_forbidden_is_reached_either_where_nobody_judges_the_call(
    mode: str, rung: str, sandbox: NonoRun, compiled: Callable[[str], str], attempts: Attempts
) -> None:
    """By what is left: Landlock's ports, or a network with nobody else in it."""
    held = MODES[rung]
    with Canary() as canary:
        port = listen_elsewhere(canary, sandbox.project)
        # Any other port of loopback could be served, except those of the system.
        forbidden_port = SYSTEM_PORT if mode == "bind" else canary.tcp("port")
        canary.start()
        for _ in attempts(ATTEMPTS):
            # Another one each time: without a supervisor, a port that somebody took in between is taken.
            good = unused_port() if mode == "bind" else port
            command = [compiled("race"), mode, str(UNJUDGED), str(good), str(forbidden_port), ELSEWHERE]
            flags = [f"--proxy-port={port}", *held.flags]
            if mode == "bind":
                flags.append(f"--listen-port={good}")
            run = sandbox.run(command, flags=flags, wrapper=held.wrapper, timeout_s=max(90, UNJUDGED / 250))
            counts = run.outcomes()
            print(rung, mode, UNJUDGED, counts)  # shown by pytest -rP
            assert canary.seen() == {}
            assert counts["forbidden"] == 0
            if is_race(mode, counts, UNJUDGED):
                break
    assert is_race(mode, counts, UNJUDGED)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) == 1, reason="one processor changes nothing during a call")
@pytest.mark.parametrize(
    "mode",
    [
        *(
            pytest.param(each, marks=pytest.mark.any_user)
            for each in ("port", "address", "family", "unmap", "listen")
        ),
        "bind",  # to a port of the system, which the kernel keeps from an ordinary user
    ],
)
def test_the_race_is_one_without_nono(mode: str, sandbox: NonoRun, compiled: Callable[[str], str]) -> None:
    race = compiled("race")
    with Canary() as canary:
        port = listen_elsewhere(canary, sandbox.project)
        canary.tcp("good", "127.0.0.1", port)
        forbidden_port = canary.tcp("port") if mode != "bind" else SYSTEM_PORT
        if mode == "bind" and sandbox.user.uid != 0:
            forbidden_port = unused_port()  # the kernel keeps those of the system from this user anyway
        good = unused_port() if mode in ("bind", "listen") else port
        canary.start()
        command = [race, mode, str(TRIES), str(good), str(forbidden_port), ELSEWHERE]
        # On a machine that is busy with other things a few thousand tries may all miss.
        attempts = (sandbox.bare(command).outcomes()["forbidden"] for _ in range(30))
        assert any(forbidden > 0 for forbidden in attempts)
        name = "port" if mode == "unmap" else mode
        assert mode in ("bind", "listen") or canary.seen()[name] > 0
