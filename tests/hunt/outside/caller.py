"""The caller's end of a run: a terminal, what the output goes to, and what a shell would feel of it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

TIOCGETD, TIOCGEXCL = 0x5424, 0x80045440  # asm-generic/ioctls.h
F_GETOWN_EX = 16  # asm-generic/fcntl.h
PIECE_BYTES, PIECES_MAX, KEPT_BYTES = 65536, 64, 1 << 20
ANSWER_AGAIN_S = 5.0
QUESTION = b"[Enter] skip: "  # of the offer to save what was denied
STREAMS = ("stdin", "stdout", "stderr")


@dataclass
class Caller:
    """What a run was given, and all it has shown. It is taken out, or whoever writes would wait.

    streams: The descriptors that the run has as its own. readers: The other ends of those that are pipes.
    """

    master: int
    slave: int
    streams: Mapping[str, int]
    readers: Mapping[str, int]
    shown: bytearray = field(default_factory=bytearray)
    piped: dict[str, bytearray] = field(default_factory=lambda: {name: bytearray() for name in STREAMS})
    answered: float = 0.0

    def drain(self) -> None:
        _drain(self.master, self.shown)
        for name, reader in self.readers.items():
            _drain(reader, self.piped[name])
        # Again only if it was thrown away with what was typed before: a second answer would be left over.
        if QUESTION in self.shown[-200:] and time.monotonic() - self.answered > ANSWER_AGAIN_S:
            os.write(self.master, b"\r")
            self.answered = time.monotonic()

    def texts(self) -> tuple[str, str]:
        """Return what was said on stdout and on stderr; where they are the terminal, what that has shown."""
        self.drain()
        said, errors = (self._text(name) for name in STREAMS[1:])
        return said, errors

    def _text(self, name: str) -> str:
        descriptor = self.streams[name]
        if name in self.readers:
            content = bytes(self.piped[name])
        elif os.isatty(descriptor) or descriptor == self.slave:
            content = bytes(self.shown).replace(b"\r\n", b"\n")
        else:
            content = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        return content.decode("utf-8", "replace")

    def look(self) -> dict[str, Any]:
        """Look at the terminal and the streams; each value is a sight."""
        return {
            "terminal": {
                "modes": _asked(lambda: repr(termios.tcgetattr(self.slave))),
                "size": _asked(lambda: repr(termios.tcgetwinsize(self.slave))),
                "discipline": _asked(lambda: _number(self.slave, TIOCGETD)),
                "exclusive": _asked(lambda: _number(self.slave, TIOCGEXCL)),
                "typed": repr(self._typed()),
            },
            "streams": {name: _description(descriptor) for name, descriptor in self.streams.items()},
        }

    def _typed(self) -> bytes:
        ready = select.select([self.slave], [], [], 0)[0]
        with suppress(OSError):
            return os.read(self.slave, 64) if ready else b""
        return b""


@contextmanager
def calling(uid: int, stdin: str, output: str) -> Iterator[Caller]:
    """Yield the caller's end. stdin: "terminal" or "nothing". output: "file", "pipe" or "terminal"."""
    master, slave = pty.openpty()
    os.fchown(slave, uid, -1)
    readers = dict[str, int]()
    streams = {"stdin": os.dup(slave) if stdin == "terminal" else os.open(os.devnull, os.O_RDWR)}
    for name in STREAMS[1:]:
        if output == "pipe":
            readers[name], streams[name] = os.pipe()
        elif output == "terminal":
            streams[name] = os.dup(slave)
        else:
            streams[name] = os.open("/tmp", os.O_TMPFILE | os.O_RDWR | os.O_APPEND, 0o600)
    try:
        yield Caller(master, slave, streams, readers)
    finally:
        for descriptor in (master, slave, *streams.values(), *readers.values()):
            os.close(descriptor)


def _drain(descriptor: int, into: bytearray) -> None:
    """Take out what is there: of somebody who writes without end no more than what others wait for allows."""
    for _ in range(PIECES_MAX):
        if not select.select([descriptor], [], [], 0)[0]:
            return
        piece = os.read(descriptor, PIECE_BYTES)
        if not piece:
            return
        into += piece
        del into[:-KEPT_BYTES]


def _description(descriptor: int) -> dict[str, object]:
    """Return what fcntl(2) says of an open file description, which a shell shares with all it starts."""
    return {
        "flags": f"{fcntl.fcntl(descriptor, fcntl.F_GETFL):#o}",
        "owner": fcntl.fcntl(descriptor, F_GETOWN_EX, bytes(8)).hex(),
        "signal": fcntl.fcntl(descriptor, fcntl.F_GETSIG),
    }


def _number(descriptor: int, request: int) -> str:
    (number,) = struct.unpack("i", fcntl.ioctl(descriptor, request, bytes(4)))
    return str(number)


def _asked(ask: Callable[[], str]) -> str:
    """Return the answer, or the error: under another line discipline not even the modes are known."""
    try:
        return ask()
    except (OSError, termios.error) as error:
        return str(error)
