"""Create the temporary directory of a run that shares /tmp with its host."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from nono.disk.tree import remove_tree

DIRECTORY = "/tmp"  # whatever TMPDIR says, because the command may lack search access there


@contextmanager
def temporary_directory(run_id: str) -> Iterator[str]:
    """Create a directory private to this user; removed with its contents when the block is left.

    run_id: The id of the run's record, by which nono.sessions.registry finds it after a crash.

    Leave the block after the last process of the command has ended. Raises OSError if it cannot be created.
    """
    path = os.path.join(os.path.realpath(DIRECTORY), f"nono-{run_id}")
    os.mkdir(path, 0o700)
    try:
        yield path
    finally:
        with suppress(OSError):
            try:
                remove_tree(path)
            except NotADirectoryError:  # a command that may write to /tmp has replaced it by a link or a file
                os.unlink(path)
