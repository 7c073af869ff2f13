"""Answer the policy's questions about paths from this host's disk."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from itertools import islice
from posixpath import dirname, join

from nono.errors import NonoError
from nono.policy.files.mount_table import MountTable, host_maps
from nono.policy.path_expansion import Entry, Holder, Kind, is_within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.policy.ownership import Inode

_MOUNTINFO = "/proc/self/mountinfo"
_CHUNK_BYTES = 64 * 1024
_TEXT_MAX = 1024 * 1024  # AWS settings of an organisation name hundreds of accounts
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class HostFilesystem:
    """Implements nono.policy.path_expansion.Filesystem with the calling process's view and permissions.

    Canonical paths are cached, because a policy asks about the same directories repeatedly.

    asks_hosts: Look below a directory of autofs with any host too. False for paths that a command has chosen:
      nothing is there then.
    """

    def __init__(self, *, asks_hosts: bool = True) -> None:
        self._asks_hosts = asks_hosts
        self.looking_at = ""  # the path of the last question: what is waited for, if it gets no answer
        self._canonical: dict[str, str | None] = {}
        self._mounts: MountTable | None = None
        self._host_maps: tuple[str, ...] | None = None

    def canonical(self, path: str) -> str | None:
        if path not in self._canonical:
            self.looking_at = path
            self._canonical[path] = None if self.would_ask(path) else _canonical(path)
        return self._canonical[path]

    def kind(self, path: str) -> Kind | None:
        self.looking_at = path
        if self.would_ask(path):
            return None
        try:
            mode = os.stat(path).st_mode
        except (OSError, ValueError):
            return None
        if stat.S_ISDIR(mode):
            return "dir"
        if stat.S_ISREG(mode):
            return "file"
        if stat.S_ISSOCK(mode):
            return "socket"
        return "device" if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else "other"

    def names(self, path: str) -> list[str]:
        self.looking_at = path
        if self.would_ask(path):
            return []
        try:
            return sorted(os.listdir(path))
        except (OSError, ValueError):
            return []

    def links_in(self, path: str, at_most: int) -> list[str]:
        self.looking_at = path
        if self.would_ask(path):
            return []
        try:
            # Not listdir: the rest of a directory with a million names is not read.
            with os.scandir(path) as entries:
                return sorted(each.name for each in islice(entries, at_most) if each.is_symlink())
        except (OSError, ValueError):
            return []

    def entry(self, path: str) -> Entry | None:
        self.looking_at = path
        if self.would_ask(path):
            return None
        try:
            found = os.lstat(path)
        except (OSError, ValueError):
            return None
        is_own = found.st_uid == os.geteuid()
        if stat.S_ISLNK(found.st_mode):
            return Entry("link", found.st_nlink, _target(path), is_own)
        self._note_no_link(path)
        is_dir = stat.S_ISDIR(found.st_mode)
        needed = stat.S_IROTH | stat.S_IXOTH if is_dir else stat.S_IROTH
        is_public = found.st_mode & needed == needed
        return Entry("dir" if is_dir else "file", found.st_nlink, None, is_own, is_public)

    def _note_no_link(self, path: str) -> None:
        """Take a path that is no link for canonical if its directory is: /etc has a hundred of them."""
        directory, _, name = path.rpartition("/")
        if name not in ("", ".", "..") and self._canonical.get(directory) == directory:
            self._canonical.setdefault(path, path)

    def text(self, path: str) -> str | None:
        self.looking_at = path
        if self.would_ask(path):
            return None
        try:
            descriptor = os.open(path, _READ)
        except (OSError, ValueError):
            return None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            content = _read_up_to(descriptor, _TEXT_MAX + 1)
        except OSError:
            return None
        finally:
            os.close(descriptor)
        return None if len(content) > _TEXT_MAX else os.fsdecode(content)

    def aliases(self, path: str, *, of_tree: bool = False) -> tuple[str, ...]:
        """Implements Filesystem.aliases. Raises NonoError if the mounts of this process cannot be read."""
        mounts = self._mount_table()
        return mounts.aliases_of_tree(path) if of_tree else mounts.aliases(path)

    def holder(self, path: str) -> Holder | None:
        """Implements Filesystem.holder. Raises NonoError if the mounts of this process cannot be read."""
        return self._mount_table().holder(path)

    def host_maps(self) -> tuple[str, ...]:
        """Return the directories in which a daemon mounts what a host exports once its name is looked up.

        Raises NonoError if the mounts of this process cannot be read.
        """
        if self._host_maps is None:
            self._host_maps = host_maps(_mountinfo())
        return self._host_maps

    def would_ask(self, path: str) -> bool:
        """Return True if a look-up of `path`, or of a link on the way, is one of a host."""
        maps = () if self._asks_hosts else self.host_maps()
        if not maps:  # the usual case
            return False

        def is_host(place: str) -> bool:
            return any(place != each and is_within(place, each) for each in maps)

        return any(map(is_host, way_to(path, is_host)))

    def _mount_table(self) -> MountTable:
        if self._mounts is None:
            self._mounts = _mounts()
        return self._mounts


def _read_up_to(descriptor: int, size: int) -> bytes:
    content = b""
    while len(content) < size and (piece := os.read(descriptor, size - len(content))):
        content += piece
    return content


def _target(link: str) -> str | None:
    try:
        return os.readlink(link)
    except OSError:
        return None


def _mounts() -> MountTable:
    text = _mountinfo()
    try:
        return MountTable(text, os.path.isdir)
    except ValueError as error:
        raise _unreadable(error) from error


def _mountinfo() -> str:
    raw = b""
    try:
        descriptor = os.open(_MOUNTINFO, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while piece := os.read(descriptor, _CHUNK_BYTES):
                raw += piece
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _unreadable(error) from error
    return os.fsdecode(raw)


def _unreadable(error: Exception) -> NonoError:
    return NonoError(
        f"{_MOUNTINFO} cannot be read, so nothing says where else denied files are mounted: {error}"
    )


def _canonical(path: str) -> str | None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (OSError, ValueError):  # ValueError: a NUL byte in the path
        return None
    try:
        # Asking the kernel takes two calls instead of one for each component.
        name = os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:  # no /proc here
        name = ""
    finally:
        os.close(descriptor)
    # A file deleted meanwhile or unreachable has no path any more; realpath then decides.
    return name if name.startswith("/") and not name.endswith(" (deleted)") else _realpath(path)


def _realpath(path: str) -> str | None:
    try:
        return os.path.realpath(path, strict=True)
    except OSError:
        return None


def way_to(path: str, ends_at: Callable[[str], bool] = lambda place: False) -> Iterator[str]:
    """Yield the place of every link in `path`, then the place that it leads to, existing or not.

    A process that can write one of these places decides what is found at `path`.

    ends_at: Asked about each place on the way; where it returns True, that is the last, and is not looked at.
    """
    place, links = "/", 0
    # A command may have removed the working directory.
    waiting = (path if path.startswith("/") else join(os.getcwd(), path)).split("/")[::-1]
    while waiting:
        part = waiting.pop()
        if part in ("", "."):
            continue
        if part == "..":
            place = dirname(place)
            continue
        place = join(place, part)
        if ends_at(place):
            break
        try:
            target = os.readlink(place)
        except (OSError, ValueError):
            continue
        yield place
        links += 1
        if links > _LINKS_MAX:
            return
        place = "/" if target.startswith("/") else dirname(place)
        waiting += target.split("/")[::-1]
    yield place


_LINKS_MAX = 40  # path_resolution(7)


def is_read_only(path: str) -> bool:
    """Return True if the file system is read-only where an absolute path is, or would be made."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def inode(path: str) -> Inode:
    """Return what `path` leads to. Raises OSError or ValueError."""
    # Imported here: few runs have a file whose owner is judged.
    from nono.policy.ownership import ACL, Inode

    status = os.stat(path)
    try:
        acl = os.getxattr(path, ACL)
    except OSError:  # it has none, or the file system has none
        acl = b""
    return Inode(path, status.st_mode, status.st_uid, status.st_gid, acl)


def directories_from(directory: str) -> tuple[Inode, ...]:
    """Return the directory, without the links that lead there, then each above it.

    Raises OSError or ValueError.
    """
    place = os.path.realpath(directory, strict=True)
    found = [inode(place)]
    while place != "/":
        place = dirname(place)
        found.append(inode(place))
    return tuple(found)
