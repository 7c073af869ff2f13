"""K3, K17, K18: what outlives its parent, its supervisor or its own call is no freer for it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from nono.supervisor import abort
from support.canary import Canary
from support.ladder.launch import wait_until
from support.nono_run import NO_NAMESPACES, POLICIES, SANDBOX_POLICIES, NonoRun, program
from support.running.pace import PACE
from support.sessions.control import ask_all, key_of
from support.sessions.records import records

LIMIT_S = 60 * PACE
WHILE_NONO_LIVES = {"tcp": "EACCES", "udp": "EPERM", "write": "EACCES"}
# The canary listens in the network outside, and nobody does inside.
IN_A_NAMESPACE = WHILE_NONO_LIVES | {"tcp": "ECONNREFUSED", "udp": "ok"}
# On the rung notify nobody listens any more: the kernel answers a trapped call (seccomp_unotify(2)).
AFTER_NONO = {
    "auto": {"tcp": "ENOSYS", "udp": "ENOSYS", "write": "EACCES"},
    "landlock": WHILE_NONO_LIVES,
    "netns": IN_A_NAMESPACE,
}
EACH_POLICY = pytest.mark.parametrize("policy", SANDBOX_POLICIES)
NAMESPACES = pytest.mark.parametrize("namespaces", ["--namespaces=require", NO_NAMESPACES])
UNRESTRICTED = {"tcp": "ok", "udp": "ok", "write": "ok"}


def running(command: Sequence[str]) -> list[str]:
    """Return the processes that run a command; it names ports that no other command has."""
    found = []
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            if cmdline.read_bytes().split(b"\0")[:-1] == [*map(os.fsencode, command)]:
                found.append(cmdline.parent.name)
    return found


@contextmanager
def fifos(sandbox: NonoRun) -> Iterator[None]:
    paths = [sandbox.project / name for name in ("go", "answer")]
    for path in paths:
        os.mkfifo(path)
        sandbox.give(path)
    try:
        yield
    finally:
        for path in paths:
            path.unlink()


def wait_for_the_loop(sandbox: NonoRun, supervisor: int) -> None:
    """Wait until the loop waits: an import may hold a lock of C, and libuv aborts within the loop alone."""
    session_id = records(sandbox.user)[0]["session_id"]
    assert ask_all(sandbox, session_id, ("GET", "/", None, key_of(sandbox, session_id)))[0][0] == 404
    status = Path(f"/proc/{supervisor}/status")
    assert wait_until(lambda: "State:\tS" in status.read_text())


def tell(sandbox: NonoRun) -> dict[str, str]:
    """Have the daemon try.

    Returns its outcomes; pytest's time limit ends a wait for a daemon that is gone.
    """
    (sandbox.project / "go").write_text("go", encoding="ascii")
    return dict(json.loads((sandbox.project / "answer").read_text(encoding="ascii")))


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("ends", ["not yet", "killed with nono"])
def test_a_daemon_stays_as_restricted_as_it_was_born(ends: str, policy: str, sandbox: NonoRun) -> None:
    before = set(sandbox.logs())
    with Canary() as canary, fifos(sandbox):
        ports = canary.tcp("tcp"), canary.udp("udp")
        command = program("proxy.daemon", *ports, "stay")
        with sandbox.started(command, flags=[f"--sandbox-policy={policy}", NO_NAMESPACES]) as nono:
            assert nono.stdin is not None
            assert nono.stdout is not None
            assert int(nono.stdout.readline()) > 1
            if ends == "killed with nono":
                nono.kill()
                assert nono.stdout.read() == ""  # the command, which held the other end, is gone as well
                assert nono.wait(LIMIT_S) == -signal.SIGKILL
            outcomes = tell(sandbox)
            if ends == "not yet":
                nono.stdin.close()
                assert nono.wait(LIMIT_S) == 0
        assert canary.seen() == {}
    before_the_end = IN_A_NAMESPACE if policy == "netns" else WHILE_NONO_LIVES
    assert outcomes == (before_the_end if ends == "not yet" else AFTER_NONO[policy])
    denied = [event["event"] for event in sandbox.events_since(before) if event["type"] == "network"]
    expected = {("127.0.0.1", ports[0]), ("socket(family=2, type=2, protocol=0)", None)}
    assert {(event["target"], event["port"]) for event in denied} == (
        expected if ends == "not yet" and policy == "auto" else set()
    )


@EACH_POLICY
@NAMESPACES
def test_a_daemon_does_not_outlive_the_run(namespaces: str, policy: str, sandbox: NonoRun) -> None:
    with Canary() as canary, fifos(sandbox):
        ports = canary.tcp("tcp"), canary.udp("udp")
        command = program("proxy.daemon", *ports, "leave")
        with sandbox.started(command, flags=[f"--sandbox-policy={policy}", namespaces]) as nono:
            assert nono.stdout is not None
            assert int(nono.stdout.readline()) > 1
            assert nono.wait(LIMIT_S) == 0
            assert running(command) == []
        assert canary.seen() == {}


@pytest.mark.needs("namespaces")
@EACH_POLICY
def test_a_daemon_in_namespaces_does_not_outlive_a_killed_supervisor(policy: str, sandbox: NonoRun) -> None:
    with Canary() as canary, fifos(sandbox):
        command = program("proxy.daemon", canary.tcp("tcp"), canary.udp("udp"), "stay")
        with sandbox.started(command, flags=[f"--sandbox-policy={policy}"]) as nono:
            assert nono.stdout is not None
            assert int(nono.stdout.readline()) > 1
            assert running(command) != []
            nono.kill()
            assert nono.stdout.read() == ""
            assert nono.wait(LIMIT_S) == -signal.SIGKILL
            assert wait_until(lambda: running(command) == [])
        assert canary.seen() == {}


@EACH_POLICY
@NAMESPACES
def test_a_daemon_does_not_outlive_an_aborted_supervisor(
    namespaces: str, policy: str, sandbox: NonoRun
) -> None:
    before = set(sandbox.logs())
    with Canary() as canary, fifos(sandbox):
        command = program("proxy.daemon", canary.tcp("tcp"), canary.udp("udp"), "stay")
        with sandbox.started(command, flags=[f"--sandbox-policy={policy}", namespaces]) as nono:
            assert nono.stdout is not None
            assert int(nono.stdout.readline()) > 1
            assert running(command) != []
            wait_for_the_loop(sandbox, nono.pid)
            nono.send_signal(signal.SIGABRT)  # as abort(3) does
            assert nono.stdout.read() == ""
            assert nono.wait(LIMIT_S) == abort.EXIT_CODE
            assert running(command) == []
        assert canary.seen() == {}
    ended = [*sandbox.events_since(before)][-1]
    assert ended["exit_code"] == abort.EXIT_CODE
    (log,) = {*sandbox.logs()} - before
    assert json.loads((log.parent / "session.json").read_text())["exit_code"] == abort.EXIT_CODE
    record = records(sandbox.user)[0]
    assert record["end"] == ended["end"]
    assert (record["end"]["cause"], record["end"]["detail"]) == ("failed", abort.REASON)


def test_the_daemon_gets_out_without_nono(sandbox: NonoRun) -> None:
    with Canary() as canary, fifos(sandbox):
        ports = canary.tcp("tcp"), canary.udp("udp")
        with sandbox.started(program("proxy.daemon", *ports, "leave"), sandboxed=False) as process:
            assert process.stdout is not None
            pid = int(process.stdout.readline())
            assert process.wait(LIMIT_S) == 0
            assert Path(f"/proc/{pid}").exists()
            assert tell(sandbox) == UNRESTRICTED
        assert canary.seen() == {"tcp": 1, "udp": 1}
    (sandbox.user.home / "outside").unlink()


@pytest.mark.needs("listener")
def test_the_supervisor_survives_callers_killed_in_the_middle_of_a_call(
    sandbox: NonoRun,
) -> None:
    """K3: three hundred processes are killed while they connect; whoever comes after is judged as ever."""
    with Canary() as canary:
        port = canary.tcp("stranger")
        run = sandbox.run(program("proxy.killed_callers", port, 300))
        assert canary.seen() == {}
    assert run.outcomes() == {"stranger": "EACCES", "proxy": "ok"}
    assert ("127.0.0.1", port) in run.denied_targets()
