"""Use the pidfd of whoever listens at a Unix socket, which SO_PEERPIDFD gives since Linux 6.5."""

from __future__ import annotations

import fcntl
import signal
import socket
import sys

from support.attack_programs.outcome import report_all, syscall

SO_PEERPIDFD = 77  # <asm-generic/socket.h>
PIDFD_GET_NET_NAMESPACE = 0xFF04  # <linux/pidfd.h>, 6.11

with socket.socket(socket.AF_UNIX) as client:
    client.connect(sys.argv[1])
    pidfd = client.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)

report_all(
    {
        "signal": lambda: signal.pidfd_send_signal(pidfd, 0),
        "descriptor": lambda: syscall("pidfd_getfd", pidfd, 0, 0),
        "network": lambda: fcntl.ioctl(pidfd, PIDFD_GET_NET_NAMESPACE, 0),
    }
)
