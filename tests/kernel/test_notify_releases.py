"""Where releases of Linux differ in what a listener does, and that nono's own calls hold on either side.

The releases are those that were tried: `make test-kernels` runs this on each. Between two of them, where a
distribution may have the change earlier, either behaviour will do.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from nono.kernel import filters, notify, process, seccomp, threads
from nono.kernel.libc import syscall, syscall_number
from nono.kernel.uapi import seccomp as uapi
from nono.kernel.uapi.process import PIDFD_THREAD
from support.forked import Supervised, child, errno_of, in_child, supervised

RELEASE = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
RELEASES_FILTERS_AT_EXIT = (6, 11)  # "seccomp: release task filters when the task exits"
BLOCKS_S = 0.3
CALLS, INTERVAL_S = 100, 0.0005


class GaveUpError(Exception):
    """No OSError, which errno_of would take for the answer."""


def listen_on_nothing() -> int:
    """Make a trapped call that fails by itself, so that whatever it returns is the answer it was given."""
    return syscall(syscall_number("listen"), 99, 1, tried="listen")


def expect(first: tuple[int, int], tried_without: tuple[int, int], happens: bool) -> None:
    """Check that something happens from release `first` on, and does not up to `tried_without`."""
    if first <= RELEASE:
        assert happens
    elif tried_without >= RELEASE:
        assert not happens


def reported(run: Supervised) -> int:
    poll = select.poll()
    poll.register(run.listener, select.POLLIN)
    return dict(poll.poll(0)).get(run.listener, 0)


def wait_until_dead(run: Supervised) -> None:
    """Wait until the child is a zombie that nobody has reaped."""
    os.waitid(os.P_PID, run.child.pid, os.WEXITED | os.WNOWAIT)


def test_the_end_of_the_tree_is_a_hang_up_at_the_latest_once_it_is_reaped() -> None:
    with supervised(lambda: 0) as run:
        wait_until_dead(run)
        expect(RELEASES_FILTERS_AT_EXIT, (6, 5), bool(reported(run) & select.POLLHUP))
        run.child.wait()
        assert reported(run) == select.POLLHUP


def test_no_call_is_awaited_once_the_tree_is_gone() -> None:
    """What a receive without a poll before it would do, which is why nono makes none."""
    with supervised(lambda: 0) as run:
        run.child.wait()

        def receive() -> str:
            def give_up(*_: object) -> None:
                raise GaveUpError

            signal.signal(signal.SIGALRM, give_up)
            signal.setitimer(signal.ITIMER_REAL, BLOCKS_S)
            try:
                return str(errno_of(lambda: notify.receive(run.listener)))
            except GaveUpError:
                return "blocks"

        answer = in_child(receive)
        expect(RELEASES_FILTERS_AT_EXIT, (6, 8), answer == str(errno.ENOENT))
        assert answer in ("blocks", str(errno.ENOENT))
        assert not reported(run) & select.POLLIN


@pytest.mark.needs("place for a listener")
def test_a_listener_works_with_or_without_killable_waits_of_5_19() -> None:
    flags = uapi.SECCOMP_FILTER_FLAG_NEW_LISTENER | uapi.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
    raw = in_child(lambda: errno_of(lambda: seccomp._set_mode_filter(filters.load("notify"), flags)))
    assert raw in (0, errno.EINVAL)
    expect((5, 19), (5, 18), raw == 0)
    assert in_child(lambda: errno_of(lambda: seccomp.install_listener(filters.load("notify")))) == 0


def test_a_listener_works_without_the_same_cpu_wake_up_of_6_6() -> None:
    with supervised(listen_on_nothing) as run:
        flag = uapi.SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
        raw = errno_of(lambda: fcntl.ioctl(run.listener, uapi.SECCOMP_IOCTL_NOTIF_SET_FLAGS, flag))
        assert raw in (0, errno.EINVAL)
        expect((6, 6), (6, 5), raw == 0)
        notify.set_sync_wake_up(run.listener)
        notify.respond(run.listener, run.next().id, value=5)
        assert run.child.result() == 5


def test_a_descriptor_is_sent_before_the_answer() -> None:
    with supervised(listen_on_nothing) as run, open(os.devnull) as source:
        call = run.next()

        def answer() -> None:
            notify.respond_with_descriptor(run.listener, call.id, source.fileno(), close_on_exec=True)

        answer()
        assert run.child.result() >= 3


def listen_when_others_leave_time() -> int:
    """Listen on one processor with somebody who uses all of it, and goes first."""
    processor = {min(os.sched_getaffinity(0))}
    os.sched_setaffinity(0, processor)
    os.nice(19)  # under SCHED_IDLE each call would wait for a second
    return min(listen_on_nothing() for _ in range(CALLS))


@contextmanager
def busy_processor() -> Iterator[None]:
    def spin() -> None:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        while True:
            pass

    with child(spin):
        yield


@contextmanager
def timer(interval_s: float) -> Iterator[None]:
    """Set a timer as the watchdog of blocking calls does: its handler does nothing."""
    previous = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, interval_s, interval_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def _hand_over(listener: int, call: notify.Notification, descriptor: int) -> None:
    """Hand over, again if the caller did not get to run meanwhile, which is the test's own doing."""
    try:
        notify.respond_with_descriptor(listener, call.id, descriptor, close_on_exec=True)
    except InterruptedError:
        _hand_over(listener, call, descriptor)


@pytest.mark.any_user
def test_no_signal_makes_a_sent_descriptor_the_number_0() -> None:
    """Interrupted, the kernel takes the descriptor back, and the caller's answer is 0: its standard input."""
    with supervised(listen_when_others_leave_time) as run, open(os.devnull) as source, busy_processor():
        for _ in range(CALLS):
            call = run.next()
            with timer(INTERVAL_S):
                _hand_over(run.listener, call, source.fileno())
        assert run.child.result() >= 3


def of_a_thread() -> int:
    """Make a trapped call in a thread that leads no group. Returns its answer."""
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(listen_on_nothing()))
    thread.start()
    thread.join()
    return answers[0]


def test_descriptors_of_a_thread_are_found_without_its_pidfd_of_6_9() -> None:
    with supervised(of_a_thread) as run:
        call = run.next()
        assert call.tid != run.child.pid
        raw = errno_of(lambda: os.close(os.pidfd_open(call.tid, PIDFD_THREAD)))
        assert raw in (0, errno.EINVAL)
        expect((6, 9), (6, 8), raw == 0)
        os.close(threads.duplicate_descriptor(call.tid, 0))
        copier = threads.DescriptorCopier()
        os.close(copier.copy(call.tid, 0))
        copier.close()
        notify.respond(run.listener, call.id, value=9)
        assert run.child.result() == 9


@pytest.mark.needs("listener")
def test_an_orphan_hangs_up_only_when_it_is_reaped_as_well() -> None:
    """The tree of a run ends with its last orphan, whose reaper is whoever became the subreaper."""

    def in_subreaper() -> list[bool]:
        process.become_subreaper()

        def leave_an_orphan() -> int:
            orphan = os.fork()
            if orphan == 0:
                listen_on_nothing()
                os._exit(0)
            return orphan

        with supervised(leave_an_orphan) as run:
            call = run.next()
            orphan = call.tid
            run.child.wait()
            alive = reported(run)
            notify.respond(run.listener, call.id, value=0)
            os.waitpid(orphan, 0)
            return [bool(alive & select.POLLHUP), reported(run) == select.POLLHUP]

    with child(in_subreaper) as run:
        assert run.result() == [False, True]
