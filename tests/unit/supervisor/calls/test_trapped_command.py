"""nono.supervisor.calls.trapped_command: a listener is kept only with the identity of who is restricted."""

from __future__ import annotations

import errno
import os

import pytest

from nono.supervisor.calls import trapped_command
from nono.supervisor.calls.trapped_command import TrappedCommand
from support.running.leftovers import descriptors

pytestmark = pytest.mark.needs("pidfd_getfd")


def test_a_listener_is_handed_over_with_the_root_of_its_command() -> None:
    before = len(descriptors())
    command = TrappedCommand(os.getpid(), 0)
    listener, root = command.hand_over()
    command.close()  # closes nothing that was handed over
    try:
        assert os.path.sameopenfile(listener, 0)
        assert os.path.samestat(os.fstat(root), os.stat("/"))
    finally:
        os.close(listener)
        os.close(root)
    assert len(descriptors()) == before


def test_a_listener_of_a_command_whose_root_cannot_be_opened_is_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gone(pid: int) -> int:
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))

    monkeypatch.setattr(trapped_command, "open_root", gone)
    before = len(descriptors())
    with pytest.raises(ProcessLookupError):
        TrappedCommand(os.getpid(), 0)
    assert len(descriptors()) == before
