"""The programs that a plan adds to the others: no System V IPC, no scheduling of others, nobody who hides."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import signal
import stat
from collections.abc import Callable

import pytest

from nono.kernel import landlock, process
from nono.kernel.landlock_rights import HANDLED_FS
from nono.kernel.libc import prctl, syscall
from nono.kernel.uapi import process as uapi
from nono.kernel.uapi.seccomp import SYSCALL_NUMBERS
from nono.sandbox.apply import restrict
from nono.sandbox.plan.enforcement import StaticFilter
from nono.sandbox.plan.plan import SandboxPlan
from support.forked import child, errno_of, in_child

NUMBERS = SYSCALL_NUMBERS[os.uname().machine]
ABI = landlock.abi_version()
PLAN = SandboxPlan(ABI, HANDLED_FS[max(ABI, 0)] if ABI else 0, 0, 0, (), (), (), StaticFilter.OPEN_NET, None)
NO_IPC = PLAN._replace(refuses_sysv_ipc=True)
NO_SCHEDULING = PLAN._replace(refuses_foreign_scheduling=True)
ALL = NO_IPC._replace(refuses_foreign_scheduling=True, stays_in_cgroup=True, stays_dumpable=True)
IPC_CALLS = (
    *("shmget", "shmat", "shmctl", "semget", "semop", "semtimedop", "semctl"),
    *("msgget", "msgsnd", "msgrcv", "msgctl", "mq_open", "mq_unlink"),
)
AT_EMPTY_PATH = 0x1000
OVERFLOW_UID = 65534
NOBODY = (1 << 22) + 1  # beyond any pid_max
IOPRIO_IDLE = 3 << 13
SCHED_BATCH = 3

pytestmark = pytest.mark.skipif(ABI == 0, reason="this kernel has no Landlock")


def call(name: str, *arguments: int) -> int:
    return errno_of(lambda: syscall(NUMBERS[name], *arguments, tried=name))


def under(plan: SandboxPlan, work: Callable[[], object]) -> object:
    def restricted() -> object:
        restrict(plan)
        return work()

    return in_child(restricted)


def use_ipc() -> dict[str, int]:
    """Try each call on objects that do not exist, so that nothing changes where it is not refused."""
    return {name: call(name, -1, 0, -1) for name in IPC_CALLS}


@pytest.mark.parametrize("plan", [NO_IPC, ALL], ids=["alone", "beside all"])
def test_ipc_is_not_implemented_where_it_is_shared(plan: SandboxPlan) -> None:
    assert under(plan, use_ipc) == dict.fromkeys(IPC_CALLS, errno.ENOSYS)


def test_ipc_is_left_alone_where_it_is_not_shared() -> None:
    found = under(NO_SCHEDULING, use_ipc)
    assert found == in_child(use_ipc)
    assert isinstance(found, dict)
    if errno.ENOSYS in found.values():
        pytest.skip("this kernel has no System V IPC, or no POSIX queues")


def schedule(who: int) -> dict[str, int]:
    """Try to give one process less of a share than it has, by each call."""
    priority = ctypes.c_int(0)
    cpus = (ctypes.c_ulong * 16)(*[(1 << 64) - 1] * 16)
    # struct sched_attr (sched_setattr(2)): size, policy, flags, nice, priority, three of deadlines
    nice = os.getpriority(os.PRIO_PROCESS, 0)  # a lower one takes CAP_SYS_NICE
    attributes = (ctypes.c_uint32 * 12)(48, SCHED_BATCH, 0, 0, nice)
    where = ctypes.addressof
    return {
        "sched_setscheduler": call("sched_setscheduler", who, SCHED_BATCH, where(priority)),
        "sched_setparam": call("sched_setparam", who, where(priority)),
        "sched_setattr": call("sched_setattr", who, where(attributes), 0),
        "sched_setaffinity": call("sched_setaffinity", who, ctypes.sizeof(cpus), where(cpus)),
        "setpriority": call("setpriority", os.PRIO_PROCESS, who, 19),
        "ioprio_set": call("ioprio_set", 1, who, IOPRIO_IDLE),
    }


HIGH = 0xDEADBEEF << 32
CALLS = (
    *("sched_setscheduler", "sched_setparam", "sched_setattr", "sched_setaffinity"),
    *("setpriority", "ioprio_set"),
)


@pytest.mark.parametrize("plan", [NO_SCHEDULING, ALL], ids=["alone", "beside all"])
@pytest.mark.parametrize("high", [0, HIGH], ids=["clean", "garbage above int"])
def test_another_process_is_not_scheduled(plan: SandboxPlan, high: int) -> None:
    with child(signal.pause) as other:
        who = other.pid | high
        assert under(plan, lambda: schedule(who)) == dict.fromkeys(CALLS, errno.EPERM)


def test_another_process_is_scheduled_where_the_plan_leaves_it() -> None:
    with child(signal.pause) as other:
        assert under(NO_IPC, lambda: schedule(other.pid)) == dict.fromkeys(CALLS, 0)


def test_who_there_is_none_of_looks_like_anybody_else() -> None:
    assert set(in_child(lambda: schedule(NOBODY)).values()) == {errno.ESRCH}
    assert under(NO_SCHEDULING, lambda: schedule(NOBODY)) == dict.fromkeys(CALLS, errno.EPERM)


@pytest.mark.parametrize("high", [0, HIGH], ids=["clean", "garbage above int"])
def test_a_process_schedules_itself(high: int) -> None:
    assert under(ALL, lambda: schedule(high)) == dict.fromkeys(CALLS, 0)


def add_to_mode(bits: int) -> dict[str, int]:
    """Try to give a file in memory, which nobody else sees, the mode rwx and these bits, by each call."""
    file = os.memfd_create("of a mode")
    mode = stat.S_IRWXU | bits
    path, nothing = (ctypes.create_string_buffer(text) for text in (f"/proc/self/fd/{file}".encode(), b""))
    where = ctypes.addressof
    calls = {
        "chmod": (where(path), mode),
        "fchmod": (file, mode),
        "fchmodat": (-1, where(path), mode),
        "fchmodat2": (file, where(nothing), mode, AT_EMPTY_PATH),
    }
    return {name: call(name, *arguments) for name, arguments in calls.items() if name in NUMBERS}


def as_ordinary_user(plan: SandboxPlan | None, bits: int) -> object:
    def work() -> dict[str, int]:
        if os.geteuid() == 0:
            os.setresuid(OVERFLOW_UID, OVERFLOW_UID, OVERFLOW_UID)
            process.set_dumpable(True)  # its /proc/self/fd is its own again
        if plan is not None:
            restrict(plan)
        return add_to_mode(bits)

    return in_child(work)


def test_an_ordinary_user_makes_no_program_that_runs_as_its_owner() -> None:
    left = as_ordinary_user(None, stat.S_ISUID)
    assert isinstance(left, dict)
    assert set(left.values()) - {errno.ENOSYS} == {0}  # fchmodat2 is of Linux 6.6
    assert as_ordinary_user(PLAN, stat.S_ISUID) == dict.fromkeys(left, errno.EPERM)
    assert as_ordinary_user(PLAN, stat.S_ISGID | stat.S_ISVTX) == left


@pytest.mark.root
def test_root_does_so_as_packages_are_installed() -> None:
    assert under(PLAN, lambda: add_to_mode(stat.S_ISUID)) == in_child(lambda: add_to_mode(stat.S_ISUID))


FILLING: dict[str, Callable[[int], object]] = {
    "write": lambda file: os.write(file, b"#!"),
    "ftruncate": lambda file: os.ftruncate(file, mmap.PAGESIZE),
    "fallocate": lambda file: os.posix_fallocate(file, 0, mmap.PAGESIZE),
}


@pytest.mark.parametrize("place", ["/tmp", "/dev/shm"])
@pytest.mark.parametrize("way", FILLING)
def test_the_kernel_clears_the_bit_that_a_file_was_made_with(way: str, place: str) -> None:
    """Modes of open and mknod are not refused: what they make is empty."""

    def work() -> list[bool]:
        if os.geteuid() == 0:
            os.setresuid(OVERFLOW_UID, OVERFLOW_UID, OVERFLOW_UID)
        path = os.path.join(place, f"nono-test-{os.getpid()}")
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o4700)
        os.unlink(path)
        before = os.fstat(file).st_mode & stat.S_ISUID
        FILLING[way](file)
        after = os.fstat(file)
        assert after.st_size > 0
        # A mapping fills what has a size, and leaves the mode as it is.
        with mmap.mmap(file, after.st_size) as content:
            content[:2] = b"#!"
        return [bool(before), bool(os.fstat(file).st_mode & stat.S_ISUID)]

    assert in_child(work) == [True, False]


def hide() -> bool:
    """Return True if the process can be looked into afterwards."""
    process.set_dumpable(False)
    return bool(prctl(uapi.PR_GET_DUMPABLE, tried="prctl"))


@pytest.mark.parametrize(("plan", "stays"), [(ALL, True), (NO_IPC, False)], ids=["held", "left"])
def test_a_process_does_not_hide_from_who_serves_its_calls(plan: SandboxPlan, stays: bool) -> None:
    def hidden() -> object:
        process.set_dumpable(True)  # the worker may have hidden itself for another test
        restrict(plan)
        return hide()

    assert in_child(hidden) is stays


def test_a_plan_keeps_what_it_refuses_on_its_way_to_the_launcher() -> None:
    assert SandboxPlan.from_message(ALL.to_message()) == ALL
