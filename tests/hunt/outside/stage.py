"""Enter a machine of the hunt's own: namespaces in which what gets out of a sandbox does no harm.

Processes, mounts, IPC and network are new. Files can only be read, but in /mnt, /tmp, /var/tmp and
/dev/shm, which are empty and in memory. The network has one way out, which leads to nobody and is watched.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import struct
import subprocess
from collections import Counter
from pathlib import Path

from support import watched_network
from support.watched_network import ADDRESS, COMMANDS, ETH_P_ALL, WATCHED, map_ids

HOMES = Path("/mnt")
EMPTIED = (HOMES, Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))
PR_SET_PDEATHSIG = 1
MOUNT_SETATTR, MOUNT_ATTR_RDONLY, AT_FDCWD, AT_RECURSIVE = 442, 1, -100, 0x8000
MS_PRIVATE, MS_REC = 1 << 18, 1 << 14
NEW = os.CLONE_NEWNET | os.CLONE_NEWNS | os.CLONE_NEWIPC | os.CLONE_NEWPID | os.CLONE_NEWUTS
SO_RCVBUFFORCE = 33
BUFFER_BYTES = 32 * 1024 * 1024
libc = ctypes.CDLL(None, use_errno=True)


class Packets:
    """What left by the only way out. Empty when nothing did."""

    def __init__(self, reader: socket.socket) -> None:
        self._reader = reader

    def seen(self) -> dict[str, int]:
        """Count the packets since the last call, by kind."""
        seen: Counter[str] = Counter()
        while True:
            try:
                frame = self._reader.recv(65536)
            except BlockingIOError:
                return dict(seen)
            if kind := packet_kind(frame):
                seen[kind] += 1


def packet_kind(frame: bytes) -> str | None:
    """Return the kind of a packet; None for the kernel's own chatter."""
    if kind := watched_network.kind(frame):
        return kind
    protocol = int.from_bytes(frame[12:14], "big")
    udp = frame[23:24] if protocol == 0x0800 else frame[20:21] if protocol == 0x86DD else b""
    return "udp" if udp == bytes((socket.IPPROTO_UDP,)) else None


def enter() -> Packets:
    """Go on as process 1 of the new machine; who called ends with the same exit code.

    OSError, subprocess.CalledProcessError: it cannot be had here.
    """
    uid, gid = os.getuid(), os.getgid()
    if uid:
        map_ids(0, 0, uid, gid)
    os.unshare(NEW)
    pid = os.fork()
    if pid:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _, status = os.waitpid(pid, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    _mount(None, "/", None, MS_REC | MS_PRIVATE)
    _make_read_only("/")  # a command of root's may change the mode of /dev/null, which is the real one
    _mount("proc", "/proc", "proc", 0)
    _mount("devpts", "/dev/pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=0620")
    for directory in EMPTIED:
        if directory.is_dir() and not Path(__file__).is_relative_to(directory):
            _mount("tmpfs", str(directory), "tmpfs", 0, "mode=755" if directory == HOMES else "mode=1777")
    subprocess.run(["ip", "-batch", "-"], input="\n".join(COMMANDS), text=True, check=True)
    reader = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    reader.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE if not uid else socket.SO_RCVBUF, BUFFER_BYTES)
    reader.bind((WATCHED, 0))
    reader.setblocking(False)
    if uid:
        os.chown(HOMES, 0, 0)
        map_ids(uid, gid, 0, 0)
    return Packets(reader)


def _make_read_only(path: str) -> None:
    """Make a mount read-only, with all mounts below it. Raises OSError."""
    read_only = struct.pack("=QQQQ", MOUNT_ATTR_RDONLY, 0, 0, 0)
    arguments = (AT_FDCWD, path.encode(), AT_RECURSIVE, read_only, len(read_only))
    if libc.syscall(MOUNT_SETATTR, *arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    words = [word.encode() if word is not None else None for word in (source, target, kind)]
    if libc.mount(*words, ctypes.c_ulong(flags), options.encode() if options else None):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


__all__ = ["ADDRESS", "HOMES", "Packets", "enter", "packet_kind"]
