"""Which devices can be opened in a command's own view, against the running kernel, without Landlock."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from nono.kernel import namespaces, process
from nono.sandbox import private_mounts
from nono.sandbox.plan.private_view import PrivateView
from support.forked import errno_of, in_child
from support.ordinary_user import UNPRIVILEGED_ID

ASKED = ("/dev/null", "/dev/zero", "/dev/full", "/dev/ptmx", "/dev/pts/ptmx")
OPEN = PrivateView(directories=(), unchanged=("/dev",))
GRANTED = (
    *("/dev/full", "/dev/is-not-there", "/dev/null", "/dev/ptmx", "/dev/stdin"),
    "/root/out-of-reach",  # or not there, where everybody may enter
)

pytestmark = pytest.mark.needs("namespaces", ordinary=True)


def inside(view: PrivateView, work: Callable[[], object]) -> Any:
    """Return what work returns in namespaces and with the view, as an ordinary user."""

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


def refused() -> list[str]:
    """Return which of the devices cannot be opened, in access mode 3 or for reading."""

    def opened(path: str) -> None:
        for mode in (os.O_ACCMODE, os.O_RDONLY):
            os.close(os.open(path, mode | os.O_NOCTTY))

    return [path for path in ASKED if errno_of(partial(opened, path))]


def test_only_granted_devices_can_be_opened() -> None:
    assert inside(OPEN._replace(devices=GRANTED), refused) == ["/dev/zero"]
    assert inside(OPEN._replace(devices=()), refused) == ["/dev/null", "/dev/zero", "/dev/full", "/dev/ptmx"]


def test_without_that_landlock_alone_holds_them() -> None:
    assert inside(OPEN, refused) == []


@pytest.mark.parametrize("devices", [GRANTED, None], ids=["held", "not held"])
def test_the_times_of_a_device_cannot_be_set(devices: tuple[str, ...] | None) -> None:
    """Of a file that everybody may write, everybody may set them to now (utimensat(2))."""
    assert (
        inside(OPEN._replace(devices=devices), lambda: errno_of(lambda: os.utime("/dev/null"))) == errno.EROFS
    )


def test_terminals_are_made_where_devices_are_held() -> None:
    def made() -> str:
        ends = os.openpty()
        os.write(ends[1], b"hello")
        return os.read(ends[0], 5).decode()

    assert inside(OPEN._replace(devices=GRANTED), made) == "hello"
