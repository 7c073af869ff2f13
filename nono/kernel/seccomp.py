"""Install a compiled BPF program on the calling thread, with or without a listener (seccomp(2)).

The system call is made directly because libseccomp hides EBUSY, "a listener is already installed", and that
errno decides how a run is enforced.
"""

from __future__ import annotations

import ctypes
import errno

from nono.kernel.libc import syscall, syscall_number
from nono.kernel.process import no_new_privs
from nono.kernel.uapi import seccomp as uapi


def install_filter(program: bytes) -> None:
    """Add a filter to the calling thread and its descendants permanently; set no_new_privs first.

    Other threads of the process stay unfiltered, so the caller must have none. Raises ValueError if `program`
    is not 1 to 4096 whole instructions, OSError EINVAL if the kernel's verifier refused it, ENOMEM if the
    chain of filters is too long.
    """
    _set_mode_filter(program, 0)


def install_listener(program: bytes) -> int:
    """Add a filter as install_filter does and return its notification descriptor; the caller closes it.

    The descriptor is close-on-exec. Once every copy of it is closed, trapped calls fail with ENOSYS. From
    Linux 5.19 on only a fatal signal interrupts a trapped caller after its notification was received, so that
    no other signal makes it repeat a call that was already carried out for it. Raises OSError EBUSY if
    another filter of this thread already has a listener, installed here or by an ancestor.
    """
    flags = uapi.SECCOMP_FILTER_FLAG_NEW_LISTENER
    try:
        return _set_mode_filter(program, flags | uapi.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return _set_mode_filter(program, flags)


def _set_mode_filter(program: bytes, flags: int) -> int:
    count, rest = divmod(len(program), uapi.SOCK_FILTER.size)
    if rest or not 0 < count <= uapi.BPF_MAXINSNS:
        raise ValueError(f"a BPF program of {len(program)} bytes")
    # Called here rather than by each caller: as root, forgetting it raises no error but keeps set-uid
    # programs.
    no_new_privs()
    instructions = ctypes.create_string_buffer(program, len(program))
    fprog = ctypes.create_string_buffer(uapi.SOCK_FPROG.pack(count, ctypes.addressof(instructions)))
    return syscall(
        syscall_number("seccomp"),
        uapi.SECCOMP_SET_MODE_FILTER,
        flags,
        ctypes.addressof(fprog),
        tried=f"seccomp(SET_MODE_FILTER, flags={flags:#x})",
    )
