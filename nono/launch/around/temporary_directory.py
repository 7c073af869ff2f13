"""Makes the temporary directory of a run that shares /tmp with its host."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

DIRECTORY = "/tmp"  # whatever TMPDIR says: that may lie where the command has no grant to search


@contextmanager
def temporary_directory(run_id: str) -> Iterator[str]:
    """Make a directory of this user alone; gone with all that is in it when the block is left.

    run_id: Of the record of the run, by which nono.sessions.registry finds it after a crash.

    Leave it after the last process of the command. OSError: it cannot be made.
    """
    path = os.path.join(os.path.realpath(DIRECTORY), f"nono-{run_id}")
    os.mkdir(path, 0o700)
    try:
        yield path
    finally:
        _remove(path)


def _remove(path: str) -> None:
    with suppress(OSError):
        os.rmdir(path)
        return
    # Imported here: most commands leave nothing.
    from shutil import rmtree

    # It follows no link, whatever the command has left.
    rmtree(path, ignore_errors=True)
