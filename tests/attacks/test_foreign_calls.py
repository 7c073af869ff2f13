"""K4, K5: no other family, ring or system call table leads around the one gate that is watched."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable

import pytest

from support.attack_programs.sockets.odd_sockets import FAMILIES, PERMITTED
from support.canary import Canary
from support.nono_run import PROXY_ONLY, SANDBOX_POLICIES, Ended, NonoRun, program
from support.running.needs import has_datagrams, lacking

RINGS = ("io_uring_setup", "io_uring_enter", "io_uring_register")
UDP = ("udp", "udp6", "udp with high bits")
ROOTS = ("bpf", "perf_event_open", "mount", "open_by_handle_at", "mknod", "init_module", "sethostname")
X86_ONLY = pytest.mark.skipif(os.uname().machine != "x86_64", reason="gates of x86-64")
ARM_ONLY = pytest.mark.skipif(os.uname().machine != "aarch64", reason="the gate of aarch64")
FOREIGN = "a system call of a foreign ABI, which no rule here speaks of"


@pytest.fixture(scope="module")
def run(sandbox: NonoRun) -> Ended:
    return sandbox.run(program("sockets.odd_sockets"))


@pytest.fixture(scope="module")
def bare(sandbox: NonoRun) -> Ended:
    """Run without a sandbox. mount and mknod would change the host, so root does not try them there."""
    return sandbox.bare(program("sockets.odd_sockets", "harmless"))


def test_every_socket_that_is_not_tcp_or_a_unix_connection_is_refused(run: Ended, sandbox: NonoRun) -> None:
    """Below the rung of the listener, Unix datagram sockets are made: SECURITY.md, the table by rung.

    Those of UDP are in another network, if they are made: test_own_datagrams.py.
    """
    outcomes = run.outcomes()
    held = not lacking("listener", sandbox.user.uid)
    made = UDP if has_datagrams(sandbox.user.uid) else ()
    assert {name: outcomes[name] for name in made} == dict.fromkeys(made, "ok")
    refused = [name for name in FAMILIES if name not in made and (held or not name.startswith("unix"))]
    assert {name: outcomes[name] for name in refused} == dict.fromkeys(refused, "EPERM")
    assert {name: outcomes[name] for name in PERMITTED} == dict.fromkeys(PERMITTED, "ok")
    assert not held or outcomes["unix datagram pair"] == "EPERM"


@pytest.mark.needs("listener")
@pytest.mark.parametrize("name", FAMILIES)
def test_the_refusal_of_a_socket_is_recorded(name: str, run: Ended, sandbox: NonoRun) -> None:
    if name in UDP and has_datagrams(sandbox.user.uid):
        pytest.skip("it is made")
    family, kind, protocol = (number & 0xFFFFFFFF for number in FAMILIES[name])
    target = f"socket(family={family}, type={kind & 0xF}, protocol={protocol})"
    assert (target, None) in run.denied_targets()
    assert {event["rule"] for event in run.denied if event["target"] == target} == {"network.static_filter"}


def test_sockets_that_are_refused_can_be_had_without_nono(bare: Ended) -> None:
    outcomes = bare.outcomes()
    everywhere = {"udp", "udp6", "netlink", "unix datagram", "unix raw", *PERMITTED}
    assert {name: outcomes[name] for name in everywhere} == dict.fromkeys(everywhere, "ok")


@pytest.mark.needs("io_uring")
@pytest.mark.needs("listener")
@pytest.mark.parametrize("name", RINGS)
def test_a_ring_is_neither_made_nor_entered(name: str, run: Ended, bare: Ended) -> None:
    assert run.outcomes()[name] == "EPERM"
    assert (name, None) in run.denied_targets()
    # Without nono another error, or a ring: it is not that the kernel has none.
    assert bare.outcomes()[name] not in ("EPERM", "ENOSYS") or _rings_are_off()


def _rings_are_off() -> bool:
    try:
        with open("/proc/sys/kernel/io_uring_disabled", encoding="ascii") as setting:
            return setting.read().strip() != "0"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("name", ROOTS)
def test_what_would_change_the_host_is_denied_to_root_as_well(name: str, run: Ended) -> None:
    assert run.outcomes()[name] in ("EPERM", "EACCES", "ENOSYS")  # the last: a kernel without modules


@pytest.mark.needs("listener")
@X86_ONLY
@pytest.mark.parametrize("gate", ["i386", "socketcall", "x32"])
def test_a_foreign_system_call_table_is_refused(
    gate: str, sandbox: NonoRun, compiled: Callable[[str], str]
) -> None:
    with Canary() as canary:
        port = canary.tcp("stranger")
        run = sandbox.run([compiled("foreign_abi"), gate, str(port)])
        assert canary.seen() == {}
    assert run.outcomes() == {"socket": -errno.EPERM, "connect": -errno.EPERM}
    assert {event["reason"] for event in run.denied} == {FOREIGN}
    assert {event["rule"] for event in run.denied} == {"network.static_filter"}


@X86_ONLY
@pytest.mark.parametrize("gate", ["native", "i386", "socketcall"])
def test_the_gates_lead_to_the_stranger_without_nono(
    gate: str, sandbox: NonoRun, compiled: Callable[[str], str]
) -> None:
    with Canary() as canary:
        port = canary.tcp("stranger")
        ended = sandbox.bare([compiled("foreign_abi"), gate, str(port)])
        if gate != "native" and ended.exit_code < 0:
            pytest.skip("this kernel has no 32-bit gate")
        assert ended.outcomes()["connect"] == 0
        assert canary.seen() == {"stranger": 1}


@pytest.mark.parametrize("policy", SANDBOX_POLICIES)
def test_no_filter_of_its_own_hides_a_call_or_answers_it(policy: str, sandbox: NonoRun) -> None:
    """Beside a listener of nono's the kernel gives no other; below its refusals no other is asked."""
    with Canary() as canary:
        argv = program("sockets.own_filters", canary.tcp("stranger"))
        run = sandbox.run(argv, profile=PROXY_ONLY, flags=[f"--sandbox-policy={policy}"])
        assert canary.seen() == {}
    refused = run.outcomes()
    _, _, usual = refused.pop("nothing").partition(", ")
    assert usual in ("EACCES", "ECONNREFUSED")  # the latter in a network of its own, and where the proxy is
    assert refused.pop("allow") == refused.pop("all threads") == f"ok, {usual}"
    assert set(refused) == {"a listener", "a listener that is not there", "a tracer that is not there"}
    assert not [said for said in refused.values() if said.endswith(", ok")]


@pytest.mark.needs("place for a listener")
def test_a_listener_of_its_own_answers_calls_without_nono(sandbox: NonoRun) -> None:
    with Canary() as canary:
        ended = sandbox.bare(program("sockets.own_filters", canary.tcp("stranger")))
        assert canary.seen()["stranger"] == 4
    assert ended.outcomes()["a listener"] == ended.outcomes()["nothing"] == "ok, ok"


@pytest.mark.needs("listener")
def test_a_number_that_is_no_call_is_answered_as_by_the_kernel_and_is_no_denial(sandbox: NonoRun) -> None:
    """-2 is what proot puts in the place of a call that it answers itself."""
    call = "libc = ctypes.CDLL(None, use_errno=True); libc.syscall(-2); print(ctypes.get_errno())"
    command = ["/usr/bin/python3", "-c", f"import ctypes; {call}"]
    run = sandbox.run(command)
    assert int(run.stdout) == int(sandbox.bare(command).stdout) == errno.ENOSYS
    assert run.denied == []


@pytest.mark.needs("listener")
@X86_ONLY
def test_the_native_gate_is_judged_by_address(sandbox: NonoRun, compiled: Callable[[str], str]) -> None:
    with Canary() as canary:
        port = canary.tcp("stranger")
        run = sandbox.run([compiled("foreign_abi"), "native", str(port)])
        assert canary.seen() == {}
    outcomes = run.outcomes()
    assert outcomes["socket"] > 0
    assert outcomes["connect"] == -errno.EACCES
    assert run.denied_targets() == {("127.0.0.1", port)}


@pytest.mark.needs("listener")
@ARM_ONLY
def test_a_program_of_32_bit_arm_is_refused_every_call(
    sandbox: NonoRun, compiled: Callable[[str], str]
) -> None:
    with Canary() as canary:
        run = sandbox.run([compiled("foreign_abi_arm"), str(canary.tcp("stranger"))])
        assert canary.seen() == {}
    assert run.exit_code == 128 + signal.SIGILL  # it may not even exit
    assert {event["reason"] for event in run.denied} == {FOREIGN}
    assert {event["rule"] for event in run.denied} == {"network.static_filter"}


@ARM_ONLY
def test_a_program_of_32_bit_arm_reaches_the_stranger_without_nono(
    sandbox: NonoRun, compiled: Callable[[str], str]
) -> None:
    with Canary() as canary:
        ended = sandbox.bare([compiled("foreign_abi_arm"), str(canary.tcp("stranger"))])
        assert ended.exit_code == 0
        assert canary.seen() == {"stranger": 1}
