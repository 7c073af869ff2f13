"""Receive and answer the notifications of a seccomp listener (seccomp_unotify(2))."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress

from nono.kernel.uapi import seccomp as uapi
from nono.named_tuple import NamedTuple

INTERRUPTIONS_MAX = 8  # of one wait for the caller to run


class Notification(NamedTuple):
    """One trapped system call: its registers as the kernel copied them, which the caller cannot change."""

    id: int  # of this listener, never reused
    tid: int  # of the calling thread in our pid namespace; 0 when it is not visible there
    flags: int  # the kernel defines none so far
    nr: int  # of the system call, in the table that arch names
    arch: int  # AUDIT_ARCH_*
    args: tuple[int, int, int, int, int, int]  # unsigned, 64 bits each, high halves as the caller left them


def set_sync_wake_up(listener_fd: int) -> None:
    """Wake caller and supervisor on the same CPU (FD_SYNC_WAKE_UP); does nothing before Linux 6.6.

    They take turns and never run at once. On a virtual machine with two CPUs this cut the round trip of a
    notification from 47 to 8 µs: waking another CPU takes longer than the work.
    """
    with suppress(OSError):
        fcntl.ioctl(listener_fd, uapi.SECCOMP_IOCTL_NOTIF_SET_FLAGS, uapi.SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP)


def receive(listener_fd: int) -> Notification:
    """Return the next notification. Call only after poll(2) reported POLLIN, and once per report.

    Up to Linux 6.8 RECV never returns once the listener's processes are gone, so draining until an error
    hangs. Raises OSError ENOENT if the caller was killed between poll and here; nothing needs an answer.
    """
    buffer = bytearray(uapi.SECCOMP_NOTIF.size)  # zeroed: anything else is EINVAL
    fcntl.ioctl(listener_fd, uapi.SECCOMP_IOCTL_NOTIF_RECV, buffer, True)
    notification_id, tid, flags, nr, arch, _, a, b, c, d, e, f = uapi.SECCOMP_NOTIF.unpack(buffer)
    return Notification(notification_id, tid, flags, nr, arch, (a, b, c, d, e, f))


def is_valid(listener_fd: int, notification_id: int) -> bool:
    """Check that the caller still waits, which means that its tid has referred to the same thread until now.

    Call this after the last look-up by tid and before acting on the result: the tid may have been reused.
    """
    try:
        fcntl.ioctl(
            listener_fd, uapi.SECCOMP_IOCTL_NOTIF_ID_VALID, uapi.SECCOMP_NOTIF_ID.pack(notification_id)
        )
    except OSError as error:
        if error.errno == errno.ENOENT:
            return False
        raise
    return True


def respond(listener_fd: int, notification_id: int, value: int = 0, errno_value: int = 0) -> None:
    """End the caller's wait: the call returns `value`, or fails with `errno_value` (positive) if given.

    The kernel does not carry out the call. Raises OSError ENOENT if the caller is gone, EINPROGRESS if it was
    answered already.
    """
    # A mutable buffer: the ioctl number says read-write, so the kernel copies the 24 bytes back unchanged.
    _send(listener_fd, bytearray(uapi.SECCOMP_NOTIF_RESP.pack(notification_id, value, -errno_value, 0)))


def respond_continue(listener_fd: int, notification_id: int) -> None:
    """Let the kernel carry out the trapped call, with the arguments as they are by then.

    The caller may have changed arguments in memory since they were read (seccomp_unotify(2), NOTES), so this
    grants nothing: use it only for a call that something else bounds whatever its arguments (docs/adr/0001).

    Raises OSError ENOENT if the caller is gone, EINVAL before Linux 5.5.
    """
    answer = uapi.SECCOMP_NOTIF_RESP.pack(notification_id, 0, 0, uapi.SECCOMP_USER_NOTIF_FLAG_CONTINUE)
    _send(listener_fd, bytearray(answer))


def _send(listener_fd: int, response: bytearray) -> None:
    while True:
        with suppress(InterruptedError):  # a signal came while somebody else held the listener's lock
            fcntl.ioctl(listener_fd, uapi.SECCOMP_IOCTL_NOTIF_SEND, response, True)
            return


def respond_with_descriptor(
    listener_fd: int,
    notification_id: int,
    descriptor: int,
    *,
    close_on_exec: bool,
    interruptions_max: int = INTERRUPTIONS_MAX,
) -> None:
    """Copy `descriptor` into the caller, whose call returns the copy's number; ours stays open.

    Raises OSError ENOENT if the caller is gone, EMFILE if its descriptor table is full, EINTR if signals kept
    interrupting the wait for it, EINVAL before Linux 5.9. After EMFILE and EINTR the caller still waits for
    an answer.
    """
    # Not in one step (SECCOMP_ADDFD_FLAG_SEND): a signal that comes before the caller has run takes the copy
    # back but leaves the call answered, with 0, which the caller takes for its standard input. Before Linux
    # 5.19, a caller that a signal interrupts between these two steps keeps a descriptor it is not told about.
    flags = os.O_CLOEXEC if close_on_exec else 0
    request = bytearray(uapi.SECCOMP_NOTIF_ADDFD.pack(notification_id, 0, descriptor, 0, flags))
    for attempt in range(interruptions_max):
        try:
            number = fcntl.ioctl(listener_fd, uapi.SECCOMP_IOCTL_NOTIF_ADDFD, request, True)
            break
        except InterruptedError:
            if attempt == interruptions_max - 1:
                raise
    respond(listener_fd, notification_id, value=number)
