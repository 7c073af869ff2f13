"""Call connect(2) with addresses that cannot be read or that do not have the given length.

pointers GOOD_PORT: the permitted listener on 127.0.0.1.
"""

from __future__ import annotations

import ctypes
import mmap
import socket
import struct
import sys

from support.attack_programs.outcome import Attempt, report_all, syscall

PAGE = mmap.PAGESIZE
PROT_NONE = 0

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def connect(pointer: int, length: int) -> Attempt:
    """Connect a new TCP socket with exactly these register values."""

    def attempt() -> None:
        with socket.socket() as client:
            syscall("connect", client.fileno(), pointer, length)

    return attempt


def main(port: int) -> None:
    good = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, bytes((127, 0, 0, 1)))
    pages = mmap.mmap(-1, 2 * PAGE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(pages))
    pages[:16] = pages[PAGE - 8 : PAGE + 8] = pages[PAGE - 16 : PAGE] = good
    if _libc.mprotect(start + PAGE, PAGE, PROT_NONE):
        raise OSError(ctypes.get_errno(), "mprotect")
    report_all(
        {
            "good": connect(start, 16),
            "good, storage size": connect(start, 128),
            "good, garbage above the int": connect(start, (7 << 32) | 16),
            "good, at the end of the page": connect(start + PAGE - 16, 16),
            "across the end of the page": connect(start + PAGE - 8, 16),
            "protected page": connect(start + PAGE, 16),
            "NULL": connect(0, 16),
            "first page": connect(8, 16),
            "kernel half": connect(-(1 << 47), 16),
            "not canonical": connect(1 << 56, 16),
            "last byte": connect(-1, 16),
            "length 0": connect(start, 0),
            "length 1": connect(start, 1),
            "length 2": connect(start, 2),
            "length 7": connect(start, 7),
            "length 129": connect(start, 129),
            "length huge": connect(start, 0x7FFFFFFF),
            "length negative": connect(start, -1),
            "length most negative": connect(start, 0x80000000),
        }
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
