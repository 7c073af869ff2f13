"""nono.forked: an answer is whole or none, and nothing of a forked process comes back into its caller."""

from __future__ import annotations

import errno
import gc
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from nono.forked import Reply, answering, bytes_from_fork, call_in_fork, fork_child, fork_orphan
from nono.kernel import process
from support.forked import in_child


def test_what_is_found_comes_back() -> None:
    assert call_in_fork(lambda: {"pid": [os.getppid()]}) == {"pid": [os.getpid()]}


def test_a_process_that_answered_is_gone() -> None:
    gone = call_in_fork(os.getpid)
    assert gone is not None
    with pytest.raises(ProcessLookupError):
        os.kill(gone, 0)


def test_more_than_a_pipe_holds_comes_back_whole() -> None:
    assert call_in_fork(lambda: "x" * 1_000_000) == "x" * 1_000_000


def test_one_that_raises_or_ends_otherwise_found_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    def fails() -> int:
        raise ValueError("no")

    def leaves() -> int:
        os._exit(0)

    assert call_in_fork(fails) is None
    assert call_in_fork(leaves) is None
    assert capfd.readouterr() == ("", "")


def _killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_is_killed_while_it_answers_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    def send(reply: Reply, _: bytes) -> None:
        os.write(reply.fileno(), b"\x80\x05K\x01.")  # a whole pickle, which is what it might have been
        _killed()

    monkeypatch.setattr(Reply, "send", send)
    assert call_in_fork(lambda: 1) is None


@pytest.mark.parametrize("part", [b"", b"\5\0\0\0", b"\5\0\0\0\0\0\0\0", b"\5\0\0\0\0\0\0\0ansr"])
def test_a_part_of_an_answer_is_none(part: bytes) -> None:
    with answering(lambda reply: os.write(reply.fileno(), part)) as child:
        assert child.answer.read(100) is None


def test_an_empty_answer_is_an_answer() -> None:
    assert bytes_from_fork(bytes, 0) == b""


def test_no_answer_beyond_the_limit_is_read() -> None:
    assert bytes_from_fork(lambda: b"x" * 200_000, 200_000) == b"x" * 200_000
    assert bytes_from_fork(lambda: b"x" * 200_001, 200_000) is None


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit], ids=lambda kind: kind.__name__)
def test_no_exception_of_the_child_reaches_the_callers_code(error: type[BaseException]) -> None:
    def fails() -> None:
        raise error

    caller = os.getpid()
    try:
        status = os.waitpid(fork_child(fails), 0)[1]
    finally:
        if os.getpid() != caller:  # or pytest would go on in the child
            os._exit(99)
    assert os.waitstatus_to_exitcode(status) == 1


def test_an_interrupt_right_after_the_fork_ends_the_child_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    fork = os.fork
    caller = os.getpid()

    def interrupted() -> int:
        pid = fork()
        if pid == 0:
            raise KeyboardInterrupt  # as a handler does, before anybody knows whose process it is
        return pid

    monkeypatch.setattr(os, "fork", interrupted)
    try:
        status = os.waitpid(fork_child(lambda: None), 0)[1]
    finally:
        if os.getpid() != caller:
            os._exit(99)
    assert os.waitstatus_to_exitcode(status) == 1


def test_a_life_that_returns_ends_with_0() -> None:
    assert os.waitpid(fork_child(lambda: "unheard"), 0)[1] == 0


def test_a_handled_signal_does_not_break_the_reading_off() -> None:
    caught: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: caught.append(number))

    def slow() -> bytes:
        time.sleep(0.05)
        os.kill(os.getppid(), signal.SIGUSR1)
        time.sleep(0.05)
        return b"late"

    try:
        assert bytes_from_fork(slow, 100) == b"late"
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert caught == [signal.SIGUSR1]


def test_an_answer_comes_where_dead_children_are_not_kept() -> None:
    def ignoring() -> str | None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        return call_in_fork(lambda: "found")

    assert in_child(ignoring) == "found"


def test_neither_descriptor_nor_child_is_left_behind() -> None:
    def work() -> bytes:
        raise ValueError

    gc.collect()
    before = os.listdir("/proc/self/fd"), process.child_pids()
    for _ in range(3):
        bytes_from_fork(work, 10)
        bytes_from_fork(lambda: b"x" * 100_000, 10)
        call_in_fork(lambda: 1)
    assert (os.listdir("/proc/self/fd"), process.child_pids()) == before


def test_a_child_that_waits_is_there_until_its_answer_is_closed() -> None:
    def life(reply: Reply) -> None:
        reply.send(b"made")
        reply.wait_until_closed()

    with answering(life) as child:
        assert child.answer.read(100) == b"made"
        pidfd = os.pidfd_open(child.pid)
        assert select.select([pidfd], [], [], 0.05)[0] == []
    assert select.select([pidfd], [], [], 0)[0] == [pidfd]
    os.close(pidfd)


def _tied(life: Callable[[], object]) -> int:
    return fork_child(life, set_death_signal=lambda: process.set_parent_death_signal(signal.SIGKILL))


def test_a_tied_child_ends_with_its_parent() -> None:
    said, say = os.pipe()

    def parent() -> None:
        _tied(lambda: time.sleep(60))
        os.write(say, b".")
        _killed()

    pid = fork_child(parent)
    os.close(say)
    assert os.read(said, 1) == b"."
    assert os.read(said, 1) == b""  # nobody holds the other end any more
    os.close(said)
    os.waitpid(pid, 0)


def test_a_child_whose_parent_was_gone_before_it_was_tied_does_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "getppid", lambda: 1)  # who has adopted it
    status = os.waitpid(_tied(lambda: os._exit(7)), 0)[1]
    assert os.waitstatus_to_exitcode(status) == 0


def test_an_orphan_is_nobodys_child_here() -> None:
    code = """
import os
from nono.forked import fork_child, fork_orphan
from nono.kernel import process
def middle():
    fork_orphan(lambda: os._exit(5))
    os._exit(len(process.child_pids()))
process.become_subreaper()
fork_child(middle)
print(sorted(os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(2)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stdout == "[0, 5]\n"


def test_an_orphan_that_cannot_be_forked_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    fork = os.fork
    starter: list[int] = []

    def once() -> int:
        if starter:
            raise BlockingIOError(errno.EAGAIN, "fork")
        starter.append(1)
        return fork()

    monkeypatch.setattr(os, "fork", once)
    with pytest.raises(OSError, match="no process for a helper"):
        fork_orphan(lambda: None)


def test_pickle_is_for_values_alone() -> None:
    code = "import sys; from nono import forked; print(forked.bytes_from_fork(lambda: b'x', 9), *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stdout.startswith("b'x' ")
    assert {"pickle", "json"} & set(done.stdout.split()) == set()
