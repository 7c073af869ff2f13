"""The process in front of a run, at the terminal of the person who started it."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from nono.cli.commands.terminal import front

SUPERVISOR = 12345


class Asked:
    """A terminal at which a question is open."""

    def is_changed(self) -> bool:
        return True

    def restore(self) -> None:
        pass


@pytest.mark.parametrize("interrupts", [False, True], ids=["fg", "kill -INT"])
def test_a_supervisor_that_was_stopped_goes_on_however_its_stop_ends(
    interrupts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise whoever then waits for its end waits for ever."""
    sent: list[tuple[int, int]] = []

    def wait() -> None:
        if interrupts:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    monkeypatch.setattr(front, "_wait_in_background", wait)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    before = signal.getsignal(signal.SIGTSTP)
    lent: Any = Asked()
    try:
        front._stop_together(SUPERVISOR, lambda: False, lent)
        stop: Any = signal.getsignal(signal.SIGTSTP)
        try:
            stop(signal.SIGTSTP, None)
        except KeyboardInterrupt:
            assert interrupts
    finally:
        signal.signal(signal.SIGTSTP, before)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    assert sent == [
        (SUPERVISOR, signal.SIGSTOP),
        (os.getpid(), signal.SIGTSTP),
        (SUPERVISOR, signal.SIGCONT),
    ]
