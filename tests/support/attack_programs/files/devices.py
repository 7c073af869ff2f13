"""Open devices and issue one ioctl on each: devices [--mode-3] PATH... Prints the result of both, by path."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import termios
from functools import partial

from support.attack_programs.outcome import outcome, report


def open_and_ask(path: str, mode: int) -> None:
    descriptor = os.open(path, mode | os.O_NOCTTY)
    try:
        fcntl.ioctl(descriptor, termios.TCGETS, bytes(64))
    except OSError as error:
        if error.errno != errno.ENOTTY:  # ENOTTY is the device's own answer, so the call has reached it
            raise
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    paths = [each for each in sys.argv[1:] if each != "--mode-3"]
    mode = os.O_RDWR if len(paths) == len(sys.argv) - 1 else os.O_ACCMODE
    report({path: outcome(partial(open_and_ask, path, mode)) for path in paths})
