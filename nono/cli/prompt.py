"""Asks the person who typed the command, in the lines before it starts."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from nono.cli.console import printable
from nono.policy.capability import Access

LINE_BYTES_MAX = 1024
WORDS = {Access.READ: "read", Access.WRITE: "write", Access.READWRITE: "read+write"}


def can_ask() -> bool:
    """Whether a person sees what is printed on stderr, and types what is read from stdin.

    Not in the background, where reading would stop this process.
    """
    try:
        return os.isatty(0) and os.isatty(2) and os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def share_workdir(workdir: str, access: Access) -> bool:
    """Whether the command may have access to workdir. A no is what is not a yes."""
    place = printable(workdir).replace("\n", "\\n")
    lines = (f"  Share {place} with {WORDS[access]} access?", "  use --allow-cwd to skip this prompt")
    print(*lines, "  [y/N] ", sep="\n", end="", file=sys.stderr, flush=True)
    return _line().strip().lower() in ("y", "yes")


def _line() -> str:
    """What is typed from now on: what was typed before was meant for something else."""
    import termios  # here, as most runs ask nothing

    with suppress(termios.error):
        termios.tcflush(0, termios.TCIFLUSH)
    typed = os.read(0, LINE_BYTES_MAX)
    if not typed.endswith(b"\n"):
        print(file=sys.stderr, flush=True)
    return typed.decode("utf-8", "replace")
