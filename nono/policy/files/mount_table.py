"""Finds the other paths of a file: a file system that is mounted twice shows each of its files twice.

Landlock's rules belong to inodes and hold at each of them, while masks and denials are paths. Formats:
proc_pid_mountinfo(5); the options of overlay in Documentation/filesystems/overlayfs.rst.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from posixpath import isabs

from nono.named_tuple import NamedTuple
from nono.policy.path_expansion import ancestry, is_within

_FIELDS_MIN = 5  # id, parent, device, root, mount point; options and optional fields follow


class Mount(NamedTuple):
    """One mount. Equal devices are one file system, also where subvolumes have an st_dev each (btrfs)."""

    id: str
    parent: str
    device: str  # major:minor of the superblock
    root: str  # the directory of the file system that is seen at the mount point
    point: str
    layers: str  # the options of an overlay; empty for anything else


class _Index(NamedTuple):
    """The mounts that a path leads to."""

    covering: dict[tuple[str, str], list[Mount]]  # by file system, and the directory of it that is seen
    parts: dict[tuple[str, str], list[str]]  # mount points of what lies below a directory of a file system
    mounted_below: dict[str, list[str]]  # mount points below a path

    def add(self, mount: Mount) -> None:
        self.covering.setdefault((mount.device, mount.root), []).append(mount)
        for above in ancestry(mount.root) - {mount.root}:
            self.parts.setdefault((mount.device, above), []).append(mount.point)
        for above in ancestry(mount.point) - {mount.point}:
            self.mounted_below.setdefault(above, []).append(mount.point)


class MountTable:
    """The mounts of this process, and what is seen through them."""

    def __init__(self, text: str, is_dir: Callable[[str], bool] = lambda path: False) -> None:
        """text: /proc/self/mountinfo. is_dir: says which layers of an overlay are in reach.

        Raises ValueError if `text` is malformed.
        """
        mounts = list(_parsed(text))
        self._on = {(mount.parent, mount.point): mount for mount in mounts}
        self._holders: dict[str, Mount] = {}
        self._sights: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._index = _Index({}, {}, {})
        self._overlays: list[tuple[str, list[str]]] = []  # file system, layers in reach
        self._regions: set[str] = set()  # whatever has an alias is within one of these paths
        ids = {mount.id for mount in mounts}
        for mount in mounts:
            if mount.point == "/" and (mount.parent not in ids or mount.parent == mount.id):
                self._holders["/"] = self._top(mount, "/")
        if self._holders:  # not a chroot(2) to what is no mount: nothing says where its files lie
            self._find_twins(mounts, is_dir)
        self._prefixes = tuple(f"{region.rstrip('/')}/" for region in self._regions)
        self._above_regions = {above for region in self._regions for above in ancestry(region)}

    def aliases(self, path: str) -> tuple[str, ...]:
        """Return the other paths of the inode at a canonical `path`, or that would be there."""
        if path.startswith(self._prefixes) or path in self._regions:
            return self._sight(path)[1]
        return ()  # most paths, so this is quick

    def aliases_of_tree(self, path: str) -> tuple[str, ...]:
        """Return the other paths of what is at or below `path`: aliases, and mounts of parts of it.

        Layers of an overlay count as well. Their inodes are others, but what is in them is the same.
        """
        if not (path.startswith(self._prefixes) or path in self._above_regions):
            return ()
        places = [path, *self._index.mounted_below.get(path, ())]
        found = list(self._other_paths(places))
        for place in places:
            found += self._index.parts.get((self._holder(place).device, self._sight(place)[0]), ())
        return tuple(dict.fromkeys(found))

    def _find_twins(self, mounts: list[Mount], is_dir: Callable[[str], bool]) -> None:
        by_device: dict[str, list[Mount]] = {}
        for mount in mounts:
            by_device.setdefault(mount.device, []).append(mount)
            layers = [layer for layer in _layers(mount.layers) if is_dir(layer)] if mount.layers else []
            if layers:
                self._overlays.append((mount.device, layers))
        for seen in by_device.values():
            # A file system that is mounted once shows nothing twice, unless it is a layer of another.
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
                    if self._overlays:  # otherwise one step finds all that the file system is mounted at
                        waiting.append(alias)
        return tuple(found)[len(places) :]

    def _sight(self, path: str) -> tuple[str, tuple[str, ...]]:
        """Return the path of `path` in its file system, and the other paths at which the same is seen.

        Derived from the directory above, since denied paths lie side by side.
        """
        known = self._sights.get(path)
        if known is None:
            holder = self._holder(path)
            if holder.point == path:
                places = self._shown(holder.device, holder.root)
                known = (holder.root, tuple(place for place in places if place != path))
            else:
                above, _, name = path.rpartition("/")
                inside, places = self._sight(above or "/")
                inside = _below(inside, name)
                places = tuple(_below(place, name) for place in places if not self._is_hidden(place, name))
                beside = self._index.covering.get((holder.device, inside), ())
                known = (inside, (*places, *(mount.point for mount in beside)))
            self._sights[path] = known
        return known

    def _is_hidden(self, directory: str, name: str) -> bool:
        """Return True if something is mounted over an entry of a directory."""
        return (self._holder(directory).id, _below(directory, name)) in self._on

    def _shown(self, device: str, inside: str) -> tuple[str, ...]:
        """Return the paths at which a file of a file system is seen."""
        covering, found = self._index.covering, list[str]()
        root = inside
        while True:
            for mount in covering.get((device, root), ()):
                place = _moved(inside, root, mount.point)
                if self._holder(place) is mount:  # nothing is mounted over it
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
        """Return the mount in which `path` lies, following the mount points on the way as the kernel does."""
        known = self._holders.get(path)
        if known is None:
            above = path.rpartition("/")[0] or "/"
            known = self._holders[path] = self._top(self._holder(above), path)
        return known

    def _top(self, here: Mount, point: str) -> Mount:
        while (above := self._on.get((here.id, point))) is not None and above is not here:
            here = above
        return here


def _parsed(text: str) -> Iterator[Mount]:
    # Neither splitlines() nor split(): the kernel escapes only blanks of ASCII, and names hold others.
    for line in text.split("\n"):
        if not line:
            continue
        fields = line.split(" ")
        if len(fields) < _FIELDS_MIN + 1:
            raise ValueError(f"mountinfo: a line of {len(fields)} fields")
        root, point = fields[3], fields[4]
        if "\\" in line:
            root, point = _unescaped(root), _unescaped(point)
        layers = ""
        if " - overlay " in line:
            layers = fields[-1]
        yield Mount(fields[0], fields[1], fields[2], root, point, layers)


def _unescaped(text: str) -> str:
    r"""Replace each \ooo, an octal number, by its character; the kernel writes all its escapes so."""
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
    """Return the absolute paths of an overlay's layers. Where relative ones lie cannot be known."""
    found: list[str] = []
    for option in options.split(","):
        name, _, value = option.partition("=")
        if name in ("lowerdir", "lowerdir+", "upperdir"):
            # In a list a colon of a name has a backslash.
            parts = _unescaped(value).replace("\\:", "\0").split(":")
            found += (part.replace("\0", ":").rstrip("/") for part in parts)
    return [path for path in dict.fromkeys(found) if isabs(path)]


def _below(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory != "/" else f"/{name}"


def _moved(path: str, root: str, to: str) -> str:
    """Return the path at `to` that corresponds to `path` at or below `root`."""
    rest = path[len(root.rstrip("/")) :]
    return f"{to.rstrip('/')}{rest}".rstrip("/") or "/"
