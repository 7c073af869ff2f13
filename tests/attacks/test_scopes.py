"""K10, K12: what signal_mode and ipc_mode hold of other processes, with Landlock's scopes and without."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import pytest

from nono.kernel import landlock
from nono.sandbox.plan.ladder import PROCESS_INFO_GAP
from support.kernelsim.kernel import Kernel
from support.nono_run import NO_NAMESPACES, POLICIES, PROXY_ONLY, NonoRun, program

HAS_SCOPES = landlock.abi_version() >= 6
needs_scopes = pytest.mark.skipif(not HAS_SCOPES, reason="this kernel has no Landlock scopes")
BEFORE_SCOPES = Kernel(landlock_abi=5).command([])
SIGNALS = ("kill 0", "kill", "pidfd")
FLAGS = ("-v", NO_NAMESPACES)
UNSCOPED = "not restricted: Landlock V5 has no scopes (V6+)."


@contextmanager
def outside(sandbox: NonoRun) -> Iterator[tuple[int, str]]:
    """Yield a process of the user and a listening abstract socket, both outside."""
    sleeper = os.fork()
    if sleeper == 0:
        os.setresgid(*(sandbox.user.gid,) * 3)
        os.setresuid(*(sandbox.user.uid,) * 3)
        signal.pause()
        os._exit(0)
    name = f"nono-scopes-{os.getpid()}"
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"\0{name}")
            listener.listen()
            yield sleeper, name
    finally:
        os.kill(sleeper, signal.SIGKILL)
        os.waitpid(sleeper, 0)


def not_enforced(events: Sequence[Mapping[str, object]]) -> list[str]:
    return [str(event["what"]) for event in events if event["type"] == "not_enforced"]


@needs_scopes
@pytest.mark.parametrize(
    ("security", "signals", "abstract"),
    [
        pytest.param({}, "EPERM", "EPERM", id="defaults"),
        pytest.param({"signal_mode": "isolated", "ipc_mode": "full"}, "EPERM", "ok", id="ipc full"),
        pytest.param({"signal_mode": "allow_same_sandbox"}, "EPERM", "EPERM", id="same sandbox"),
        pytest.param({"signal_mode": "allow_all"}, "ok", "EPERM", id="signals allowed"),
    ],
)
def test_a_mode_holds_only_what_it_names(
    security: Mapping[str, str], signals: str, abstract: str, sandbox: NonoRun
) -> None:
    with outside(sandbox) as (pid, name):
        argv = program("processes.outside", pid, name)
        run = sandbox.run(argv, profile={"security": security}, flags=[NO_NAMESPACES])
        bare = sandbox.bare(program("processes.outside", pid, name)).outcomes()
    assert run.outcomes() == dict.fromkeys(SIGNALS, signals) | {"abstract": abstract, "own child": "ok"}
    assert set(bare.values()) == {"ok"}
    assert not any("scopes" in gap for gap in not_enforced(run.events))


@pytest.mark.parametrize(
    ("security", "unheld"),
    [
        pytest.param({}, "signals to processes outside and abstract Unix sockets are", id="defaults"),
        pytest.param({"ipc_mode": "full"}, "signals to processes outside are", id="ipc full"),
        pytest.param({"signal_mode": "allow_all"}, "abstract Unix sockets are", id="signals allowed"),
        pytest.param({"signal_mode": "allow_all", "ipc_mode": "full"}, None, id="all allowed"),
    ],
)
def test_a_requested_scope_that_the_kernel_lacks_is_named(
    security: Mapping[str, str], unheld: str | None, sandbox: NonoRun
) -> None:
    with outside(sandbox) as (pid, name):
        argv = program("processes.outside", pid, name)
        run = sandbox.run(argv, profile={"security": security}, wrapper=BEFORE_SCOPES, flags=FLAGS)
    assert set(run.outcomes().values()) == {"ok"}
    gaps = [gap for gap in not_enforced(run.events) if "scopes" in gap]
    assert gaps == ([f"{unheld} {UNSCOPED}"] if unheld else [])
    assert all(f"not enforced: {gap}" in run.stderr for gap in gaps)


@needs_scopes
@pytest.mark.parametrize("policy", POLICIES)
def test_the_scopes_hold_on_every_rung(policy: str, sandbox: NonoRun) -> None:
    with outside(sandbox) as (pid, name):
        argv = program("processes.outside", pid, name)
        flags = [f"--sandbox-policy={policy}", NO_NAMESPACES]
        run = sandbox.run(argv, profile=PROXY_ONLY, flags=flags)
    abstract = {"auto": "ECONNREFUSED", "landlock": "EPERM", "netns": "ECONNREFUSED"}[policy]
    assert run.outcomes() == dict.fromkeys(SIGNALS, "EPERM") | {"abstract": abstract, "own child": "ok"}


def test_a_sandbox_that_must_hold_signals_is_refused_where_it_cannot(sandbox: NonoRun) -> None:
    profile = {"security": {"signal_mode": "allow_same_sandbox"}}
    refused = sandbox.run(["echo", "started"], profile=profile, wrapper=BEFORE_SCOPES)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert (
        'signal_mode "allow_same_sandbox" requires Landlock ABI V6+ (LANDLOCK_SCOPE_SIGNAL' in refused.stderr
    )
    isolated = {"security": {"signal_mode": "isolated"}}
    assert sandbox.run(["echo", "started"], profile=isolated, wrapper=BEFORE_SCOPES).stdout == "started\n"
    assert sandbox.run(["echo", "started"], profile=profile).exit_code == (0 if HAS_SCOPES else 1)


@pytest.mark.needs("namespaces")
@pytest.mark.parametrize("mode", ["isolated", "allow_same_sandbox", "allow_all", None])
def test_a_mode_that_linux_does_not_have_is_said_to_do_nothing(mode: str | None, sandbox: NonoRun) -> None:
    profile = {"security": {"process_info_mode": mode}} if mode else {}
    run = sandbox.run(["cat", f"/proc/{os.getpid()}/status"], profile=profile)
    assert (run.exit_code, run.stdout) == (1, "")  # whatever the mode: /proc is not granted
    assert (PROCESS_INFO_GAP in not_enforced(run.events)) == (mode is not None)
