"""Serve consulted calls from a seccomp notification listener (seccomp_unotify(2))."""

from __future__ import annotations

import fcntl
from struct import Struct

from support.kernelsim.standin import StandIn

IOCTL_NOTIF_RECV = 0xC0502100
IOCTL_NOTIF_SEND = 0xC0182101
IOCTL_NOTIF_ID_VALID = 0x40082102
FLAG_CONTINUE = 1

SECCOMP_NOTIF = Struct("=QIIiIQ6Q")  # id, pid, flags, then seccomp_data: nr, arch, ip, args
SECCOMP_NOTIF_RESP = Struct("=QqiI")  # id, val, error, flags


class Listener:
    """Serve a listener. It owns nothing: whoever made the listener closes the descriptor."""

    def __init__(self, descriptor: int, standin: StandIn) -> None:
        self.descriptor = descriptor
        self._standin = standin

    def serve_one(self) -> None:
        """Receive and answer one call, only after POLLIN, because older kernels would block for ever."""
        notification = bytearray(SECCOMP_NOTIF.size)  # must be zero: EINVAL otherwise
        try:
            fcntl.ioctl(self.descriptor, IOCTL_NOTIF_RECV, notification, True)
        except OSError:  # ENOENT: the caller was killed in between
            return
        cookie, tid, _flags, number, _arch, _ip, *args = SECCOMP_NOTIF.unpack(notification)
        value = self._standin.answer(tid, number, tuple(args), lambda: self._valid(cookie))
        if value is None:
            response = SECCOMP_NOTIF_RESP.pack(cookie, 0, 0, FLAG_CONTINUE)
        else:
            response = SECCOMP_NOTIF_RESP.pack(cookie, max(value, 0), min(value, 0), 0)
        self._ask(IOCTL_NOTIF_SEND, response)

    def _valid(self, cookie: int) -> bool:
        return self._ask(IOCTL_NOTIF_ID_VALID, cookie.to_bytes(8, "little"))

    def _ask(self, request: int, argument: bytes) -> bool:
        try:
            fcntl.ioctl(self.descriptor, request, argument)
        except OSError:  # ENOENT: the caller is gone
            return False
        return True
