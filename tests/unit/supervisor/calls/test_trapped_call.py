"""What is fetched for a trapped call belongs to the thread that was trapped, or to nobody."""

from __future__ import annotations

import os
import socket
from contextlib import closing

import pytest

from nono.kernel import notify
from nono.supervisor.calls.trapped_call import TrappedCalls

LISTENER = -1  # never used: whether the notification still stands is the test's to say


def fetch(descriptor: int) -> socket.SocketType | None:
    """The look-up for a call of this very process, whose first argument is descriptor."""
    call = notify.Notification(id=7, tid=os.getpid(), flags=0, nr=0, arch=0, args=(descriptor, 0, 0, 0, 0, 0))
    with closing(TrappedCalls(LISTENER)) as calls:
        return calls.socket(call)


def open_descriptors() -> set[str]:
    with os.scandir("/proc/self/fd") as entries:
        return {entry.name for entry in entries if os.path.exists(entry.path)}


@pytest.mark.parametrize("alive", [True, False])
def test_a_socket_is_handed_out_only_while_its_notification_stands(
    monkeypatch: pytest.MonkeyPatch, alive: bool
) -> None:
    asked: list[tuple[int, int]] = []

    def is_valid(listener: int, notification: int) -> bool:
        asked.append((listener, notification))
        return alive

    monkeypatch.setattr(notify, "is_valid", is_valid)
    with socket.socket() as of_the_caller:
        before = open_descriptors()
        duplicate = fetch(of_the_caller.fileno())
        assert asked == [(LISTENER, 7)]
        assert (duplicate is not None) == alive
        if duplicate is not None:
            duplicate.close()
        assert open_descriptors() == before


def test_a_descriptor_that_is_no_socket_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "is_valid", lambda *_: True)
    with open(os.devnull, "rb") as file:
        before = open_descriptors()
        with pytest.raises(OSError, match="non-socket"):
            fetch(file.fileno())
        assert open_descriptors() == before
