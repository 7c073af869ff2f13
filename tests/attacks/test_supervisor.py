"""K12, K13, K14, K22: the command has no way to the process that holds the keys and judges its calls."""

from __future__ import annotations

import errno
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from nono.kernel import landlock
from support.canary import Canary
from support.nono_run import NO_NAMESPACES, PROXY_ONLY, SANDBOX_POLICIES, NonoRun, program

FILES = ("environ", "maps", "auxv", "fd/0", "mem")
LISTED = ("cmdline", "cgroup")  # of every process; said in the summary
CALLS = ("process_vm_readv", "process_vm_writev", "pidfd_getfd", "PTRACE_SEIZE", "PTRACE_ATTACH")
SIGNALS = ("kill 0", "kill SIGCONT", "tgkill", "pidfd_send_signal")
# Landlock holds signals back from V6 on; before that it is said that they are not (_scope_gaps of the plan).
SIGNALLED = "EPERM" if landlock.abi_version() >= 6 else "ok"
LOOKED = {"ok", "EFAULT"}  # the second of a call that was let through to an address which is not there


POLICIES = SANDBOX_POLICIES
# Every rung of a proxy-only run, and a run without one.
HOW = [(PROXY_ONLY, policy) for policy in POLICIES] + [({}, "auto")]
RUNS = pytest.mark.parametrize(("profile", "policy"), HOW, ids=[*POLICIES, "network allowed"])


@RUNS
def test_the_supervisor_cannot_be_read_traced_or_signalled(
    profile: Mapping[str, object], policy: str, sandbox: NonoRun
) -> None:
    flags = [f"--sandbox-policy={policy}", NO_NAMESPACES]
    outcomes = sandbox.run(program("processes.spy"), profile=profile, flags=flags).outcomes()
    assert {name: outcomes[name] for name in FILES} == dict.fromkeys(FILES, "EACCES")
    assert {name: outcomes[name] for name in CALLS} == dict.fromkeys(CALLS, "EPERM")
    assert {name: outcomes[name] for name in SIGNALS} == dict.fromkeys(SIGNALS, SIGNALLED)
    assert {name: outcomes[name] for name in LISTED} == dict.fromkeys(LISTED, "ok")
    if sandbox.user.uid != 0:  # root may list what nobody may open
        assert outcomes["fd"] == "EACCES"
    assert (outcomes["1 environ"], outcomes["1 cmdline"]) == ("EACCES", "ok")
    assert outcomes["own environ"] == "ok"


@pytest.mark.needs("namespaces")
@RUNS
def test_the_supervisor_has_no_number_in_the_namespaces_of_the_command(
    profile: Mapping[str, object], policy: str, sandbox: NonoRun
) -> None:
    flags = [f"--sandbox-policy={policy}"]
    script = "echo $PPID; cd /proc; for each in [0-9]*; do tr '\\0' ' ' <$each/cmdline; echo; done"
    (sandbox.project / "denied").write_text("")
    masked = {**profile, "filesystem": {"deny": [f"{sandbox.project}/denied"]}}
    run = sandbox.run(["sh", "-c", script], profile=masked, flags=flags)
    parent, *said = run.stdout.splitlines()
    assert parent == "0"
    # Of init, of what keeps the mask, and of what makes sockets in a network of the command's own, the
    # arguments are not to be seen.
    of_nono = 3 if policy == "netns" else 2
    assert [line for line in said if "--sandbox-policy" in line] == []
    assert [bool(line.strip()) for line in said].count(False) == of_nono
    assert len(said) == of_nono + 1


@pytest.mark.needs("pidfd_getfd")
def test_a_process_of_the_same_sandbox_can_be(sandbox: NonoRun) -> None:
    """The control: debuggers and process managers work among what they started."""
    outcomes = sandbox.run(program("processes.spy", "sibling")).outcomes()
    assert {outcomes[name] for name in ("environ", "maps", "cmdline", "auxv", "fd")} == {"ok"}
    assert {outcomes[name] for name in CALLS + SIGNALS} <= LOOKED


@pytest.mark.needs("pidfd_getfd")
def test_a_parent_that_is_not_nono_can_be(sandbox: NonoRun) -> None:
    outcomes = sandbox.bare(["sh", "-c", '"$@"; true', "sh", *program("processes.spy")]).outcomes()
    assert {outcomes[name] for name in ("environ", "maps", "cmdline", "auxv", "fd", "mem")} == {"ok"}
    assert {outcomes[name] for name in SIGNALS} == {"ok"}
    assert {outcomes[name] for name in ("process_vm_readv", "pidfd_getfd")} <= LOOKED


SERVES = """import socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.bind(sys.argv[1])
    server.listen()
    print(flush=True)
    sys.stdin.read()
"""


@pytest.mark.needs("pidfd_getfd")
@pytest.mark.parametrize(
    ("flags", "signalled"),
    [
        pytest.param((), "EINVAL", marks=pytest.mark.needs("namespaces"), id="namespaces"),
        pytest.param((NO_NAMESPACES,), SIGNALLED, id="none"),
    ],
)
def test_the_pidfd_of_a_granted_service_is_of_no_use(
    sandbox: NonoRun, flags: Sequence[str], signalled: str
) -> None:
    path = sandbox.user.home / "service"
    argv = sandbox.user.command([sys.executable, "-I", "-c", SERVES, str(path)])
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as service:
        assert service.stdout is not None
        service.stdout.readline()
        ask = program("processes.peer", str(path))
        try:
            bare = sandbox.bare(ask)
            run = sandbox.run(ask, profile={}, flags=[*flags, f"--allow-unix-socket={path}"])
        finally:
            service.communicate()
            path.unlink()
    if "Protocol not available" in bare.stderr:
        pytest.skip("this kernel gives no pidfd of a peer")
    assert bare.outcomes()["signal"] == "ok"
    assert bare.outcomes()["descriptor"] in LOOKED
    outcomes = run.outcomes()
    assert (outcomes["signal"], outcomes["descriptor"]) == (signalled, "EPERM")
    assert outcomes["network"] != "ok"


@RUNS
def test_the_command_inherits_only_three_descriptors(
    profile: Mapping[str, object], policy: str, sandbox: NonoRun
) -> None:
    secret = sandbox.user.home / "secret"
    secret.write_text("canary")
    file = os.open(secret, os.O_RDONLY)
    try:
        with Canary() as canary, socket.socket(type=socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            tcp.connect(("127.0.0.1", canary.tcp("outside")))
            extra = (file, udp.fileno(), tcp.fileno())
            flags = [f"--sandbox-policy={policy}"]
            run = sandbox.run(
                program("processes.spy", "descriptors"), profile=profile, flags=flags, pass_fds=extra
            )
            bare = sandbox.bare(program("processes.spy", "descriptors"), pass_fds=extra)
    finally:
        os.close(file)
    own = {
        fd for fd, file in run.outcomes().items() if "/libffi.so" in file
    }  # ctypes: libffi 3.5 holds itself open
    assert set(run.outcomes()) - own == {"0", "1", "2"}
    assert {str(fd) for fd in extra} <= set(bare.outcomes())


def test_the_environment_and_command_lines_hold_no_key(sandbox: NonoRun) -> None:
    """The key is in nono's environment and nowhere inside; what stands in its place is."""
    key = "sk-canary-of-the-real-key"
    service = {
        "upstream": "https://localhost:9/v1",
        "credential_key": "env://DEMO_KEY",
        "env_var": "DEMO_KEY",
    }
    profile = {"network": {"credentials": ["demo"], "custom_credentials": {"demo": service}}}
    script = (
        'cat /proc/self/environ | tr "\\0" "\\n"; env; for each in /proc/[0-9]*; do cat $each/cmdline; done'
    )
    run = sandbox.run(["sh", "-c", script], profile=profile, environment={"DEMO_KEY": key})
    assert "DEMO_KEY=" in run.stdout
    assert key not in run.stdout + run.stderr
    bare = sandbox.bare(["sh", "-c", script], environment={"DEMO_KEY": key})
    assert f"DEMO_KEY={key}" in bare.stdout


@contextmanager
def core_dumps_allowed() -> Iterator[None]:
    """Allow core dumps of what is started in the block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def crashed(process: subprocess.Popen[str]) -> int:
    """Return how a process ended after SIGSEGV: CLD_KILLED, or CLD_DUMPED with a core. It is not reaped."""
    process.send_signal(signal.SIGSEGV)
    ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    return ended.si_code


@pytest.mark.parametrize("policy", POLICIES)
def test_a_supervisor_that_crashes_leaves_no_core(policy: str, sandbox: NonoRun) -> None:
    """K22: neither the keys nor the phantoms in its memory end on a disk."""
    command = ["sh", "-c", "echo started; exec cat"]
    with core_dumps_allowed():
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        with sandbox.started(command, flags=[f"--sandbox-policy={policy}"], is_own_child=True) as nono:
            assert nono.stdout is not None
            assert nono.stdout.readline() == "started\n"
            limits = Path(f"/proc/{nono.pid}/limits").read_text()
            assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)
            assert crashed(nono) == os.CLD_KILLED
            assert nono.stdout.read() == ""  # the command went with it
        with sandbox.started(command, sandboxed=False) as bare:
            assert bare.stdout is not None
            assert bare.stdout.readline() == "started\n"
            dumps = crashed(bare) == os.CLD_DUMPED
    for core in sandbox.project.glob("core*"):
        assert dumps
        core.unlink()
    if hard and Path("/proc/sys/kernel/core_pattern").read_text() == "core\n":
        assert dumps


def test_the_limits_of_the_supervisor_cannot_be_set(sandbox: NonoRun) -> None:
    """RLIMIT_CPU kills what the signal scope protects, RLIMIT_FSIZE ends the audit log."""
    run = sandbox.run(program("processes.spy"), flags=[NO_NAMESPACES])
    assert run.outcomes()["prlimit"] == errno.errorcode[errno.EPERM]
