"""nono.cli.commands.terminal.viewer: what it makes of the end of a connection."""

from __future__ import annotations

import os
import pty
import signal
import socket
import termios
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from nono.cli.commands.terminal.own_terminal import Lent
from nono.cli.commands.terminal.viewer import DETACHED, Viewer
from nono.kernel import signals
from nono.sessions import wire
from nono.sessions.detach_key import DetachKeys
from support.forked import child


def end_of_a_closed_session() -> Mapping[str, object]:
    master, slave = pty.openpty()
    for stream in range(3):
        os.dup2(slave, stream)
    termios.tcsetwinsize(slave, (24, 80))
    ours, theirs = socket.socketpair()
    viewer = Viewer(ours, Lent(), keys=b"\x1dd")
    theirs.send(wire.end_frame("ended", exit_code=7))
    theirs.close()  # what the viewer has to say, its size for one, cannot be sent any more
    end = viewer.view()
    os.close(master)
    return end


def test_the_last_words_of_a_session_are_read_when_it_takes_nothing_any_more() -> None:
    with child(end_of_a_closed_session) as ended:
        assert ended.result() == {"end": "ended", "exit_code": 7}


@pytest.mark.parametrize(
    ("is_in_front", "from_kernel", "number", "leaves"),
    [
        (True, True, signal.SIGINT, False),
        (True, False, signal.SIGINT, False),
        (True, False, signal.SIGHUP, True),
        (False, True, signal.SIGINT, True),
    ],
    ids=["typed for the command", "sent by a program", "its terminal is lost", "typed at nono attach"],
)
def test_ctrl_c_that_is_a_signal_leaves_an_attached_session_alone(
    is_in_front: bool, from_kernel: bool, number: int, leaves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In front of a run another process passes it on to the command."""
    received = iter([signals.ReceivedSignal(number, from_kernel), None])
    monkeypatch.setattr(signals, "read_signal", lambda descriptor: next(received))
    ours, theirs = socket.socketpair()
    lent: Any = SimpleNamespace(is_lent=False)
    with ours, theirs:
        viewer = Viewer(ours, lent, keys=None if is_in_front else b"\x1dd")
        viewer._keys = DetachKeys(b"\x1dd")  # as the session sends them
        assert viewer._on_signal(-1) == (DETACHED if leaves else None)
