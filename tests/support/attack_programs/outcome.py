"""Share code among the attack programs: attempts whose outcome is "ok" or the name of an errno."""

from __future__ import annotations

import ctypes
import errno
import json
import os
from collections.abc import Callable
from urllib.parse import urlsplit

NUMBERS = {
    "x86_64": {
        "socket": 41, "connect": 42, "sendto": 44, "sendmsg": 46, "bind": 49, "listen": 50, "ptrace": 101,
        "process_vm_readv": 310, "process_vm_writev": 311, "sendmmsg": 307, "mount": 165, "bpf": 321,
        "perf_event_open": 298, "open_by_handle_at": 304, "name_to_handle_at": 303, "pidfd_getfd": 438,
        "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "init_module": 175,
        "kexec_load": 246, "prlimit64": 302, "seccomp": 317, "tgkill": 234, "umount2": 166, "pivot_root": 155,
        "renameat2": 316, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432,
        "mount_setattr": 442, "clone3": 435, "add_key": 248, "request_key": 249, "keyctl": 250,
        "setpriority": 141, "ioprio_set": 251, "shmget": 29, "shmctl": 31, "semget": 64, "semctl": 66,
        "msgget": 68, "msgctl": 71,
        "userfaultfd": 323, "ioctl": 16, "fcntl": 72,
    },
    "aarch64": {
        "socket": 198, "connect": 203, "sendto": 206, "sendmsg": 211, "bind": 200, "listen": 201,
        "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "sendmmsg": 269, "mount": 40,
        "bpf": 280, "perf_event_open": 241, "open_by_handle_at": 265, "name_to_handle_at": 264,
        "pidfd_getfd": 438, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
        "init_module": 105, "kexec_load": 104, "prlimit64": 261, "seccomp": 277, "tgkill": 131, "umount2": 39,
        "pivot_root": 41, "renameat2": 276, "open_tree": 428, "move_mount": 429, "fsopen": 430,
        "fsconfig": 431, "fsmount": 432, "mount_setattr": 442, "clone3": 435,
        "add_key": 217, "request_key": 218, "keyctl": 219, "setpriority": 140, "ioprio_set": 30,
        "shmget": 194, "shmctl": 195, "semget": 190, "semctl": 191, "msgget": 186, "msgctl": 187,
        "userfaultfd": 282, "ioctl": 29, "fcntl": 25,
    },
}[os.uname().machine]  # fmt: skip

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

Attempt = Callable[[], object]


def syscall(name: str, *arguments: int) -> int:
    """Make the raw system call with unchanged 64-bit arguments. Raises OSError with the kernel's errno."""
    result: int = _libc.syscall(NUMBERS[name], *[ctypes.c_long(argument) for argument in arguments])
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def outcome(attempt: Attempt) -> str:
    """Return "ok", or the name of the error that the attempt failed with."""
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, repr(error))
    return "ok"


def report(outcomes: object) -> None:
    print(json.dumps(outcomes), flush=True)


def report_all(attempts: dict[str, Attempt]) -> None:
    report({name: outcome(attempt) for name, attempt in attempts.items()})


def proxy() -> tuple[str, int]:
    """Return where the proxy listens; without a proxy, where the test says that it would."""
    parts = urlsplit(os.environ["HTTP_PROXY"])
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port
