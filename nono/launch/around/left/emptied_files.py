"""Say which denied files a run has put into git without content, as the command saw them."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from posixpath import join, relpath

from nono.launch.around.repository_files import LookError, RepositoryFiles
from nono.policy.capability import Masking
from nono.policy.git.index import empty_among
from nono.policy.git.repository import Repository
from nono.policy.path_expansion import is_within
from nono.printable import shell_word

INDEX_BYTES_MAX = 64 << 20  # of all worktrees; 100 000 files take 10 MB
NAMES_MAX = 20


def files_of(masking: Masking, repository: Repository) -> list[str]:
    """Return the files in the working tree that look empty to the command."""
    paths = (mask.path for mask in masking.masks if mask.kind == "file")
    return [path for path in paths if is_within(path, repository.top)]


def look(repository: Repository, files: Collection[str]) -> frozenset[str]:
    """Return those that the index has without content, or that of a worktree."""
    directory, top = repository
    names = {os.fsencode(relpath(path, top)): path for path in files}
    found, left_bytes = set[str](), INDEX_BYTES_MAX
    with RepositoryFiles((directory,)) as opened:
        worktrees = join(directory, "worktrees")
        own = (join(worktrees, entry.name) for entry, _ in opened.listed(worktrees) or ())
        for each in (directory, *own):
            content = opened.content(join(each, "index"), left_bytes) or b""
            left_bytes -= len(content)
            found |= {names[name] for name in empty_among(content, names)}
    return frozenset(found)


def sentences(repository: Repository, files: Collection[str], before: Collection[str]) -> Iterator[str]:
    """Yield what the run has changed since it was looked at before."""
    try:
        found = look(repository, files).difference(before)
    except LookError as error:
        yield f"nono cannot tell whether this run put denied files into git without content ({error.reason})"
        return
    emptied = [shell_word(relpath(path, repository.top)) for path in files if path in found and _holds(path)]
    if emptied:
        more = len(emptied) - NAMES_MAX
        names = " ".join(emptied[:NAMES_MAX]) + (f" and {more:,} more" if more > 0 else "")
        yield (
            f"this run put {names} into git without content, because denied files look empty inside: "
            f"look at git status and git log in {shell_word(repository.top)} before you push"
        )


def _holds(path: str) -> bool:
    """Return True for a file that has content."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size > 0
