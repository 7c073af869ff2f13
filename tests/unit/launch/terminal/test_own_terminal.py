"""A command with its own terminal: who may attach when, and who is told of its end."""

from __future__ import annotations

import os
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nono.errors import LaunchError
from nono.launch.terminal.apart import Apart
from nono.launch.terminal.front import Front
from nono.launch.terminal.own_terminal import OwnTerminal, Shown, wait_on_poll
from nono.sessions.meeting import Meeting
from nono.supervisor.poll_loop import Callback, PollLoop, Timer
from nono.supervisor.relay.pty import open_pty


class Stage:
    """A run on a terminal, without a command or a process in front."""

    def __init__(self, folder: Path) -> None:
        with open(os.devnull, "rb") as nothing:
            self.own = open_pty(like=nothing.fileno())
        self.viewer, theirs = socket.socketpair()
        self.viewer.settimeout(5)
        self.apart = Apart(self.own, theirs, is_detached=False)
        self.front = Front(self.apart, 0)
        self.happened: list[str] = []
        self.signals, self.signalled = os.pipe()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / "socket"))
        self.listener.listen()
        self.child: Any = SimpleNamespace(
            exit_code=None, descriptor=self.signals, serve_signals=lambda: None, on_stop=None
        )
        self.entry: Any = SimpleNamespace(listen=self._listen, shown=lambda: {"id": "one", "name": ""})

    def _listen(self) -> Meeting:
        self.happened.append("listens")
        return Meeting(self.listener, "key")

    def wait(self, go: Callable[[Callable[[], object]], object], monkeypatch: pytest.MonkeyPatch) -> int:
        def started(*_: object) -> None:
            self.happened.append("shown")
            self.child.exit_code = 3

        monkeypatch.setattr(self.front, "started", started)
        session: Any = SimpleNamespace(warn=self.happened.append)
        shown = Shown(self.front, self.child, self.entry, session, {})
        return wait_on_poll(shown, go, lambda *_: 1)

    def close(self) -> None:
        for each in (self.own.master, self.own.slave, self.signals, self.signalled):
            os.close(each)
        self.viewer.close()
        self.listener.close()
        self.apart.leave()


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr("nono.launch.terminal.own_terminal.ignore_job_control", lambda: None)
    made = Stage(tmp_path)
    yield made
    made.close()


def test_a_session_listens_while_its_command_is_loaded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def go(meanwhile: Callable[[], object]) -> None:
        stage.happened.append("goes")
        meanwhile()
        stage.happened.append("runs")

    assert stage.wait(go, monkeypatch) == 3
    assert stage.happened == ["goes", "listens", "runs", "shown"]


class At(PollLoop):
    """A loop at some time, which keeps when its timers end."""

    def __init__(self, now: float) -> None:
        super().__init__()
        self.now, self.ends = now, list[float]()

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callback, /, *args: object) -> Timer:
        self.ends.append(self.now + delay)
        return super().call_later(delay, callback, *args)


def test_whoever_comes_gives_a_silent_command_no_more_time(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.front.startup_s = 60
    monkeypatch.setattr(stage.front, "started", lambda *_: None)
    before, after = At(1000.0), At(1059.0)
    session: Any = SimpleNamespace()
    terminal = OwnTerminal(Shown(stage.front, stage.child, stage.entry, session, {}), before)
    terminal.started()
    terminal.move_to(after)
    assert (before.ends, after.ends) == ([1060.0], [1060.0])


@pytest.mark.parametrize("descriptors_left", [True, False])
def test_who_can_be_shown_to_nobody_is_hung_up_on(stage: Stage, *, descriptors_left: bool) -> None:
    """Clients of the proxy may hold every descriptor that is left."""
    sent = list[int]()
    stage.child.received, stage.child.send = {}, sent.append
    stage.entry.attached = lambda _: None
    session: Any = SimpleNamespace(record=lambda _: None)
    terminal = OwnTerminal(Shown(stage.front, stage.child, stage.entry, session, {}), PollLoop())
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if not descriptors_left:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        terminal.attached(is_arrival=False, count=0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert (sent, list(stage.child.received)) == ([signal.SIGHUP], [signal.SIGHUP])
    assert os.isatty(stage.own.master) is not descriptors_left


def test_a_command_that_cannot_be_executed_is_not_shown(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def go(meanwhile: Callable[[], object]) -> None:
        meanwhile()
        raise LaunchError("no such program")

    with pytest.raises(LaunchError):
        stage.wait(go, monkeypatch)
    assert stage.happened == ["listens"]
    assert stage.listener.fileno() < 0
    stage.front.notice("said")
    assert stage.viewer.recv(64).endswith(b"said")
