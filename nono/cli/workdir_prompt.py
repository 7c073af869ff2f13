"""Asks to share the working directory, before the command starts."""

from __future__ import annotations

import os

from nono.policy.capability import Access
from nono.printable import printable

WORDS = {Access.READ: "read", Access.WRITE: "write", Access.READWRITE: "read+write"}


def can_ask() -> bool:
    """Check that stdin and stderr are a terminal with nono in its foreground.

    In the background, reading would stop this process. Every start calls this, so it imports nothing.
    """
    try:
        return os.isatty(0) and os.isatty(2) and os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def share_workdir(workdir: str, access: Access) -> bool:
    """Ask to share the working directory. Anything but yes means no."""
    from nono.approval.ask import confirm  # imported here: most runs ask nothing

    place = printable(workdir).replace("\n", "\\n")
    lines = (f"  Share {place} with {WORDS[access]} access?", "  use --allow-cwd to skip this prompt")
    return confirm(lines, "  [y/N] ", is_pristine=True)
