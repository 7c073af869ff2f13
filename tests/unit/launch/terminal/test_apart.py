"""The process in front of a run, and its supervisor, which is forked from it."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from nono.launch.terminal import apart
from nono.launch.terminal.apart import Ahead, Apart
from nono.supervisor.relay.pty import open_pty


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_the_process_in_front_leaves_the_cpus_to_its_supervisor(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, _ = pair
    began = time.monotonic()
    Ahead(0, ours).step_back()
    assert time.monotonic() - began >= apart.STEPS_BACK_S


def test_it_is_there_as_soon_as_its_supervisor_has_something_to_show(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = pair
    monkeypatch.setattr(apart, "STEPS_BACK_S", 60.0)
    theirs.send(b"x")
    Ahead(0, ours).step_back()
    theirs.close()
    assert ours.recv(2) == b"x"
    Ahead(0, ours).step_back()


def test_a_signal_waits_until_somebody_can_pass_it_on(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.close()
    Ahead(0, ours).step_back()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP):
        signal.raise_signal(number)
        assert signal.sigtimedwait({number}, 5) is not None


def test_a_supervisor_that_leaves_says_so_although_a_child_holds_the_connection(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    ours.settimeout(5)
    with open(os.devnull, "rb") as nothing:
        own = open_pty(like=nothing.fileno())
    held = os.dup(theirs.fileno())
    Apart(own, theirs, is_detached=False).leave()
    assert ours.recv(1) == b""
    for each in (held, own.master, own.slave):
        os.close(each)
