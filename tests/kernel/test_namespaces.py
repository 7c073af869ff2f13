"""A network of one's own, and what of capabilities is left in it, against the running kernel."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from nono.errors import LaunchError
from nono.kernel import capabilities, landlock, namespaces, process
from nono.kernel.landlock_rights import HANDLED_FS
from nono.kernel.libc import prctl
from nono.kernel.uapi.process import PR_GET_DUMPABLE, PR_GET_PDEATHSIG
from nono.policy.capability import Access, Denial, Grant, Mask, Masking
from nono.sandbox import probe
from nono.sandbox.command import Command
from nono.sandbox.launcher import Probe, fork_launcher
from nono.sandbox.plan.enforcement import StaticFilter
from nono.sandbox.plan.plan import SandboxPlan
from nono.sandbox.plan.private_view import PrivateView, Shown
from support.forked import errno_of, in_child
from support.ordinary_user import UNPRIVILEGED_ID

IS_ROOT = os.geteuid() == 0
CAPABILITY_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def become_ordinary() -> None:
    if IS_ROOT:
        os.setgroups([])
        os.setresgid(*[UNPRIVILEGED_ID] * 3)
        os.setresuid(*[UNPRIVILEGED_ID] * 3)
    process.set_dumpable(True)


def as_ordinary_user(work: Callable[[], object]) -> Any:
    """Return what work returns in a child without privilege."""

    def attempt() -> object:
        become_ordinary()
        return work()

    return in_child(attempt)


def held() -> dict[str, int]:
    lines = Path("/proc/self/status").read_text().splitlines()
    values = dict(line.split(":\t", 1) for line in lines if line.startswith("Cap"))
    return {name: int(values[name], 16) for name in CAPABILITY_SETS}


def interfaces() -> list[str]:
    return [name for _, name in socket.if_nameindex()]


@pytest.mark.needs("network namespace", ordinary=True)
def test_an_ordinary_user_keeps_its_ids_in_a_private_network() -> None:
    def leave() -> list[object]:
        before = os.getresuid(), os.getresgid()
        has_user_namespace = namespaces.leave_network()
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), 5).close()
        same = (os.getresuid(), os.getresgid()) == before
        return [has_user_namespace, interfaces(), same, os.stat("/").st_uid]

    assert as_ordinary_user(leave) == [True, ["lo"], True, 65534]


@pytest.mark.needs("network namespace", "CAP_SYS_ADMIN")
@pytest.mark.skipif(not IS_ROOT, reason="not root")
def test_root_gets_a_private_network_without_a_user_namespace() -> None:
    def leave() -> list[object]:
        user_namespace = os.readlink("/proc/self/ns/user")
        has_user_namespace = namespaces.leave_network()
        same = os.readlink("/proc/self/ns/user") == user_namespace
        return [has_user_namespace, same, interfaces(), os.stat("/").st_uid]

    assert in_child(leave) == [False, True, ["lo"], 0]


@pytest.mark.needs("network namespace", ordinary=True)
def test_what_listens_outside_is_not_reached_from_inside() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()

        def connect() -> None:
            socket.create_connection(address, 5).close()

        assert as_ordinary_user(lambda: errno_of(connect)) == 0
        assert (
            as_ordinary_user(lambda: namespaces.leave_network() and errno_of(connect)) == errno.ECONNREFUSED
        )


@pytest.mark.needs("network namespace", ordinary=True)
def test_a_private_network_keeps_parent_death_signals_and_pidfd_getfd() -> None:
    def leave() -> list[int]:
        process.set_parent_death_signal(signal.SIGKILL)
        namespaces.leave_network()
        capabilities.drop_all()
        number = ctypes.c_int()
        prctl(PR_GET_PDEATHSIG, ctypes.addressof(number), tried="get")
        return [number.value, prctl(PR_GET_DUMPABLE, tried="get")]

    assert as_ordinary_user(leave) == [signal.SIGKILL, 1]


@pytest.mark.needs("network namespace", ordinary=True)
def test_no_capability_of_the_namespace_is_left() -> None:
    def leave() -> list[dict[str, int]]:
        namespaces.leave_network()
        with_them = held()
        capabilities.drop_all()
        return [with_them, held()]

    with_them, without = as_ordinary_user(leave)
    assert with_them["CapEff"] == with_them["CapBnd"] != 0
    assert without == dict.fromkeys(CAPABILITY_SETS, 0)


@pytest.mark.needs("user namespaces")
@pytest.mark.skipif(not IS_ROOT, reason="not root")
def test_execve_gives_none_back_even_to_uid_0() -> None:
    def leave() -> list[str]:
        process.set_dumpable(True)
        os.unshare(os.CLONE_NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text("0 0 1")
        assert held()["CapEff"]
        capabilities.drop_all()
        with os.popen("/bin/cat /proc/self/status") as status:
            return [line.split()[1] for line in status if line.startswith("Cap")]

    assert in_child(leave) == ["0" * 16] * len(CAPABILITY_SETS)


def test_dropping_all_without_the_capability_to_do_so_is_an_error() -> None:
    assert as_ordinary_user(lambda: errno_of(capabilities.drop_all)) == errno.EPERM
    assert as_ordinary_user(lambda: errno_of(capabilities.drop_dangerous)) == 0


@pytest.mark.needs("user namespaces", ordinary=True)
def test_where_user_namespaces_are_refused_the_error_says_the_step() -> None:
    # A process that reached the limit of nesting stands for a host that refuses.
    def nested() -> str:
        with suppress(OSError):
            for _ in range(40):
                os.unshare(os.CLONE_NEWUSER)
        capabilities.drop_all()
        try:
            namespaces.leave_network()
        except OSError as error:
            return str(error)
        return "no error"

    assert "unshare(CLONE_NEWUSER | CLONE_NEWNET): " in as_ordinary_user(nested)


@pytest.mark.needs("listener", "network namespace")
@pytest.mark.parametrize("is_asked_for", [True, False])
def test_a_private_network_is_made_beside_a_listener_only_where_it_is_asked_for(is_asked_for: bool) -> None:
    def found() -> object:
        with probe.probed(network=True, private_network=is_asked_for) as facts:
            return facts.to_message()

    facts = in_child(found)
    assert facts["network_namespace"] is is_asked_for


@pytest.mark.needs("namespaces")
@pytest.mark.skipif(landlock.abi_version() == 0, reason="this kernel has no Landlock")
def test_a_view_that_cannot_be_mounted_is_the_cause_that_is_said(tmp_path: Path) -> None:
    """Nor does the command start without it. Links on the way to what shows through are refused."""
    (tmp_path / "link").symlink_to("/")
    view = PrivateView(shown=(Shown(str(tmp_path / "link"), False),))
    abi = landlock.abi_version()
    plan = SandboxPlan(abi, HANDLED_FS[abi], 0, 0, (), (), (), StaticFilter.OPEN_NET, None)

    def launch() -> str | None:
        namespaces = Probe(network=False, private_network=False)
        launcher = fork_launcher({}, namespaces)
        try:
            assert launcher.facts(namespaces).own_namespaces is None
            launcher.begin_namespaces(view, makes_sockets=False)
            launcher.end_namespaces()
            launcher.begin_restrict(plan, Command("/bin/true", ("true",), {}, "/"))
            launcher.end_restrict()
        except LaunchError as error:
            return error.message
        finally:
            launcher.abandon()
        return "started"

    said = in_child(launch)
    assert str(said).startswith("the command's own view of this system cannot be mounted")


@pytest.mark.needs("namespaces")
def test_the_facts_are_known_before_the_children_of_a_probe_are_gone() -> None:
    def children_inside_and_after() -> tuple[int, int]:
        with probe.probed(network=False, private_network=False):
            inside = len(process.child_pids())
        return inside, len(process.child_pids())

    assert in_child(children_inside_and_after) == [1, 0]


@pytest.mark.needs("namespaces")
def test_a_start_does_not_wait_until_the_probe_of_masks_is_gone(tmp_path: Path) -> None:
    """The kernel takes up to 20 ms to end what has watched names."""
    keys = tmp_path / "keys"
    keys.touch()
    grant = Grant(str(tmp_path), Access.READ, True, "user", str(tmp_path))
    mask = Mask(Denial(str(keys), str(keys), "--deny"), "file", 1, grant)
    masking = Masking((mask,), watched=(str(tmp_path),))

    def children_inside_and_after() -> tuple[str | None, int, int]:
        with probe.masks_probed(probe.host_facts(network=False), masking) as facts:
            inside = len(process.child_pids())
        assert facts.masks is not None
        return facts.masks.failed, inside, len(process.child_pids())

    assert in_child(children_inside_and_after) == ["", 1, 0]


def test_no_child_of_a_probe_is_left_once_it_has_ended() -> None:
    def children_of_the_launcher() -> list[str]:
        launcher = fork_launcher({}, Probe(network=False, private_network=False))
        try:
            launcher.facts(Probe(network=True, private_network=True))  # more than it was asked at first
            launcher.end_probe()
            return Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
        finally:
            launcher.abandon()

    assert in_child(children_of_the_launcher) == []
