"""K28, K29: where namespaces are refused, the run says so, and what they would have hidden stays closed."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from support.confined.hosts import HOSTS, Host
from support.modes import HAS_TCP_RULES
from support.nono_run import Ended, NonoRun, program
from support.running.needs import require

pytestmark = pytest.mark.needs("mounts")  # for the stage

CONTAINER_MARKERS = ("/.dockerenv", "/run/.containerenv")
SHARED = "the command shares processes and /tmp with this host"


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest, sandbox: NonoRun) -> Host:
    made, container = HOSTS[request.param], HOSTS["container"]
    if made.kind == "apparmor":
        require("user namespaces", sandbox.user.uid)  # which it restricts
    if made.kind is None and any(map(os.path.exists, CONTAINER_MARKERS)):
        return replace(
            made, cause=container.cause, remedy=container.remedy
        )  # it may be the container's filter
    return made


def warnings(run: Ended) -> list[str]:
    return [line for line in run.stderr.splitlines() if SHARED in line]


def test_one_line_says_what_is_shared_with_the_cause_with_the_remedy(host: Host, sandbox: NonoRun) -> None:
    run = host.run(sandbox, ["true"], "--namespaces=auto")
    assert run.exit_code == 0, run.stderr
    said = [(host.cause in line, host.remedy in line, "Errno" in line) for line in warnings(run)]
    assert said == ([(True, True, False)] if host.holds(sandbox) else []), run.stderr


def test_what_is_shared_is_recorded(host: Host, sandbox: NonoRun) -> None:
    run = host.run(sandbox, ["true"])
    recorded = [event["what"] for event in run.events if event["type"] == "not_enforced"]
    assert any(each.startswith(SHARED) for each in recorded) == host.holds(sandbox)


def test_required_namespaces_refuse_the_run_there(host: Host, sandbox: NonoRun) -> None:
    run = host.run(sandbox, ["echo", "ran"], "--namespaces=require")
    is_refused = host.holds(sandbox)
    assert (run.exit_code, run.stdout) == ((1, "") if is_refused else (0, "ran\n")), run.stderr
    assert (host.cause in run.stderr, host.remedy in run.stderr) == (is_refused, is_refused)


@contextmanager
def neighbours(sandbox: NonoRun) -> Iterator[tuple[int, str]]:
    """Yield a process of the user, and a terminal of theirs."""
    opened = pty.openpty()
    process = subprocess.Popen(sandbox.user.command(["sleep", "60"]), env={"PATH": os.defpath})
    try:
        os.chown(os.ttyname(opened[1]), sandbox.user.uid, sandbox.user.gid)
        yield process.pid, os.ttyname(opened[1])
    finally:
        process.kill()
        process.wait()
        for descriptor in opened:
            os.close(descriptor)


PROXIED = pytest.mark.skipif(not HAS_TCP_RULES, reason="a container's run is held by Landlock's TCP rules")


@pytest.mark.parametrize("proxied", [False, pytest.param(True, marks=PROXIED)], ids=["open", "proxied"])
def test_what_namespaces_would_have_hidden_stays_closed(
    *, proxied: bool, host: Host, sandbox: NonoRun
) -> None:
    with neighbours(sandbox) as (pid, terminal):
        run = host.run(sandbox, program("processes.neighbours", pid, terminal), proxied=proxied)
    outcomes = run.outcomes()
    made = Path(outcomes.pop("made"))
    ipc = "ENOSYS" if host.holds(sandbox) else "ok"  # in namespaces it has its own
    absent, unreached = ("EACCES", "EPERM") if host.holds(sandbox) else ("ENOENT", "ESRCH")
    assert outcomes == {
        **dict.fromkeys(("terminal", "environ", "mem"), absent),
        **dict.fromkeys(("shmget", "semget", "msgget"), ipc),
        **dict.fromkeys(("sched_setscheduler", "sched_setaffinity", "setpriority", "ioprio_set"), unreached),
        "keyctl": "EPERM",
    }
    assert not made.exists()
    assert not host.holds(sandbox) or (made.parent != Path("/tmp") and not made.parent.exists())


def test_all_of_that_is_open_without_nono(sandbox: NonoRun) -> None:
    with neighbours(sandbox) as (pid, terminal):
        outcomes = sandbox.bare(program("processes.neighbours", pid, terminal)).outcomes()
    assert Path(outcomes.pop("made"), "file").read_text() == "x"
    if outcomes["keyctl"] == "ENOSYS":  # a kernel without keyrings
        outcomes.pop("keyctl")
    assert set(outcomes.values()) == {"ok"}


@pytest.mark.needs("listener")
@PROXIED
def test_the_cause_of_a_missing_listener_is_said_once(sandbox: NonoRun) -> None:
    run = HOSTS["container"].run(sandbox, ["true"], proxied=True)
    assert run.stderr.count("pidfd_getfd") == 1
    assert "(pidfd_getfd: Operation not permitted [EPERM])" in run.stderr


@pytest.mark.parametrize("kind", ["container", "covered"])
def test_what_is_covered_in_proc_stays_covered(kind: str, sandbox: NonoRun) -> None:
    """To root as well, whose own procfs the kernel lets mount."""
    names = [name for name in ("keys", "timer_list") if os.access(f"/proc/{name}", os.R_OK)]
    name = next((name for name in names if Path("/proc", name).read_text()), None)
    if name is None:
        pytest.skip("this kernel has none of these files, or they are covered already")
    run = HOSTS[kind].run(sandbox, ["cat", f"/proc/{name}"])
    assert (run.exit_code, run.stdout) == (0, ""), run.stderr
    assert name != "keys" or sandbox.bare(["cat", "/proc/keys"]).stdout
