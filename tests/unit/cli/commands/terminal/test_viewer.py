"""nono.cli.commands.terminal.viewer: what it makes of the end of a connection."""

from __future__ import annotations

import os
import pty
import socket
import termios
from collections.abc import Mapping

from nono.cli.commands.terminal.own_terminal import Lent
from nono.cli.commands.terminal.viewer import Viewer
from nono.sessions import wire
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
