"""A connect that waits although it was told not to is ended."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
from pathlib import Path

from nono.supervisor.never_wait import interrupted, interruptible


def test_a_connect_whose_flag_was_taken_away_is_ended_and_others_are_not(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    before = signal.getsignal(signal.SIGALRM)
    with socket.socket(socket.AF_UNIX) as full, interruptible():
        full.bind(path)
        full.listen(0)
        with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
            for client, expected in ((first, 0), (second, errno.EINTR)):
                client.setblocking(False)
                flags = fcntl.fcntl(client, fcntl.F_GETFL)
                fcntl.fcntl(client, fcntl.F_SETFL, flags & ~os.O_NONBLOCK)  # as the command would
                with interrupted:
                    assert client.connect_ex(path) == expected
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) == before
