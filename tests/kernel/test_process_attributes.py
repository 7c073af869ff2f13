"""Process attributes and look-ups in other processes, against the running kernel."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import resource
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nono.kernel import filters, process, seccomp, threads
from nono.kernel.libc import prctl, syscall, syscall_number
from nono.kernel.uapi.process import (
    PR_GET_CHILD_SUBREAPER,
    PR_GET_DUMPABLE,
    PR_GET_NO_NEW_PRIVS,
    PR_GET_PDEATHSIG,
)
from nono.sessions.processes import seccomp_filters
from support.forked import Child, child, errno_of, in_child
from support.running.leftovers import descriptors
from support.running.needs import require

READER = threads.MemoryReader(4096)

THEIRS = 900
"""Number under which a child has a file open, beyond what a worker has; 1024 is the usual limit."""

PROT_NONE = 0


def undumpable_and_back() -> None:
    process.set_dumpable(False)
    process.set_dumpable(True)


@pytest.mark.parametrize(
    ("option", "change", "expected"),
    [
        (PR_GET_NO_NEW_PRIVS, process.no_new_privs, 1),
        (PR_GET_DUMPABLE, lambda: process.set_dumpable(False), 0),
        (PR_GET_DUMPABLE, undumpable_and_back, 1),
    ],
    ids=["no-new-privs", "undumpable", "dumpable-again"],
)
def test_an_attribute_is_what_was_set(option: int, change: object, expected: int) -> None:
    assert callable(change)

    def change_and_read() -> int:
        change()
        return prctl(option, tried="get")

    assert in_child(change_and_read) == expected


@pytest.mark.parametrize(
    ("option", "change", "expected"),
    [
        (PR_GET_CHILD_SUBREAPER, process.become_subreaper, 1),
        (PR_GET_PDEATHSIG, lambda: process.set_parent_death_signal(signal.SIGTERM), signal.SIGTERM),
    ],
    ids=["subreaper", "parent-death-signal"],
)
def test_an_attribute_that_is_read_through_a_pointer_is_what_was_set(
    option: int, change: object, expected: int
) -> None:
    assert callable(change)

    def change_and_read() -> list[int]:
        value = ctypes.c_int()
        answers = []
        for step in (lambda: None, change):
            step()
            prctl(option, ctypes.addressof(value), tried="get")
            answers.append(value.value)
        return answers

    assert in_child(change_and_read) == [0, expected]


def test_core_dumps_are_forbidden() -> None:
    def limits() -> list[int]:
        process.forbid_core_dumps()
        return list(resource.getrlimit(resource.RLIMIT_CORE))

    assert in_child(limits) == [0, 0]


def test_an_undumpable_process_can_be_looked_into_by_nobody_of_its_uid() -> None:
    if os.geteuid() == 0:
        pytest.skip("root may ptrace what is not dumpable")

    def look_at_parent_undumpable() -> int:
        process.set_dumpable(False)
        pid = os.getpid()
        return int(in_child(lambda: errno_of(lambda: threads.duplicate_descriptor(pid, 0))))

    assert in_child(look_at_parent_undumpable) == errno.EPERM


def fstat_errno(descriptor: int) -> int:
    return errno_of(lambda: os.fstat(descriptor))


def beyond_all() -> int:
    """Return a number beyond all open descriptors; loops of earlier tests may hold many."""
    return max(map(int, os.listdir("/proc/self/fd"))) + 1


def test_every_descriptor_is_closed_but_those_kept() -> None:
    def close_some() -> list[int]:
        first = beyond_all()
        opened = [os.dup2(0, first + more) for more in (0, 1, 2, 10, 11)]
        process.close_range_from(first + 1, keep=(first + 2, first + 10, 3))
        return [fstat_errno(number) for number in opened]

    assert in_child(close_some) == [0, errno.EBADF, 0, 0, errno.EBADF]


@pytest.mark.parametrize("keep", [(), (0,), (0, 1, 2)], ids=["none", "first", "all"])
def test_what_is_kept_may_stand_anywhere(keep: tuple[int, ...]) -> None:
    def close_and_look() -> list[bool]:
        first = beyond_all()
        for more in range(3):
            os.dup2(0, first + more)
        process.close_range_from(first, {first + more for more in keep})
        return [Path(f"/proc/self/fd/{first + more}").exists() for more in range(3)]

    assert in_child(close_and_look) == [more in keep for more in range(3)]


@pytest.mark.needs("pidfd_getfd")
def test_the_thread_group_of_a_thread_is_its_process() -> None:
    tids: list[int] = []
    done = threading.Event()

    def name_and_wait() -> None:
        tids.append(threading.get_native_id())
        started.set()
        done.wait(10)

    started = threading.Event()
    thread = threading.Thread(target=name_and_wait)
    thread.start()
    try:
        assert started.wait(10)
        assert tids[0] != os.getpid()
        assert threads.thread_group_id(tids[0]) == os.getpid()
        assert process.thread_count() >= 2
        duplicate = threads.duplicate_descriptor(tids[0], 0)
        try:
            assert os.path.sameopenfile(duplicate, 0)
            assert not os.get_inheritable(duplicate)
        finally:
            os.close(duplicate)
    finally:
        done.set()
        thread.join()


@pytest.mark.needs("pidfd_getfd")
def test_a_kernel_without_thread_pidfds_is_asked_for_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    pidfd_open = os.pidfd_open

    def before_6_9(pid: int, flags: int = 0) -> int:
        asked.append((pid, flags))
        if flags:
            raise OSError(errno.EINVAL, "PIDFD_THREAD")
        return pidfd_open(pid)

    monkeypatch.setattr(os, "pidfd_open", before_6_9)
    os.close(threads.duplicate_descriptor(os.getpid(), 0))
    assert [pid for pid, _ in asked] == [os.getpid()] * 2


@pytest.mark.needs("pidfd_getfd")
def test_a_descriptor_that_is_not_open_is_an_error() -> None:
    with pytest.raises(OSError, match=r"pidfd_getfd\(\d+, 987\): .* \[EBADF\]"):
        threads.duplicate_descriptor(os.getpid(), 987)


def test_a_thread_that_is_gone_is_an_error() -> None:
    with child(lambda: 0) as ended:
        ended.wait()
        assert errno_of(lambda: threads.duplicate_descriptor(ended.pid, 0)) == errno.ESRCH
        assert errno_of(lambda: READER.read(ended.pid, 4096, 1)) == errno.ESRCH
        assert errno_of(lambda: threads.thread_group_id(ended.pid)) == errno.ESRCH


@contextmanager
def copier() -> Iterator[threads.DescriptorCopier]:
    require("pidfd_getfd")
    made = threads.DescriptorCopier()
    try:
        yield made
    finally:
        made.close()


def told_apart(copies: threads.DescriptorCopier, tid: int, number: int) -> bytes:
    """Return the content of the file that tid has open as number."""
    copy = copies.copy(tid, number)
    try:
        assert not os.get_inheritable(copy)
        return os.pread(copy, 16, 0)
    finally:
        os.close(copy)


@contextmanager
def holder_of(text: bytes, number: int) -> Iterator[Child]:
    """Yield a child that has this text open under this number, and nothing of ours there."""
    with tempfile.TemporaryFile() as file:
        file.write(text)
        file.flush()
        ours, theirs = os.pipe()

        def hold() -> None:
            os.dup2(file.fileno(), number)
            os.write(theirs, b"!")
            signal.pause()

        try:
            with child(hold) as holding:
                assert os.read(ours, 1) == b"!"
                yield holding
        finally:
            os.close(ours)
            os.close(theirs)


def test_a_thread_is_opened_once_for_all_its_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []
    pidfd_open = os.pidfd_open

    def counted(pid: int, flags: int = 0) -> int:
        opened.append(pid)
        return pidfd_open(pid, flags)

    monkeypatch.setattr(os, "pidfd_open", counted)
    with copier() as copies, holder_of(b"one", THEIRS) as one, holder_of(b"two", THEIRS) as two:
        for _ in range(3):
            assert told_apart(copies, one.pid, THEIRS) == b"one"
            assert told_apart(copies, two.pid, THEIRS) == b"two"
        if opened[1] == two.pid:  # from 6.9 on
            assert opened == [one.pid, two.pid]
        with pytest.raises(OSError, match=r"pidfd_getfd\(\d+, 987\): .* \[EBADF\]"):
            copies.copy(one.pid, 987)


def test_a_thread_whose_descriptor_is_kept_is_an_error_once_it_is_gone() -> None:
    with copier() as copies, holder_of(b"one", THEIRS) as one:
        assert told_apart(copies, one.pid, THEIRS) == b"one"
        os.kill(one.pid, signal.SIGKILL)
        one.wait()
        assert errno_of(lambda: copies.copy(one.pid, THEIRS)) == errno.ESRCH


def test_a_number_that_was_given_away_again_is_its_new_owner() -> None:
    next_pid = Path("/proc/sys/kernel/ns_last_pid")
    try:
        next_pid.write_text(next_pid.read_text())
    except OSError:
        pytest.skip("this kernel does not let this user choose the number of the next process")
    with copier() as copies:
        for _ in range(50):  # another process of the machine may be quicker
            with holder_of(b"old", THEIRS) as old:
                assert told_apart(copies, old.pid, THEIRS) == b"old"
            next_pid.write_text(str(old.pid - 1))
            with holder_of(b"new", THEIRS) as new:
                if new.pid == old.pid:
                    assert told_apart(copies, new.pid, THEIRS) == b"new"
                    return
    pytest.fail("no number was given away again")


@pytest.mark.needs("pidfd_getfd")
def test_a_number_that_a_thread_takes_over_by_execve_is_that_thread(tmp_path: Path) -> None:
    """execve(2) of another thread gives it the number of its leader (de_thread in fs/exec.c)."""
    new = tmp_path / "new"
    new.write_bytes(b"new")
    ours, theirs = os.pipe()
    again, from_us = os.pipe()
    program = (
        f"import os; os.dup2(os.open({str(new)!r}, 0), {THEIRS});"
        f"os.write({theirs}, b'!'); os.read({again}, 1)"
    )

    def execute() -> None:
        os.read(again, 1)
        os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", program])

    def hold() -> None:
        os.set_inheritable(theirs, True)
        os.set_inheritable(again, True)
        os.close(from_us)
        os.dup2(os.open(os.devnull, os.O_RDONLY), THEIRS)
        threading.Thread(target=execute).start()
        os.write(theirs, b"!")
        signal.pause()

    try:
        with copier() as copies, child(hold) as leader:
            assert os.read(ours, 1) == b"!"
            assert told_apart(copies, leader.pid, THEIRS) == b""
            os.write(from_us, b"!")
            assert os.read(ours, 1) == b"!"
            assert told_apart(copies, leader.pid, THEIRS) == b"new"
    finally:
        for each in (ours, theirs, again, from_us):
            os.close(each)


@pytest.mark.needs("pidfd_getfd")
def test_a_kernel_without_thread_pidfds_has_none_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process outlives its threads: the number of one may become another's, and the pidfd would not say."""
    pidfd_open = os.pidfd_open

    def before_6_9(pid: int, flags: int = 0) -> int:
        if flags:
            raise OSError(errno.EINVAL, "PIDFD_THREAD")
        return pidfd_open(pid)

    monkeypatch.setattr(os, "pidfd_open", before_6_9)
    with copier() as copies, holder_of(b"one", THEIRS) as one:
        before = len(descriptors())
        assert told_apart(copies, one.pid, THEIRS) == b"one"
        assert len(descriptors()) == before


def test_threads_are_kept_up_to_a_limit_until_the_end() -> None:
    before = len(descriptors())
    with copier() as copies:
        for _ in range(threads.PIDFDS_MAX + 5):
            with child(signal.pause) as each:
                os.close(copies.copy(each.pid, 0))
        assert len(descriptors()) <= before + threads.PIDFDS_MAX
    assert len(descriptors()) == before


def test_memory_is_read_up_to_the_first_page_that_is_not_mapped() -> None:
    page = mmap.PAGESIZE
    with mmap.mmap(-1, 2 * page) as memory:
        memory.write(b"a" * page + b"b" * page)
        anchor = ctypes.c_char.from_buffer(memory)
        address = ctypes.addressof(anchor)
        del anchor
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.mprotect(ctypes.c_void_p(address + page), ctypes.c_size_t(page), PROT_NONE) == 0
        pid = os.getpid()
        assert READER.read(pid, address + page - 3, 3) == b"aaa"
        assert READER.read(pid, address + page - 3, 8) == b"aaa"
        assert errno_of(lambda: READER.read(pid, address + page, 8)) == errno.EFAULT
        assert READER.read(pid, address, 0) == b""


def test_no_more_is_read_than_the_buffer_of_the_reader_holds() -> None:
    """The length is the caller's to choose."""
    text = ctypes.create_string_buffer(b"0123456789")
    reader = threads.MemoryReader(8)
    assert reader.read(os.getpid(), ctypes.addressof(text), 8) == b"01234567"
    for length in (9, 2**31, 2**63):
        with pytest.raises(ValueError, match="bytes of another process's memory"):
            reader.read(os.getpid(), ctypes.addressof(text), length)


def test_memory_of_a_child_is_its_own() -> None:
    buffer = ctypes.create_string_buffer(b"before", 6)
    address = ctypes.addressof(buffer)
    read_end, write_end = os.pipe()

    def change_and_wait() -> int:
        buffer.raw = b"after!"
        os.write(write_end, b"!")
        signal.pause()
        return 0

    try:
        with child(change_and_wait) as changed:
            os.read(read_end, 1)
            assert READER.read(changed.pid, address, 6) == b"after!"
            assert READER.read(os.getpid(), address, 6) == b"before"
    finally:
        os.close(read_end)
        os.close(write_end)


def test_an_error_carries_the_kernels_errno_and_what_was_tried() -> None:
    with pytest.raises(OSError, match=r"close_range\(backwards\): Invalid argument \[EINVAL\]") as caught:
        syscall(syscall_number("close_range"), 5, 4, 0, tried="close_range(backwards)")
    assert caught.value.errno == errno.EINVAL
    with pytest.raises(OSError, match=r"prctl\(nothing\): .* \[EINVAL\]"):
        prctl(0x7FFFFFFF, tried="prctl(nothing)")


def test_a_system_call_without_a_known_number_is_an_error() -> None:
    with pytest.raises(OSError, match=r"reboot\(2\): number not known on .*\[ENOSYS\]"):
        syscall_number("reboot")


@pytest.mark.root
def test_a_filter_is_counted_however_many_groups_its_process_has() -> None:
    def counted() -> int:
        os.setgroups(range(100_000, 103_000))  # named in the file before the filters
        process.no_new_privs()
        before = seccomp_filters(os.getpid())
        seccomp.install_filter(filters.load("tcp_only"))
        return seccomp_filters(os.getpid()) - before

    assert in_child(counted) == 1
