"""Find the repository that a run has made in, or around, its working directory."""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import dirname, join

from nono.named_tuple import NamedTuple
from nono.policy.git.repository import GITFILE, Repository, is_repository, led_to
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.path_expansion import is_within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.launch.around.repository_watch import Change


class Found(NamedTuple):
    """What git finds from a working directory. pointer: the text of a gitfile or of a link there."""

    repository: Repository | None
    pointer: str | None


def find(workdir: str) -> Found:
    """Find the repository of a canonical `workdir`, as it is now. No link is followed."""
    fs, own = HostFilesystem(), join(workdir, ".git")
    entry = fs.entry(own)
    if entry is None or entry.kind == "dir":
        return Found(_around(workdir, fs), None)
    if entry.kind == "link":
        return Found(None, entry.target)
    pointer = fs.text(own)
    if pointer is None or not pointer.startswith(GITFILE):
        return Found(None, None)  # git refuses it
    inside = led_to(own, pointer)
    is_inside = inside != workdir and is_within(inside, workdir)
    return Found(Repository(inside, workdir) if is_inside else None, pointer)


def _around(workdir: str, fs: HostFilesystem) -> Repository | None:
    """Return the repository in a directory or above it."""
    top = workdir
    while top != "/":
        for directory in (join(top, ".git"), top):
            entry = fs.entry(directory)
            if entry is not None and entry.kind == "dir" and is_repository(directory, fs):
                return Repository(directory, top)
        top = dirname(top)
    return None


def made(workdir: str, before: Found) -> Iterator[Change]:
    """Yield what git runs in a repository that it finds from `workdir` now, and did not before."""
    # Imported here: it is needed at the end of a run.
    from nono.launch.around.repository_state import NOTHING_SEEN
    from nono.launch.around.repository_watch import Change, changes

    now = find(workdir)
    if now.repository is not None and now.repository != before.repository:
        yield from changes(now.repository, NOTHING_SEEN)
    elif now.repository is None and now.pointer is not None and before.pointer is None:
        yield Change(join(workdir, ".git"), "redirected")
