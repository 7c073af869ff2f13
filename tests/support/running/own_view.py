"""Run something in a view of its own, as an ordinary user."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from nono.kernel import namespaces, process
from nono.sandbox import private_mounts
from nono.sandbox.plan.private_view import PrivateView
from support.forked import in_child
from support.ordinary_user import UNPRIVILEGED_ID


def in_own_view(view: PrivateView, work: Callable[[], object]) -> Any:
    """Return what work returns in namespaces of its own in which the view is mounted."""

    def viewed() -> object:
        private_mounts.mount_view(view)
        return work()

    def attempt() -> object:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(*[UNPRIVILEGED_ID] * 3)
            os.setresuid(*[UNPRIVILEGED_ID] * 3)
        process.set_dumpable(True)
        namespaces.leave_processes()
        return in_child(viewed)

    return in_child(attempt)
