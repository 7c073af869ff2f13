"""What the launcher refuses to become: other files than were judged, another network, a copy of threads."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from nono.errors import LaunchError, SandboxError
from nono.kernel import landlock, seccomp
from nono.kernel.landlock_rights import HANDLED_FS
from nono.kernel.uapi import landlock as uapi
from nono.policy.ports import PortRange
from nono.sandbox import apply
from nono.sandbox.apply import restrict
from nono.sandbox.command import Command
from nono.sandbox.launcher import Probe, fork_launcher
from nono.sandbox.plan.enforcement import StaticFilter
from nono.sandbox.plan.plan import MaskRule, PathRule, SandboxPlan
from support.forked import in_child
from support.running.needs import require

ABI = landlock.abi_version()
PLAN = SandboxPlan(ABI, HANDLED_FS[max(ABI, 0)] if ABI else 0, 0, 0, (), (), (), StaticFilter.OPEN_NET, None)
NOTHING = Probe(network=False, private_network=False)
FAILED = "Sandbox initialization failed: "

pytestmark = pytest.mark.skipif(ABI == 0, reason="this kernel has no Landlock")


def said(work: Callable[[], object]) -> object:
    """Return the message of the error that `work` raises in a child, or None."""

    def message() -> str | None:
        try:
            work()
        except (LaunchError, SandboxError) as error:
            return error.message
        return None

    return in_child(message)


@pytest.mark.parametrize("link", ["place/granted", "place"])
def test_a_granted_path_that_became_a_link_grants_nothing(link: str, tmp_path: Path) -> None:
    """Another run may have laid it, to be granted what it leads to."""
    (tmp_path / "target/granted").mkdir(parents=True)
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(tmp_path / link.replace("place", "target"))
    rule = PathRule(f"{tmp_path}/place/granted", True, True, True, required=True)
    refused = said(lambda: restrict(PLAN._replace(path_rules=(rule,))))
    assert (
        refused
        == f"{FAILED}Landlock path error: '{rule.path}': it has become a symbolic link since it was looked up"
    )
    direct = rule._replace(path=f"{tmp_path}/target/granted")
    assert said(lambda: restrict(PLAN._replace(path_rules=(direct,)))) is None


@pytest.mark.parametrize("is_dir", [True, False])
def test_a_granted_path_of_another_kind_is_an_error(is_dir: bool, tmp_path: Path) -> None:
    path = tmp_path / "granted"
    path.mkdir() if is_dir else path.touch()
    rule = PathRule(str(path), True, False, not is_dir, required=True)
    expected, got = ("file", "directory") if is_dir else ("directory", "file")
    refused = said(lambda: restrict(PLAN._replace(path_rules=(rule,))))
    assert refused == f"{FAILED}Expected a {expected} but got a {got}: '{path}'"
    assert said(lambda: restrict(PLAN._replace(path_rules=(rule._replace(is_dir=is_dir),)))) is None


@pytest.mark.parametrize("required", [True, False])
def test_only_a_path_that_a_person_granted_has_to_be_there(required: bool, tmp_path: Path) -> None:
    rule = PathRule(f"{tmp_path}/gone", True, False, False, required=required)
    refused = said(lambda: restrict(PLAN._replace(path_rules=(rule,))))
    missing = f"{FAILED}Landlock path error: '{rule.path}': No such file or directory"
    assert refused == (missing if required else None)


def test_a_filter_that_the_kernel_refuses_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: bytes) -> None:
        raise OSError(errno.EINVAL, "no filter")

    monkeypatch.setattr(seccomp, "install_filter", refuse)
    assert (
        said(lambda: restrict(PLAN)) == f"{FAILED}the kernel refused the seccomp filter: [Errno 22] no filter"
    )


def test_each_port_of_a_range_is_granted(monkeypatch: pytest.MonkeyPatch) -> None:
    granted = set[tuple[int, int]]()
    monkeypatch.setattr(landlock, "add_net_port", lambda _, port, right: granted.add((port, right)))
    connects, binds = uapi.LANDLOCK_ACCESS_NET_CONNECT_TCP, uapi.LANDLOCK_ACCESS_NET_BIND_TCP
    some, one = (PortRange(80, 82),), (PortRange(90, 90),)
    ports = PLAN._replace(handled_net=connects | binds, connect_ports=some, bind_ports=one)
    apply._add_port_rules(-1, ports)
    assert granted == {(80, connects), (81, connects), (82, connects), (90, binds)}


@pytest.mark.parametrize("is_private", [True, False])
def test_no_command_starts_in_another_network_than_its_plan_names(is_private: bool) -> None:
    def launch() -> None:
        launcher = fork_launcher({}, NOTHING)
        try:
            plan = PLAN._replace(private_network=is_private)
            launcher.begin_restrict(plan, Command("/bin/true", ("true",), {}, "/"))
            launcher.end_restrict()
        finally:
            launcher.abandon()

    expected = "the plan is for another network than the launcher is in" if is_private else None
    assert said(launch) == expected


@pytest.mark.parametrize("is_replaced", [True, False])
def test_no_command_starts_where_a_denied_path_cannot_be_masked(is_replaced: bool, tmp_path: Path) -> None:
    """Another run may have replaced it since the plan was drawn."""
    require("mounts", os.geteuid())
    denied = tmp_path / "denied"
    denied.touch() if is_replaced else denied.mkdir()
    plan = PLAN._replace(own_root_fs=PLAN.handled_fs, masks=(MaskRule(str(denied), "dir"),))

    def launch() -> None:
        launcher = fork_launcher({}, NOTHING)
        try:
            launcher.begin_restrict(plan, Command("/bin/true", ("true",), {}, "/"))
            launcher.end_restrict()
        finally:
            launcher.abandon()

    refused = said(launch)
    assert (str(denied) in str(refused)) if is_replaced else refused is None


@pytest.mark.parametrize("has_thread", [True, False])
def test_no_launcher_is_forked_beside_a_thread(has_thread: bool) -> None:
    """It would inherit the locks that the thread holds."""

    def fork() -> None:
        ends = threading.Event()
        thread = threading.Thread(target=ends.wait)
        if has_thread:
            thread.start()
        try:
            fork_launcher({}, NOTHING).abandon()
        finally:
            ends.set()

    expected = "nono must not have threads when it forks its launcher" if has_thread else None
    assert said(fork) == expected
