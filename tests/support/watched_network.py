"""Run a command in a network of its own and count the packets that leave by its only way out.

watched_network FILE COMMAND...: writes JSON to FILE, the number of packets of each kind ("tcp", "multicast").
Everything is routed to the interface "out", whose other end is read here. An ordinary user gets the network
in a user namespace, and the command runs as the same user.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections import Counter
from functools import partial
from pathlib import Path

ETH_P_ALL = 3
OUT, WATCHED = "out", "watched"
ADDRESS, ADDRESS6 = "192.0.2.1", "2001:db8:1::1"
# An address to which a packet may be steered, and the mark of packets that a command sent.
STRANGER, STRANGER6 = "198.51.100.7", "2001:db8:2::7"
MARK = b"LEAK"
GROUP_MARK = MARK[1:]  # the rest of an IPv4 multicast address
LAST = b"the last frame"
COMMANDS = (
    "link set lo up",
    f"link add {OUT} type veth peer name {WATCHED}",
    f"link set {OUT} arp off",
    f"link set {WATCHED} arp off",
    f"addr add {ADDRESS}/24 dev {OUT}",
    f"addr add {ADDRESS6}/64 dev {OUT} nodad",
    f"link set {WATCHED} up",
    f"link set {OUT} up",
    f"route add default dev {OUT}",
    f"route add ::/0 dev {OUT}",
)
STAGE = (sys.executable, "-I", "-S", "-B", __file__)


def available() -> bool:
    """Return True if such a network can be created here."""
    if shutil.which("ip") is None:
        return False
    return subprocess.run([*STAGE, os.devnull, "true"], capture_output=True, check=False).returncode == 0


def kind(frame: bytes) -> str | None:
    """Return the kind of a frame that a command may have caused; None: the kernel's own traffic."""
    protocol = int.from_bytes(frame[12:14], "big")
    if protocol == 0x0800 and frame[23] == socket.IPPROTO_TCP:
        return "tcp"
    if protocol == 0x86DD and socket.IPPROTO_TCP in frame[20:21] + frame[54:55]:
        return "tcp"  # directly, or behind one extension header
    return "multicast" if GROUP_MARK in frame else None


def watch(reader: socket.socket, seen: Counter[str]) -> None:
    while LAST not in (frame := reader.recv(65536)):
        if found := kind(frame):
            seen[found] += 1


def map_ids(uid: int, gid: int, outer_uid: int, outer_gid: int) -> None:
    """Enter a user namespace in which one user has another id and is the only one."""
    os.unshare(os.CLONE_NEWUSER)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {outer_uid} 1"),
        ("gid_map", f"{gid} {outer_gid} 1"),
    ):
        Path(f"/proc/self/{name}").write_text(text, encoding="ascii")


def main(file: str, command: list[str]) -> int:
    uid, gid = os.getuid(), os.getgid()
    if uid:
        map_ids(0, 0, uid, gid)  # as any other user, ip(8) would lose its capabilities
    os.unshare(os.CLONE_NEWNET)
    subprocess.run(["ip", "-batch", "-"], input="\n".join(COMMANDS), text=True, check=True)
    become_user = partial(map_ids, uid, gid, 0, 0) if uid else None
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as reader,
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as writer,
    ):
        reader.bind((WATCHED, 0))
        writer.bind((OUT, 0))
        seen: Counter[str] = Counter()
        with subprocess.Popen(command, preexec_fn=become_user) as process:  # while there is only one thread
            watcher = threading.Thread(target=watch, args=(reader, seen))
            watcher.start()
        writer.send(bytes(12) + b"\x88\xb5" + LAST)  # in order, after everything that preceded it
        watcher.join()
    Path(file).write_text(json.dumps(seen))
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
