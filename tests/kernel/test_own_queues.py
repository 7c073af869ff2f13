"""POSIX message queues of a command's own IPC namespace, against the running kernel."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from nono.kernel import landlock, mounts
from nono.kernel.landlock_rights import HANDLED_FS, WRITE_RIGHTS
from nono.policy.capability import Access
from nono.sandbox import apply, private_mounts
from nono.sandbox.own_root import enter_own_root
from nono.sandbox.plan.enforcement import StaticFilter
from nono.sandbox.plan.plan import PathRule, SandboxPlan
from nono.sandbox.plan.private_view import QUEUES, PrivateView, own_grants
from support.forked import errno_of
from support.running.own_view import in_own_view

ABI = landlock.abi_version()
READS_ALL = PathRule("/", True, False, is_dir=True, required=True)
PLAN = SandboxPlan(
    ABI, HANDLED_FS[max(ABI, 0)] if ABI else 0, 0, 0, (READS_ALL,), (), (), StaticFilter.OPEN_NET, None
)
VIEW = PrivateView(directories=())
QUEUE = b"/nono-test-of-queues"
libc = ctypes.CDLL(None, use_errno=True)

pytestmark = [
    pytest.mark.skipif(ABI == 0, reason="this kernel has no Landlock"),
    pytest.mark.needs("namespaces", ordinary=True),
]


@pytest.fixture
def queues(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a directory in place of /dev/mqueue, which not every host has."""
    with TemporaryDirectory(dir="/var/tmp") as place:
        os.chmod(place, 0o755)
        for module in (private_mounts, apply):
            monkeypatch.setattr(module, "QUEUES", place)
        yield place


def granted(place: str, plan: SandboxPlan = PLAN) -> SandboxPlan:
    return plan._replace(path_rules=(READS_ALL, PathRule(place, True, True, is_dir=True, required=False)))


def opened(flags: int) -> int:
    """Return the errno of mq_open(3); 0 for success."""

    def attempt() -> None:
        number = libc.mq_open(QUEUE, flags, 0o600, None)
        if number < 0:
            raise OSError(ctypes.get_errno(), "mq_open")
        os.close(number)

    return errno_of(attempt)


def made_and_used() -> str:
    number = libc.mq_open(QUEUE, os.O_CREAT | os.O_RDWR, 0o600, None)
    if number < 0:
        return errno.errorcode[ctypes.get_errno()]
    libc.mq_send(number, b"hello", 5, 0)
    text = ctypes.create_string_buffer(1 << 16)
    length = libc.mq_receive(number, text, len(text), None)
    libc.mq_unlink(QUEUE)
    return text.raw[:length].decode()


def inside(plan: SandboxPlan, work: Callable[[], object], before: Callable[[], object] = lambda: None) -> Any:
    """Return what work returns under the plan, in namespaces and a view of its own, as an ordinary user."""

    def restricted() -> object:
        before()
        apply.restrict(plan)
        return work()

    return in_own_view(VIEW, restricted)


def test_a_command_makes_and_uses_queues_of_its_own(queues: str) -> None:
    assert inside(granted(queues), made_and_used) == "hello"


def test_queues_are_closed_where_their_file_system_is_not_granted(queues: str) -> None:
    assert inside(PLAN, made_and_used) == "EACCES"


@pytest.mark.parametrize("handled", [PLAN.handled_fs, WRITE_RIGHTS & PLAN.handled_fs], ids=["all", "writing"])
def test_a_root_of_its_own_leaves_a_command_its_queues(queues: str, handled: int) -> None:
    plan = granted(queues, PLAN._replace(own_root_fs=handled))
    assert inside(plan, made_and_used, enter_own_root) == "hello"


def test_queues_outside_are_neither_opened_nor_listed(queues: str) -> None:
    if libc.mq_open(QUEUE, os.O_CREAT | os.O_RDWR, 0o666, None) < 0:
        pytest.skip("no queues here")
    try:
        seen = inside(granted(queues), lambda: [opened(os.O_RDWR), os.listdir(queues)])
        assert seen == [errno.ENOENT, []]
    finally:
        libc.mq_unlink(QUEUE)


def test_without_queues_in_the_kernel_the_directory_is_not_the_hosts(
    queues: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(queues, "of-the-host").touch()
    made = mounts.new_file_system

    def refuse(kind: str, options: dict[str, str], attributes: int) -> int:
        if kind == "mqueue":
            raise OSError(errno.ENODEV, "fsopen(mqueue)")
        return made(kind, options, attributes)

    monkeypatch.setattr(mounts, "new_file_system", refuse)
    assert inside(granted(queues), lambda: os.listdir(queues)) == []


def test_a_command_is_granted_its_queues_with_namespaces_alone() -> None:
    def of(view: PrivateView | None) -> list[Access]:
        return [grant.access for grant in own_grants(view, (), None, ()) if grant.path == QUEUES]

    assert [of(VIEW), of(None)] == [[Access.READWRITE], []]
