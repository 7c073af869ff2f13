"""Ask to share the working directory before the command starts."""

from __future__ import annotations

from nono.policy.capability import Access
from nono.printable import printable_line

WORDS = {Access.READ: "read", Access.WRITE: "write", Access.READWRITE: "read+write"}


def share_workdir(workdir: str, access: Access) -> bool:
    """Ask to share the working directory. Anything but yes means no."""
    from nono.approval.ask import confirm  # imported here: most runs ask nothing

    place = printable_line(workdir)
    lines = (f"  Share {place} with {WORDS[access]} access?", "  use --allow-cwd to skip this prompt")
    return confirm(lines, "  [y/N] ", is_pristine=True)
