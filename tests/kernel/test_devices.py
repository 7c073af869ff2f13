"""Which devices can be opened in a command's own view, against the running kernel, without Landlock."""

from __future__ import annotations

import errno
import os
from functools import partial

import pytest

from nono.sandbox.plan.private_view import PrivateView
from support.forked import errno_of
from support.running.own_view import in_own_view

ASKED = ("/dev/null", "/dev/zero", "/dev/full", "/dev/ptmx", "/dev/pts/ptmx")
OPEN = PrivateView(directories=(), unchanged=("/dev",))
GRANTED = (
    *("/dev/full", "/dev/is-not-there", "/dev/null", "/dev/ptmx", "/dev/stdin"),
    "/root/out-of-reach",  # or not there, where everybody may enter
)

pytestmark = pytest.mark.needs("namespaces", ordinary=True)


def refused() -> list[str]:
    """Return which of the devices cannot be opened, in access mode 3 or for reading."""

    def opened(path: str) -> None:
        for mode in (os.O_ACCMODE, os.O_RDONLY):
            os.close(os.open(path, mode | os.O_NOCTTY))

    return [path for path in ASKED if errno_of(partial(opened, path))]


def test_only_granted_devices_can_be_opened() -> None:
    assert in_own_view(OPEN._replace(devices=GRANTED), refused) == ["/dev/zero"]
    nodes = ["/dev/null", "/dev/zero", "/dev/full", "/dev/ptmx"]  # not that of the view's own devpts
    assert in_own_view(OPEN._replace(devices=()), refused) == nodes


def test_without_that_landlock_alone_holds_them() -> None:
    assert in_own_view(OPEN, refused) == []


@pytest.mark.parametrize("devices", [GRANTED, None], ids=["held", "not held"])
def test_the_times_of_a_device_cannot_be_set(devices: tuple[str, ...] | None) -> None:
    """Of a file that everybody may write, everybody may set them to now (utimensat(2))."""
    touched = partial(errno_of, partial(os.utime, "/dev/null"))
    assert in_own_view(OPEN._replace(devices=devices), touched) == errno.EROFS


def test_terminals_are_made_where_devices_are_held() -> None:
    def made() -> str:
        ends = os.openpty()
        os.write(ends[1], b"hello")
        return os.read(ends[0], 5).decode()

    assert in_own_view(OPEN._replace(devices=GRANTED), made) == "hello"
