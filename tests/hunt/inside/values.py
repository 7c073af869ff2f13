"""Turn the words of a step into what a system call takes: addresses, descriptors, numbers of processes."""

from __future__ import annotations

import ctypes
import os
import pty
import select
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

SIZE = 8192
PAGE = bytes(range(1, 256)) * 33
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
World = Mapping[str, Any]  # what the attacker knows of what is outside: paths, processes, ids, ports


class Values:
    """What one process has made of words; all of it ends with the process."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.buffers: list[Any] = []
        self.made: list[int] = []
        self.kept: list[object] = []

    def of(self, word: int | str) -> int:
        """Return a word as the 64 bits of a register. OSError, KeyError: it cannot be made here."""
        if isinstance(word, int):
            return (word + (1 << 63)) % (1 << 64) - (1 << 63)
        kind, _, name = word.partition(":")
        if kind not in WORDS:
            raise KeyError(word)
        return WORDS[kind](self, name)

    def address(self, content: bytes) -> int:
        self.buffers.append(ctypes.create_string_buffer(content, len(content)))
        return ctypes.addressof(self.buffers[-1])

    def process(self, name: str) -> int:
        return os.getpid() if name == "self" else int(self.world["pids"][name])

    def sockaddr(self, name: str) -> bytes:
        ports = self.world["ports"]
        proxy, opened = proxy_port() or int(ports["open"]), int(ports["open"])
        unix = struct.pack("=H", socket.AF_UNIX)
        return {
            "proxy": inet("127.0.0.1", proxy),
            "proxy6": inet6("::1", proxy),
            "stranger": inet("198.51.100.7", proxy),
            "stranger6": inet6("2001:db8:2::7", proxy),
            "open": inet("127.0.0.1", opened),
            "open6": inet6("::1", opened),
            "inner": inet("127.0.0.1", int(ports["closed"])),
            "service": unix + str(self.world["paths"]["socket"]).encode(),
            "abstract": unix + b"\0" + str(self.world["abstract"]).encode(),
        }[name]

    def iov(self, name: str) -> int:
        """Return a struct iovec of 64 bytes, here or where somebody else's secret is."""
        base = self.address(bytes(64)) if name == "own" else int(self.world["ids"]["address"])
        return self.address(struct.pack("=QQ", base, 64))

    def message(self) -> int:
        """Return a struct msghdr with an address that no stream should take."""
        name_at = self.address(self.sockaddr("stranger").ljust(128, b"\0"))
        iov = self.address(struct.pack("=QQ", self.address(b"LEAK" * 16), 64))
        return self.address(struct.pack("=QIxxxxQQQQixxxx", name_at, 16, iov, 1, 0, 0, 0))

    def descriptor(self, name: str) -> int:
        """Open a new descriptor of a kind."""
        number = MAKERS[name](self)
        self.made.append(number)
        return number

    def both(self, ends: tuple[int, ...]) -> int:
        """Keep both ends, and return the first."""
        self.made += ends
        return ends[0]

    def keep(self, made: Any) -> int:
        self.kept.append(made)
        return int(made.fileno())


WORDS: dict[str, Callable[[Values, str], int]] = {
    "buf": lambda values, _: values.address(bytes(SIZE)),
    "zeros": lambda values, _: values.address(bytes(SIZE)),
    "page": lambda values, _: values.address(PAGE[:SIZE]),
    "bad": lambda *_: 1,
    "how": lambda values, _: values.address(struct.pack("=QQQ", os.O_RDWR, 0, 0)),
    "text": lambda values, name: values.address(name.encode() + b"\0"),
    "path": lambda values, name: values.address(str(values.world["paths"][name]).encode() + b"\0"),
    "pid": Values.process,
    "id": lambda values, name: int(values.world["ids"][name]),
    "fd": lambda values, name: values.descriptor(name),
    "sa": lambda values, name: values.address(values.sockaddr(name).ljust(128, b"\0")),
    "iov": Values.iov,
    "msg": lambda values, _: values.message(),
}


def inet(host: str, port: int) -> bytes:
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(host) + bytes(8)


def inet6(host: str, port: int) -> bytes:
    address = socket.inet_pton(socket.AF_INET6, host)
    return struct.pack("=H", socket.AF_INET6) + struct.pack("!HI", port, 0) + address + bytes(4)


def proxy_port() -> int | None:
    return urlsplit(os.environ.get("HTTP_PROXY", "")).port


def _connected(values: Values) -> int:
    sock = socket.socket()
    sock.settimeout(0.1)
    sock.connect(("127.0.0.1", proxy_port() or int(values.world["ports"]["open"])))
    return values.keep(sock)


def _call(*arguments: int) -> int:
    result = libc.syscall(*[ctypes.c_long(each) for each in arguments])
    if result < 0:
        raise OSError(ctypes.get_errno(), "syscall")
    return int(result)


def _opener(path: str | Callable[[Values], str], flags: int) -> Callable[[Values], int]:
    return lambda values: os.open(path if isinstance(path, str) else path(values), flags)


MAKERS: dict[str, Callable[[Values], int]] = {
    "stdin": lambda _: 0,
    "stdout": lambda _: 1,
    "stderr": lambda _: 2,
    "pipe": lambda values: values.both(os.pipe()),
    "file": lambda _: os.open(".", os.O_TMPFILE | os.O_RDWR),
    "dir": _opener(".", os.O_RDONLY),
    "null": _opener("/dev/null", os.O_RDWR),
    "tty": _opener("/dev/tty", os.O_RDWR | os.O_NONBLOCK),
    "ptmx": _opener("/dev/ptmx", os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY),
    "pts": lambda values: values.both(pty.openpty()[::-1]),
    "memfd": lambda _: os.memfd_create("hunt"),
    "pidfd": lambda _: os.pidfd_open(os.getpid()),
    "pidfd-outside": lambda values: os.pidfd_open(int(values.world["pids"]["outside"])),
    "timerfd": lambda _: int(libc.timerfd_create(1, 0)),
    "signalfd": lambda _: _call(289 if os.uname().machine == "x86_64" else 74, -1, 0, 8, 0),
    "eventfd": lambda _: os.eventfd(0),
    "epoll": lambda values: values.keep(select.epoll()),
    "inotify": lambda _: int(libc.inotify_init1(0)),
    "tcp": lambda values: values.keep(socket.socket()),
    "tcp6": lambda values: values.keep(socket.socket(socket.AF_INET6)),
    "unix": lambda values: values.keep(socket.socket(socket.AF_UNIX)),
    "datagram": lambda values: values.keep(socket.socket(type=socket.SOCK_DGRAM)),
    "netlink": lambda values: values.keep(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)),
    "connected": _connected,
    "terminal": _opener(
        lambda values: values.world["paths"]["terminal"], os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK
    ),
    "proc": _opener("/proc/self", os.O_RDONLY),
    "secret": _opener(lambda values: values.world["paths"]["secret"], os.O_PATH),
    "folder": _opener(lambda values: values.world["paths"]["folder"], os.O_PATH),
    "userns": _opener("/proc/self/ns/user", os.O_RDONLY),
    "mntns": _opener("/proc/self/ns/mnt", os.O_RDONLY),
}
