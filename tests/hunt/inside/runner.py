"""Run one program inside the sandbox: each step in its own process, which has a moment.

The program and the world are JSON on the command line. The last line of stdout counts what became of the
steps, and holds every secret of somebody else's that one of them got to see.
"""

from __future__ import annotations

import base64
import ctypes
import errno
import fcntl
import json
import mmap
import os
import re
import resource
import signal
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from hunt.inside.values import PAGE, Values, World, libc, proxy_port

AT_ONCE = 8
MOMENT_S = 0.15
SLOT = 64  # bytes of a step in what it shares with us: its errno and 32 of a secret
WITH_A_STACK = 0x4100  # CLONE_VM, CLONE_VFORK: not without a stack
REPORT = "HUNT "
FILE_BYTES_MAX = 1 << 22
MEMORY_BYTES_MAX = 1 << 31
CALLS = {
    "x86_64": {"clone": 56, "clone3": 435, "unshare": 272},
    "aarch64": {"clone": 220, "clone3": 435, "unshare": 97},
}
OPTION_VALUES = (
    struct.pack("=I", 1),
    b"out\0",
    struct.pack("=I", 2),
    struct.pack("!I", 2),
    bytes((131, 7, 4, 198, 51, 100, 7, 0)),
    bytes((0, 4, 4, 1, 1, 0, 0, 0, *bytes(16))) + socket.inet_pton(socket.AF_INET6, "2001:db8:2::7"),
    bytes(16) + struct.pack("=I", 2),
    b"\xef\1\1\1" + bytes(4) + struct.pack("=I", 2),
    PAGE[:136],
    bytes(136),
)


class Step:
    """One step in its process."""

    def __init__(self, world: World) -> None:
        self.values = Values(world)
        self.secret: str = world["prefix"]

    def found(self, content: bytes) -> bytes:
        """Return the first canary in `content`: a prefix that nothing inside holds, and what follows."""
        match = re.search(self.secret.encode() + rb"[0-9a-f]{20}", content)
        return b"" if match is None else match.group()

    def call(self, number: int, *words: int | str) -> bytes:
        arguments = [ctypes.c_long(self.values.of(word)) for word in words]
        result = libc.syscall(ctypes.c_long(number), *arguments)
        said = ctypes.get_errno() if result == -1 else 0
        held = b"".join(bytes(buffer) for buffer in self.values.buffers if len(buffer) >= 64)
        if 3 <= result < 1 << 16:
            held += _read(int(result))
        if found := self.found(held):
            return found
        if said:
            raise OSError(said, "")
        return b""

    def option(self, family: int, kind: int, protocol: int, level: int, number: int, target: str) -> bytes:
        with socket.socket(family, kind, protocol) as client:
            for value in OPTION_VALUES:
                with suppress(OSError):
                    client.setsockopt(level, number, value)
            client.setblocking(False)
            address = self.values.sockaddr(target.removeprefix("sa:"))
            buffer = ctypes.create_string_buffer(address, len(address))
            refused = libc.connect(client.fileno(), buffer, len(address))
            if refused and ctypes.get_errno() != errno.EINPROGRESS:
                raise OSError(ctypes.get_errno(), "")
            client.send(b"LEAK")
        return b""

    def ioctl(self, descriptor: str, request: int, word: int | str) -> bytes:
        number = self.values.descriptor(descriptor)
        if libc.ioctl(number, ctypes.c_ulong(request), ctypes.c_long(self.values.of(word))) < 0:
            raise OSError(ctypes.get_errno(), "")
        return self.found(b"".join(map(bytes, self.values.buffers)))

    def open(self, path: str, flags: int) -> bytes:
        kind, _, name = path.partition(":")
        descriptor = os.open(self.values.world["paths"][name] if kind == "path" else path, flags)
        return self.found(_read(descriptor))

    def signal(self, way: str, who: str, number: int) -> bytes:
        pid = self.values.of(who)
        match way:
            case "kill":
                os.kill(pid, number)
            case "group":
                os.killpg(pid, number)
            case "thread":
                self._libc("tgkill", pid, pid, number)
            case "queue":
                self._libc("sigqueue", pid, number, 0)
            case "pidfd":
                signal.pidfd_send_signal(os.pidfd_open(pid), number)
            case "owner":  # SIGIO, or what is in its place, to whoever owns the pipe
                reading, writing = os.pipe()
                fcntl.fcntl(reading, fcntl.F_SETOWN, pid)
                fcntl.fcntl(reading, 10, number)  # F_SETSIG
                fcntl.fcntl(reading, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
                os.write(writing, b"x")
        return b""

    def _libc(self, name: str, *arguments: int) -> None:
        if getattr(libc, name)(*arguments):
            raise OSError(ctypes.get_errno(), name)

    def clone(self, how: str, flags: int) -> bytes:
        number = CALLS[os.uname().machine][how]
        arguments = [flags, 0, 0, 0, 0]
        if how == "clone":
            arguments[0] = flags & ~WITH_A_STACK | signal.SIGCHLD
        if how == "clone3":
            block = struct.pack("=11Q", flags & ~WITH_A_STACK, 0, 0, 0, signal.SIGCHLD, *[0] * 6)
            arguments = [self.values.address(block), len(block), 0, 0, 0]
        result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
        if result < 0:
            raise OSError(ctypes.get_errno(), "")
        if how == "unshare" or result == 0:
            return self._look_around()
        return b""

    def _look_around(self) -> bytes:
        """Look for what a new namespace may show that the old one did not."""
        seen = b""
        for path in self.values.world["paths"].values():
            with suppress(OSError):
                seen += _read(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY))
        with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"LEAK", ("198.51.100.7", 53))
        return self.found(seen)

    def request(self, text: str) -> bytes:
        token = urlsplit(os.environ.get("HTTP_PROXY", ""))
        given = f"{token.username}:{token.password}".encode()
        header = f"Proxy-Authorization: Basic {base64.b64encode(given).decode()}\r\n"
        with socket.create_connection(("127.0.0.1", proxy_port() or 1), timeout=MOMENT_S) as client:
            client.sendall(text.replace("{token}", header).encode())
            return self.found(client.recv(65536))


def _read(descriptor: int) -> bytes:
    with suppress(OSError):
        os.set_blocking(descriptor, False)
        return os.read(descriptor, 4096)
    return b""


def run_one(step: list[Any], world: World, slot: memoryview) -> None:
    """Take one step and write its outcome to `slot`. Runs in its own process."""
    said = errno.EOVERFLOW
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # from the background it would change no terminal
        one = Step(world)
        handler: Callable[..., bytes] = getattr(one, step[0])
        said = 0
        found = handler(*step[1:])
        slot[8 : 8 + len(found)] = found
    except OSError as error:
        said = error.errno or 0
    except (KeyError, ValueError, OverflowError):
        said = errno.EOVERFLOW
    finally:
        slot[:4] = said.to_bytes(4, "little")
        os._exit(0)


def main(text: str) -> None:
    given = json.loads(text)
    steps, world = given["steps"], given["world"]
    world["pids"]["supervisor"] = supervisor = os.getppid() or world["pids"]["outside"]
    world["paths"]["supervisor"] = f"/proc/{supervisor}/mem"
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, FILE_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name in ("mine", "mine-too"):
        with suppress(OSError), open(world["paths"][name], "w") as file:
            file.write("mine")
    shared = memoryview(mmap.mmap(-1, max(1, len(steps)) * SLOT))
    for number in range(len(steps)):
        shared[number * SLOT : number * SLOT + 4] = b"\xff\xff\0\0"
    running: dict[int, float] = {}
    for number, step in enumerate(steps):
        while len(running) >= AT_ONCE:
            _reap(running)
        pid = os.fork()
        if pid == 0:
            run_one(step, world, shared[number * SLOT : (number + 1) * SLOT])
        running[pid] = time.monotonic() + MOMENT_S
    while running:
        _reap(running)
    outcomes: Counter[str] = Counter()
    found = {}
    for number, step in enumerate(steps):
        slot = bytes(shared[number * SLOT : (number + 1) * SLOT])
        code = int.from_bytes(slot[:4], "little")
        outcomes[f"{step[0]} {_named(code)}"] += 1
        if secret := slot[8:40].rstrip(b"\0"):
            found[number] = secret.decode("ascii", "replace")
    print("\n" + REPORT + json.dumps({"outcomes": outcomes, "found": found}), flush=True)


def _named(code: int) -> str:
    return {0: "ok", 0xFFFF: "ended"}.get(code) or errno.errorcode.get(code, str(code))


def _reap(running: dict[int, float]) -> None:
    pid, _ = os.waitpid(-1, os.WNOHANG)
    if pid:
        running.pop(pid, None)
        return
    now = time.monotonic()
    for late in [each for each, ends in running.items() if ends < now]:
        with suppress(ProcessLookupError):
            os.kill(late, signal.SIGKILL)
    time.sleep(0.001)


if __name__ == "__main__":
    main(sys.argv[1])
