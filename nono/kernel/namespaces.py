"""Move this process, its later children, or a sibling that goes on for it, into new namespaces."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nono.kernel.libc import os_error, syscall_number
from nono.kernel.uapi import process as uapi

_IPV6_BYTES = 16
WHOLE_ADDRESS = b"\xff\xff\xff\xff"  # the netmask that leaves an address alone
_LOOPBACK_INDEX = 1  # in each network: LOOPBACK_IFINDEX of <net/flow.h>


def leave_network() -> bool:
    """Move this process permanently to its own network namespace, with loopback up.

    Returns True if that took a user namespace too, as it does for anybody without CAP_SYS_ADMIN
    (user_namespaces(7)). In there uid and gid stay the same, files of other users appear to belong to the
    overflow ids, and setgroups(2) is denied. The process then has every capability over both namespaces: drop
    them.

    The process must be single-threaded and dumpable. OSError names the refused step; the process may have
    moved by then.
    """
    return _leave(uapi.CLONE_NEWNET, "CLONE_NEWNET", _raise_loopback)


def enter_empty_network() -> None:
    """Move this process permanently to a network namespace of its user namespace, with loopback up.

    Loopback has 127.0.0.1 and ::1 alone: what is sent to any other address fails at once instead of waiting
    for an answer. Takes CAP_SYS_ADMIN and CAP_NET_ADMIN. OSError names the refused step; the process may have
    moved by then.
    """
    with _trying("unshare(CLONE_NEWNET)"):
        os.unshare(uapi.CLONE_NEWNET)
    _raise_loopback()
    with _control() as control:
        _set_netmask(control, b"lo", WHOLE_ADDRESS)


def make_no_more_networks() -> bool:
    """Have nobody in this process's user namespace make a network namespace any more (namespaces(7)).

    Call it only in a user namespace made for the command. Takes CAP_SYS_RESOURCE over that, with which the
    limit could be raised again. Returns False if it cannot be set, as where /proc/sys is read-only.
    """
    try:
        with open("/proc/sys/user/max_net_namespaces", "wb", buffering=0) as file:
            file.write(b"0")
    except OSError:
        return False
    return True


def add_loopback_address(packed: bytes, at: int, netmask: bytes = WHOLE_ADDRESS) -> None:
    """Give loopback in this process's network one more address, and nothing around it.

    packed: 4 or 16 bytes in network order.
    at: A number that no earlier IPv4 address has.
    netmask: Of an IPv4 address. A shorter one makes every address of that network local to loopback.

    Takes CAP_NET_ADMIN. OSError names the refused step.
    """
    if len(packed) == _IPV6_BYTES:
        request = uapi.IN6_IFREQ.pack(packed, 8 * _IPV6_BYTES, _LOOPBACK_INDEX)
        with _control(uapi.AF_INET6) as control, _trying("ioctl(SIOCSIFADDR)"):
            fcntl.ioctl(control, uapi.SIOCSIFADDR, request)
        return
    label = b"lo:%d" % at
    with _control() as control:
        with _trying("ioctl(SIOCSIFADDR)"):
            fcntl.ioctl(control, uapi.SIOCSIFADDR, uapi.IFREQ_ADDRESS.pack(label, uapi.AF_INET, packed))
        _set_netmask(control, label, netmask)


def _set_netmask(control: int, label: bytes, netmask: bytes) -> None:
    """Replace the network that an address implies, by its class."""
    request = uapi.IFREQ_ADDRESS.pack(label, uapi.AF_INET, netmask)
    with _trying("ioctl(SIOCSIFNETMASK)"):
        fcntl.ioctl(control, uapi.SIOCSIFNETMASK, request)


def leave_mounts() -> bool:
    """Move this process permanently to its own mount namespace, whose mounts nobody outside sees.

    Same return value and requirements as leave_network. Open descriptors, and the working directory until it
    is changed, still refer to the mounts outside.
    """
    # Imported here because few runs need it.
    from nono.kernel import mounts

    return _leave(uapi.CLONE_NEWNS, "CLONE_NEWNS", mounts.make_all_private)


def leave_processes() -> bool:
    """Move this process permanently to its own mount and IPC namespaces, and its children to a PID namespace.

    Same return value and requirements as leave_mounts. The first child is process 1 of the PID
    namespace, which lives as long as that does (pid_namespaces(7)); later children join it there.
    """
    # Imported here, as above.
    from nono.kernel import mounts

    flags = uapi.CLONE_NEWNS | uapi.CLONE_NEWIPC | uapi.CLONE_NEWPID
    return _leave(flags, "CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWPID", mounts.make_all_private)


def _leave(flag: int, name: str, settle: Callable[[], None]) -> bool:
    """Unshare `flag`, with a user namespace if that is refused. Return True if one was needed.

    `settle` uses the new namespace at once, because a distribution that restricts unprivileged user
    namespaces may let unshare(2) succeed and withhold the capabilities.
    """
    try:
        # First without a user namespace, as root may: root's command then keeps its view of owners and can
        # change ids, as package managers do, and nothing depends on user namespaces being allowed.
        with _trying(f"unshare({name})"):
            os.unshare(flag)
        settle()
    except PermissionError as refused:
        uid, gid = os.geteuid(), os.getegid()
        try:
            with _trying(f"unshare(CLONE_NEWUSER | {name})"):
                os.unshare(uapi.CLONE_NEWUSER | flag)
        except OSError as error:
            # unshare(CLONE_NEWPID) works once for each process. The earlier refusal is then the cause.
            raise (refused if error.errno == errno.EINVAL else error) from None
        settle()
        _map_onto_themselves(uid, gid)
        return True
    return False


def _raise_loopback() -> None:
    with _control() as control:
        request = bytearray(uapi.IFREQ_FLAGS.pack(b"lo", 0))
        with _trying("ioctl(SIOCGIFFLAGS)"):
            fcntl.ioctl(control, uapi.SIOCGIFFLAGS, request, True)
        _, flags = uapi.IFREQ_FLAGS.unpack(request)
        with _trying("ioctl(SIOCSIFFLAGS)"):
            fcntl.ioctl(control, uapi.SIOCSIFFLAGS, uapi.IFREQ_FLAGS.pack(b"lo", flags | uapi.IFF_UP))


@contextmanager
def _control(family: int = uapi.AF_INET) -> Iterator[int]:
    """Yield a socket on which ioctl(2) configures this process's network (netdevice(7))."""
    # Imported here: hardly any run has a network of its own. socket would take longer.
    import _socket

    control = _socket.socket(family, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        yield control.fileno()
    finally:
        control.close()


def _map_onto_themselves(uid: int, gid: int) -> None:
    """Map uid and gid to themselves, the one mapping that needs no privilege outside.

    The gid can be mapped only after setgroups(2) is denied.
    """
    for name, line in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with _trying(f"write to /proc/self/{name}"), open(f"/proc/self/{name}", "wb", buffering=0) as file:
            file.write(line.encode("ascii"))


@contextmanager
def _trying(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise os_error(error.errno or 0, what) from error


def fork_sibling() -> int:
    """Fork like os.fork(), but as a child of this process's parent, which reaps it (clone(2), CLONE_PARENT).

    Returns 0 in the new process and its pid in this one. The new process has the exit signal of this one.
    Call this in a single-threaded process. Raises OSError EINVAL if this process is the init of a PID
    namespace.
    """
    # PyDLL keeps the interpreter lock: the new process must come back holding it.
    python = ctypes.PyDLL(None, use_errno=True)
    call = python.syscall
    call.restype = ctypes.c_long
    number = ctypes.c_long(syscall_number("clone"))
    flags, zero = ctypes.c_long(uapi.CLONE_PARENT), ctypes.c_long(0)
    ctypes.pythonapi.PyOS_BeforeFork()
    pid = int(call(number, flags, zero, zero, zero, zero))
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0
    failure = ctypes.get_errno()
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    if pid < 0:
        raise os_error(failure, "clone(CLONE_PARENT)")
    return pid
