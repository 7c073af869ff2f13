"""Find the other paths of a file: a file system mounted twice shows each of its files twice.

Landlock's rules belong to inodes and apply to each of these paths, while masks and denials are paths.
Formats:
proc_pid_mountinfo(5); overlay options in Documentation/filesystems/overlayfs.rst.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from posixpath import basename, isabs

from nono.named_tuple import NamedTuple
from nono.policy.path_expansion import Holder, ancestry, is_within

# Maps of autofs in which each name is a host: who looks it up has its exports mounted (auto.master(5)).
_HOST_MAPS = frozenset({"-hosts", "auto.net", "auto.smb"})
_FIELDS_MIN = 5  # id, parent, device, root, mount point; options and optional fields follow


class Mount(NamedTuple):
    """One mount.

    Mounts with the same device show one file system, even if subvolumes (btrfs) differ in st_dev.
    """

    id: str
    parent: str
    device: str  # major:minor of the superblock
    root: str  # the directory of the file system that appears at the mount point
    point: str
    layers: str  # mount options of an overlay; empty for any other file system
    type: str  # of the file system


class _Index(NamedTuple):
    """The mount points by what they show."""

    covering: dict[tuple[str, str], list[Mount]]  # by file system and mounted directory
    parts: dict[tuple[str, str], list[str]]  # mount points of subdirectories, by file system and directory
    mounted_below: dict[str, list[str]]  # mount points below each path

    def add(self, mount: Mount) -> None:
        self.covering.setdefault((mount.device, mount.root), []).append(mount)
        for above in ancestry(mount.root) - {mount.root}:
            self.parts.setdefault((mount.device, above), []).append(mount.point)
        for above in ancestry(mount.point) - {mount.point}:
            self.mounted_below.setdefault(above, []).append(mount.point)


class MountTable:
    """The mounts of this process, and which files each shows."""

    def __init__(self, text: str, is_dir: Callable[[str], bool] = lambda path: False) -> None:
        """text: The content of /proc/self/mountinfo. is_dir: Tells which layers of an overlay are reachable.

        Raises ValueError if `text` is malformed.
        """
        mounts = list(_parsed(text))
        self._on = {(mount.parent, mount.point): mount for mount in mounts}
        self._holders: dict[str, Mount] = {}
        self._sights: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._index = _Index({}, {}, {})
        self._overlays: list[tuple[str, list[str]]] = []  # file system and reachable layers
        self._regions: set[str] = set()  # every path with an alias is within one of these
        ids = {mount.id for mount in mounts}
        for mount in mounts:
            if mount.point == "/" and (mount.parent not in ids or mount.parent == mount.id):
                self._holders["/"] = self._top(mount, "/")
        if self._holders:  # the table says nothing in a chroot(2) whose root is no mount
            self._find_twins(mounts, is_dir)
        self._prefixes = tuple(f"{region.rstrip('/')}/" for region in self._regions)
        self._above_regions = {above for region in self._regions for above in ancestry(region)}

    def aliases(self, path: str) -> tuple[str, ...]:
        """Return the other paths of the inode that is, or would be, at a canonical `path`."""
        if path.startswith(self._prefixes) or path in self._regions:
            return self._sight(path)[1]
        return ()  # the usual case, so it is decided quickly

    def aliases_of_tree(self, path: str) -> tuple[str, ...]:
        """Return the other paths of the tree at `path`: aliases, and mounts of parts of it.

        Includes layers of an overlay: their inodes differ, but their contents are the same.
        """
        if not (path.startswith(self._prefixes) or path in self._above_regions):
            return ()
        below = self._index.mounted_below.get(path, ())
        # Mounts of one directory, of which there may be thousands, have the same other paths.
        distinct = {(mount.device, mount.root): mount.point for mount in map(self._holder, below)}
        places = [path, *distinct.values()]
        inside = {*below}
        found = [other for other in self._other_paths(places) if other not in inside]
        for place in places:
            found += self._index.parts.get((self._holder(place).device, self._sight(place)[0]), ())
        return tuple(dict.fromkeys(found))

    def holder(self, path: str) -> Holder | None:
        """Return the mount that holds a canonical `path`; None if the table does not say."""
        if not self._holders:
            return None
        mount = self._holder(path)
        return Holder(mount.point, mount.type)

    def _find_twins(self, mounts: list[Mount], is_dir: Callable[[str], bool]) -> None:
        by_device: dict[str, list[Mount]] = {}
        for mount in mounts:
            by_device.setdefault(mount.device, []).append(mount)
            layers = [layer for layer in _layers(mount.layers) if is_dir(layer)] if mount.layers else []
            if layers:
                self._overlays.append((mount.device, layers))
        for seen in by_device.values():
            # A file system mounted once shows nothing twice, unless it is a layer of an overlay.
            for mount in seen if len(seen) > 1 or self._overlays else ():
                if self._holder(mount.point) is mount:
                    self._index.add(mount)
        if self._overlays:
            self._regions.add("/")
        covering = self._index.covering
        for device, inside in covering:
            around = [mount for root in ancestry(inside) for mount in covering.get((device, root), ())]
            if len(around) > 1:
                self._regions.update(_moved(inside, mount.root, mount.point) for mount in around)

    def _other_paths(self, places: list[str]) -> tuple[str, ...]:
        found, waiting = dict.fromkeys(places), list(places)
        while waiting:
            place = waiting.pop()
            inside, aliases = self._sight(place)
            if self._overlays:
                aliases = (*aliases, *self._through_layers(place, inside))
            for alias in aliases:
                if alias not in found:
                    found[alias] = None
                    if self._overlays:  # otherwise one step finds all mounts of the file system
                        waiting.append(alias)
        return tuple(found)[len(places) :]

    def _sight(self, path: str) -> tuple[str, tuple[str, ...]]:
        """Return the path within the file system of `path`, and the other paths that show the same inode.

        Derived from the directories above, because many denied paths share them.
        """
        place, below = path, list[str]()  # no recursion: a command can make directories as deep as it likes
        while (known := self._sights.get(place)) is None:
            holder = self._holder(place)
            if holder.point == place:
                others = (each for each in self._shown(holder.device, holder.root) if each != place)
                known = self._sights[place] = (holder.root, tuple(others))
                break
            below.append(place)
            place = place.rpartition("/")[0] or "/"
        for place in reversed(below):
            name = place.rpartition("/")[2]
            inside = _below(known[0], name)
            others = (_below(each, name) for each in known[1] if not self._is_hidden(each, name))
            beside = self._index.covering.get((self._holder(place).device, inside), ())
            known = self._sights[place] = (inside, (*others, *(mount.point for mount in beside)))
        return known

    def _is_hidden(self, directory: str, name: str) -> bool:
        """Return True if something is mounted over this entry of a directory."""
        return (self._holder(directory).id, _below(directory, name)) in self._on

    def _shown(self, device: str, inside: str) -> tuple[str, ...]:
        """Return the paths at which a file of a file system is visible."""
        covering, found = self._index.covering, list[str]()
        root = inside
        while True:
            for mount in covering.get((device, root), ()):
                place = _moved(inside, root, mount.point)
                if self._holder(place) is mount:  # no other mount covers it
                    found.append(place)
            if root == "/":
                return tuple(found)
            root = root.rpartition("/")[0] or "/"

    def _through_layers(self, path: str, inside: str) -> list[str]:
        """Return the paths in the layers of the overlay holding `path`, and in overlays of its layers."""
        found, device = list[str](), self._holder(path).device
        for overlay, layers in self._overlays:
            for layer in layers:
                if overlay == device:
                    found.append(_moved(inside, "/", layer))
                elif is_within(path, layer):
                    found += self._shown(overlay, _moved(path, layer, "/"))
        return found

    def _holder(self, path: str) -> Mount:
        """Return the mount that `path` is in, following the mount points in the path as the kernel does."""
        place, below = path, list[str]()
        while (known := self._holders.get(place)) is None:
            below.append(place)
            place = place.rpartition("/")[0] or "/"
        for place in reversed(below):
            known = self._holders[place] = self._top(known, place)
        return known

    def _top(self, here: Mount, point: str) -> Mount:
        while (above := self._on.get((here.id, point))) is not None and above is not here:
            here = above
        return here


def _parsed(text: str) -> Iterator[Mount]:
    # Not splitlines() or split(): the kernel escapes only ASCII blanks, and names may contain others.
    for line in text.split("\n"):
        if not line:
            continue
        fields = line.split(" ")
        if len(fields) < _FIELDS_MIN + 1:
            raise ValueError(f"mountinfo: a line of {len(fields)} fields")
        root, point = fields[3], fields[4]
        if "\\" in line:
            root, point = unescaped(root), unescaped(point)
        kind = line.partition(" - ")[2].partition(" ")[0]
        layers = fields[-1] if kind == "overlay" else ""
        yield Mount(fields[0], fields[1], fields[2], root, point, layers, kind)


def host_maps(text: str) -> tuple[str, ...]:
    """Return where autofs mounts what a host exports once its name is looked up, such as /net.

    text: as for MountTable.
    """
    mounts = (line.split(" ") for line in text.split("\n") if " - autofs " in line)
    return tuple(unescaped(fields[4]) for fields in mounts if basename(fields[-2]) in _HOST_MAPS)


def unescaped(text: str) -> str:
    r"""Replace each \ooo, an octal number, by its character; the kernel uses no other escape."""
    head, *pieces = text.split("\\")
    done = [head]
    for piece in pieces:
        digits = piece[:3]
        if len(digits) == 3 and all(digit in "01234567" for digit in digits):
            done.append(chr(int(digits, 8)) + piece[3:])
        else:
            done.append("\\" + piece)
    return "".join(done)


def _layers(options: str) -> list[str]:
    """Return the absolute paths of an overlay's layers. Relative ones cannot be located."""
    found: list[str] = []
    for option in options.split(","):
        name, _, value = option.partition("=")
        if name in ("lowerdir", "lowerdir+", "upperdir"):
            # In a list a colon in a name is escaped by a backslash.
            parts = unescaped(value).replace("\\:", "\0").split(":")
            found += (part.replace("\0", ":").rstrip("/") for part in parts)
    return [path for path in dict.fromkeys(found) if isabs(path)]


def _below(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory != "/" else f"/{name}"


def _moved(path: str, root: str, to: str) -> str:
    """Return the path at `to` that corresponds to `path` at or below `root`."""
    rest = path[len(root.rstrip("/")) :]
    return f"{to.rstrip('/')}{rest}".rstrip("/") or "/"
