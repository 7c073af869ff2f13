"""Open devices and issue one ioctl on each: devices PATH... Prints the result of both, by path."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import termios
from functools import partial

from support.attack_programs.outcome import outcome, report


def open_and_ask(path: str) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY)
    try:
        fcntl.ioctl(descriptor, termios.TCGETS, bytes(64))
    except OSError as error:
        if error.errno != errno.ENOTTY:  # ENOTTY is the device's own answer, so the call has reached it
            raise
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    report({path: outcome(partial(open_and_ask, path)) for path in sys.argv[1:]})
