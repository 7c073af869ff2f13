"""Whatever changes how a process sees files makes it another caller, each thing by itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from nono.kernel import capabilities
from nono.supervisor.calls.caller import CallerContext, caller_context
from support.forked import child
from support.ordinary_user import UNPRIVILEGED_ID

NEW_MOUNTS = pytest.mark.needs("CAP_SYS_ADMIN")
FOREIGN_IDS = pytest.mark.needs("CAP_SYS_PTRACE")  # to look at a process of other ids


def context_after(change: Callable[[], object]) -> CallerContext:
    ready, said = os.pipe()

    def work() -> None:
        change()
        os.write(said, b"-")
        signal.pause()

    with child(work) as started:
        os.close(said)
        assert os.read(ready, 1), "it could not change"
        os.close(ready)
        return caller_context(started.pid)


@pytest.mark.root
@pytest.mark.parametrize(
    ("change", "is_another"),
    [
        pytest.param(lambda: None, False, id="nothing"),
        pytest.param(lambda: os.chdir("/tmp"), False, id="directory"),
        pytest.param(lambda: os.chroot("/tmp"), True, id="root"),
        pytest.param(lambda: os.unshare(os.CLONE_NEWNS), True, id="mounts", marks=NEW_MOUNTS),
        pytest.param(lambda: os.setresuid(UNPRIVILEGED_ID, 0, 0), True, id="uid", marks=FOREIGN_IDS),
        pytest.param(lambda: os.setresgid(UNPRIVILEGED_ID, 0, 0), True, id="gid", marks=FOREIGN_IDS),
        pytest.param(lambda: os.setgroups([UNPRIVILEGED_ID]), True, id="groups"),
        pytest.param(capabilities.drop_dangerous, True, id="capabilities"),
    ],
)
def test_another_view_of_files_makes_another_caller(change: Callable[[], object], is_another: bool) -> None:
    assert (context_after(change) != caller_context(os.getpid())) == is_another


def become_ordinary() -> None:
    os.setgroups([])
    os.setresgid(*[UNPRIVILEGED_ID] * 3)
    os.setresuid(*[UNPRIVILEGED_ID] * 3)


def leave_user_namespace() -> None:
    become_ordinary()
    os.unshare(os.CLONE_NEWUSER)
    capabilities.drop_all_but(())


@pytest.mark.root
@pytest.mark.needs("user namespaces", "CAP_SYS_PTRACE")
def test_another_user_namespace_makes_another_caller_though_nothing_else_differs() -> None:
    here, there = context_after(become_ordinary), context_after(leave_user_namespace)
    assert here != there
    assert here == there._replace(user_namespace=here.user_namespace)
