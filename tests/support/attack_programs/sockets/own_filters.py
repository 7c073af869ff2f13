"""Connect behind seccomp filters of this program's own, which could hide the call or answer it themselves.

own_filters PORT: somebody listens there who must not be reached.

Each outcome is that of the connect, in a process of its own, and says how the filter was installed.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable
from fcntl import ioctl

from support.attack_programs.outcome import NUMBERS, outcome, report, syscall

SET_MODE_FILTER = 1
TSYNC, NEW_LISTENER = 1 << 0, 1 << 3
ALLOW, TRACE, USER_NOTIF = 0x7FFF0000, 0x7FF00000, 0x7FC00000
CONTINUE = 1
RECEIVE, SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV and _SEND
INSTRUCTION = struct.Struct("=HBBI")
LOAD_NUMBER, EQUAL, RETURN = 0x20, 0x15, 0x06
PR_SET_NO_NEW_PRIVS = 38


def install(action: int, flags: int = 0) -> int:
    """Install a filter that gives connect(2) an action. Returns the listener, if that was asked for."""
    program = b"".join(
        INSTRUCTION.pack(*each)
        for each in (
            (LOAD_NUMBER, 0, 0, 0),
            (EQUAL, 0, 1, NUMBERS["connect"]),
            (RETURN, 0, 0, action),
            (RETURN, 0, 0, ALLOW),
        )
    )
    code = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("@HP", len(program) // INSTRUCTION.size, ctypes.addressof(code))
    filter_program = ctypes.create_string_buffer(head, len(head))
    ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return syscall("seccomp", SET_MODE_FILTER, flags, ctypes.addressof(filter_program))


def go_on(listener: int) -> None:
    """Answer every call with "go on"."""
    while True:
        received = bytearray(80)
        ioctl(listener, RECEIVE, received)
        (number,) = struct.unpack_from("=Q", received)
        ioctl(listener, SEND, struct.pack("=QqiI", number, 0, 0, CONTINUE))


def own_listener(flags: int) -> None:
    listener = install(USER_NOTIF, NEW_LISTENER | flags)
    threading.Thread(target=go_on, args=(listener,), daemon=True).start()


def connect() -> None:
    with socket.socket() as connection:
        connection.connect(("127.0.0.1", int(sys.argv[1])))


def behind(prepare: Callable[[], object]) -> str:
    """Return the outcomes of a filter, and of a connect behind it, in a child."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, f"{outcome(prepare)}, {outcome(connect)}".encode())
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="ascii") as told:
        said = told.read()
    os.waitpid(child, 0)
    return said


report(
    {
        "allow": behind(lambda: install(ALLOW)),
        "all threads": behind(lambda: install(ALLOW, TSYNC)),
        "a tracer that is not there": behind(lambda: install(TRACE)),
        "a listener that is not there": behind(lambda: install(USER_NOTIF)),
        "a listener": behind(lambda: own_listener(0)),
        "nothing": behind(lambda: None),
    }
)
