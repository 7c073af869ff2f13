"""A pytest plugin: skip what this host cannot show, which a probe finds out, and say what is missing.

@pytest.mark.needs("mounts", "listener") names what a test is about, and `require` is for helpers.
ordinary=True asks for an ordinary user, suite=True for whoever runs the tests. The probes are the tests' own
and do the thing itself in a child, as whoever runs the test's nono: were nono asked, a test would be skipped
wherever nono is wrong. `make test-confined` fails if a host lacks more than it is known to.
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import json
import os
import platform
import signal
import socket
import struct
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest

from support.kernelsim import calls
from support.kernelsim.filter import RET_TRACE, outer_filter
from support.ordinary_user import UNPRIVILEGED_ID

ORDINARY = os.geteuid() or UNPRIVILEGED_ID
LIMIT_S = 20
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
SO_NETNS_COOKIE = 71
MS_NOSUID = 2
PIDFD_OPEN, PIDFD_GETFD, IO_URING_SETUP = 434, 438, 425
ADD_KEY, KEY_SPEC_PROCESS_KEYRING = {"x86_64": 248, "aarch64": 217}, -2
KEYCTL = {"x86_64": 250, "aarch64": 219}
USERFAULTFD = {"x86_64": 323, "aarch64": 282}
USER_MODE_ONLY = 1
PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}
KEYCTL_GET_KEYRING_ID = 0
_libc = ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: int) -> int:
    result = _libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return int(result)


def _unshare(flags: int) -> None:
    """Unshare namespaces, with a user namespace if this user may not otherwise; ids are kept."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        os.unshare(flags)
    except PermissionError:
        os.unshare(flags | os.CLONE_NEWUSER)
        _map(uid, gid)


def _map(uid: int, gid: int) -> None:
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        Path("/proc/self", name).write_text(text, encoding="ascii")


def _user_namespaces() -> None:
    """Enter a user namespace with capabilities in it, which AppArmor withholds."""
    uid, gid = os.geteuid(), os.getegid()
    os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNS)
    _map(uid, gid)
    calls.mount("none", "/", None, calls.MS_REC | calls.MS_PRIVATE)


def _mounts() -> None:
    _unshare(os.CLONE_NEWNS)
    calls.mount("none", "/", None, calls.MS_REC | calls.MS_PRIVATE)
    calls.mount("needs", "/tmp", "tmpfs", MS_NOSUID)
    calls.mount("/tmp", "/tmp", None, calls.MS_BIND)


def _processes() -> None:
    """Make what a view is made of, with its own procfs, which only the first process inside can mount."""
    _unshare(os.CLONE_NEWNS | os.CLONE_NEWPID | os.CLONE_NEWIPC)
    calls.mount("none", "/", None, calls.MS_REC | calls.MS_PRIVATE)
    if why := _in_child(lambda: calls.mount("proc", "/proc", "proc", MS_NOSUID)):
        raise OSError(errno.EPERM, why)


def _network() -> None:
    _unshare(os.CLONE_NEWNET)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def _descriptors_of_others() -> None:
    """Take a child's descriptor by pidfd_getfd(2)."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    try:
        pidfd = _call(PIDFD_OPEN, pid, 0)
        _call(PIDFD_GETFD, pidfd, read, 0)
    finally:
        os.close(write)
        os.waitpid(pid, 0)


def _listener() -> None:
    """Install one, and take it from a child."""
    _descriptors_of_others()
    calls.prctl(calls.PR_SET_NO_NEW_PRIVS, 1)
    calls.install_listener(outer_filter(calls.architecture(), (), RET_TRACE, refuse_user_namespaces=False))


def _place_for_a_listener() -> None:
    calls.install_listener(outer_filter(calls.architecture(), (), RET_TRACE, refuse_user_namespaces=False))


def _keyrings() -> None:
    """Add a key, and find the session's keyring: Podman's profile allows keyctl(2) alone."""
    name, kept = b"user\0", b"needs\0"
    texts = [ctypes.create_string_buffer(text) for text in (name, kept, b"x")]
    addresses = [ctypes.addressof(text) for text in texts]
    _call(ADD_KEY[platform.machine()], *addresses, 1, KEY_SPEC_PROCESS_KEYRING)
    _call(KEYCTL[platform.machine()], KEYCTL_GET_KEYRING_ID, -3, 0)  # KEY_SPEC_SESSION_KEYRING


def _io_uring() -> None:
    parameters = array.array("B", bytes(120))
    _call(IO_URING_SETUP, 1, parameters.buffer_info()[0])


def _userfaultfd() -> None:
    os.close(_call(USERFAULTFD[platform.machine()], USER_MODE_ONLY))


def _perf_event_open() -> None:
    """Call perf_event_open(2), which fails with EFAULT: it finds no attributes."""
    try:
        _call(PERF_EVENT_OPEN[platform.machine()], 0, 0, -1, -1, 0)
    except OSError as error:
        if error.errno != errno.EFAULT:
            raise


def _gain() -> None:
    """Check that execve(2) of a setuid program gives what it should: no_new_privs is not set."""
    status = Path("/proc/self/status").read_text()
    if "NoNewPrivs:\t0" not in status:
        raise OSError(errno.EPERM, "no_new_privs is set")


def _files_of_root() -> None:
    """Find root as the owner of /, which is nobody in a user namespace without root's id."""
    if os.stat("/").st_uid != 0:
        raise OSError(errno.EINVAL, "root's files belong to nobody here")


def _namespace_sysctls() -> None:
    """Open a limit of the user's own namespace for writing."""
    uid, gid = os.geteuid(), os.getegid()
    os.unshare(os.CLONE_NEWUSER)
    _map(uid, gid)
    os.close(os.open("/proc/sys/user/max_user_namespaces", os.O_WRONLY))


def _sysctls() -> None:
    """Open a limit of all users for writing, which is read-only in a container."""
    os.close(os.open("/proc/sys/fs/epoll/max_user_watches", os.O_WRONLY))


def _ptrace() -> None:
    """Read the environment of a process that is not dumpable."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        calls.prctl(calls.PR_SET_DUMPABLE, 0)
        os.write(write, b"x")
        signal.pause()
    try:
        os.read(read, 1)
        Path(f"/proc/{pid}/environ").read_bytes()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _fuse() -> None:
    """Open what a server of files speaks through. Only the kernel's part: bindfs is in .ci/run's packages."""
    os.close(os.open("/dev/fuse", os.O_RDWR))


PROBES: dict[str, Callable[[], object]] = {
    "user namespaces": _user_namespaces,
    "mounts": _mounts,
    "namespaces": _processes,
    "network namespace": _network,
    "pidfd_getfd": _descriptors_of_others,
    "listener": _listener,
    "place for a listener": _place_for_a_listener,
    "keyrings": _keyrings,
    "io_uring": _io_uring,
    "userfaultfd": _userfaultfd,
    "perf_event_open": _perf_event_open,
    "unshare": lambda: os.unshare(os.CLONE_FILES),
    "setuid programs": _gain,
    "files of root": _files_of_root,
    "FUSE": _fuse,
    "CAP_SYS_ADMIN": lambda: os.unshare(os.CLONE_NEWNS),
    "sysctls": _sysctls,
    "namespace sysctls": _namespace_sysctls,
    "CAP_SYS_PTRACE": _ptrace,
}

# Options of nono and of the simulator.
ASKED_BY = {
    "--sandbox-policy=netns": "network namespace",
    "--namespaces=require": "namespaces",
    "--notify-busy": "place for a listener",
    "--wsl2": "mounts",
}


def _in_child(attempt: Callable[[], object], uid: int | None = None) -> str:
    """Return why the attempt failed; "" if it did not."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = "the probe died"
        try:
            signal.alarm(LIMIT_S)
            if uid is not None and uid != os.geteuid():
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
                calls.prctl(calls.PR_SET_DUMPABLE, 1)
            attempt()
            said = ""
        except OSError as error:
            said = error.strerror or str(error)
        finally:
            os.write(write, said.encode())
            os._exit(1 if said else 0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        said = answer.read().decode()
    _, status = os.waitpid(pid, 0)
    return said or ("" if status == 0 else "the probe died")


@cache
def lacking(need: str, uid: int) -> str:
    """Return why this user cannot have it here; "" if they can. KeyError: there is no such probe."""
    return _in_child(PROBES[need], uid)


def has_datagrams(uid: int) -> bool:
    """Return True if a run with namespaces on the rung notify is given UDP sockets (ADR 99)."""
    wanted = ("listener", "network namespace", "namespaces")
    return _knows_networks() and not any(lacking(each, uid) for each in wanted)


def _knows_networks() -> bool:
    """Return False before Linux 5.14, where a socket does not say in which network it is."""
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        try:
            probe.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8)
        except OSError:
            return False
    return True


def require(need: str, uid: int | None = None) -> None:
    """Skip the test if `uid`, by default whoever runs the suite, cannot have this here."""
    if why := lacking(need, os.geteuid() if uid is None else uid):
        pytest.skip(f"this host has no {need}: {why}")


def require_for(arguments: Sequence[str], uid: int) -> None:
    """Skip the test if this host has not what a command line of nono, or a kernel to simulate, asks for."""
    for argument in arguments:
        if need := ASKED_BY.get(argument):
            require(need, uid)


def user_of(item: pytest.Item) -> int:
    """Return the uid of the test's nono: of `sandbox`, or the ordinary user of the end-to-end tests."""
    if os.geteuid() != 0:
        return os.geteuid()
    params = getattr(getattr(item, "callspec", None), "params", {})
    is_ordinary = params.get("sandbox") == "user" or "e2e" in item.path.parts
    return UNPRIVILEGED_ID if is_ordinary else 0


def asked_for(item: pytest.Item, *, ordinary: bool = False, suite: bool = False) -> int:
    """Return the uid that must have what a mark names, by default that of the test's nono."""
    if suite:
        return os.geteuid()
    return ORDINARY if ordinary else user_of(item)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        for need in marker.args:
            require(need, asked_for(item, **marker.kwargs))


if __name__ == "__main__":
    print(json.dumps({need: why for need in PROBES if (why := lacking(need, os.geteuid()))}))
