"""Run work in a forked child when it cannot be undone: filters, rulesets, namespaces."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from nono.kernel import filters, notify, seccomp, threads
from support.running.needs import require
from support.running.pace import PACE

LIMIT_S = int(20 * PACE)


@dataclass(slots=True)
class Child:
    """A child of this test, whose output is one JSON value."""

    pid: int
    output: int
    status: int | None = field(default=None, init=False)

    def wait(self) -> int:
        """Return the wait status, as from waitpid(2)."""
        if self.status is None:
            _, self.status = os.waitpid(self.pid, 0)
        return self.status

    def result(self) -> Any:
        """Return what the work returned. AssertionError with its traceback if it raised or died."""
        with os.fdopen(os.dup(self.output), "rb") as pipe:
            text = pipe.read()
        status = self.wait()
        assert status == 0, f"the child ended with status {status:#x}: {text.decode()}"
        return json.loads(text)


@contextmanager
def child(work: Callable[[], Any]) -> Iterator[Child]:
    """Yield a child that runs work; killed at the end of the block if it still runs, and reaped."""
    output, child_output = os.pipe()
    pid = os.fork()
    if pid == 0:
        _run(work, child_output)
    os.close(child_output)
    started = Child(pid, output)
    try:
        yield started
    finally:
        if started.status is None:
            os.kill(pid, signal.SIGKILL)
            started.wait()
        os.close(output)


def in_child(work: Callable[[], Any]) -> Any:
    """Return what work returned in a child process."""
    with child(work) as started:
        return started.result()


@dataclass(frozen=True, slots=True)
class Supervised:
    """A child under the notify program, and our copy of its listener."""

    child: Child
    listener: int

    def next(self) -> notify.Notification:
        """Return the next trapped call, waiting for at most LIMIT_S."""
        poll = select.poll()
        poll.register(self.listener, select.POLLIN)
        assert poll.poll(LIMIT_S * 1000) == [(self.listener, select.POLLIN)]
        return notify.receive(self.listener)


@contextmanager
def supervised(work: Callable[[], Any]) -> Iterator[Supervised]:
    """Yield a child that runs work once its listener is here. We hold the only copy of the listener."""
    require("listener")
    ours, theirs = socket.socketpair()

    def listen_and_work() -> Any:
        listener = seccomp.install_listener(filters.load("notify"))
        # By number: sending the descriptor itself would be judged by the very filter it belongs to.
        os.write(theirs.fileno(), listener.to_bytes(4, "little"))
        os.read(theirs.fileno(), 1)
        os.close(listener)
        return work()

    with ours, theirs, child(listen_and_work) as started:
        ours.settimeout(LIMIT_S)
        listener = threads.duplicate_descriptor(started.pid, int.from_bytes(ours.recv(4), "little"))
        try:
            ours.send(b"!")
            yield Supervised(started, listener)
        finally:
            os.close(listener)


def errno_of(call: Callable[[], object]) -> int:
    """Return the errno that a call fails with; 0 if it succeeds."""
    try:
        call()
    except OSError as error:
        return error.errno or -1
    return 0


def _run(work: Callable[[], Any], output: int) -> None:
    code = 1
    try:
        signal.alarm(LIMIT_S)
        text = json.dumps(work())
        code = 0
    except BaseException:
        text = traceback.format_exc()
    try:
        os.write(output, text.encode())
    finally:
        os._exit(code)


def killed_at(call: int, work: Callable[[], object]) -> None:
    """Do the work, but be killed at its nth call of a C function. For a child."""

    def count(_: object, event: str, function: object) -> None:
        nonlocal call
        if event == "c_call":
            call -= 1
            if call == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)
    work()
    sys.setprofile(None)
