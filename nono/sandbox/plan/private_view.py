"""Decide what a command in its own namespaces sees instead of the shared directories.

Each of these directories is replaced by a private one, empty at the start, with full access. Paths below them
that were granted show through; because Landlock rules also cover mounts below a directory, only a read-only
mount can limit such a grant to reading. Where a grant cannot be expressed this way, the directory stays
shared.
"""

from collections.abc import Collection, Iterable, Iterator
from posixpath import dirname

from nono.named_tuple import NamedTuple
from nono.policy.capability import Access, CapabilitySet, Grant, Masking
from nono.policy.path_expansion import ancestry, is_within
from nono.policy.socket_grant import SocketScope

DIRECTORIES = ("/tmp", "/var/tmp", "/dev/shm", "/run/screen", "/var/lib/php/sessions")
TERMINALS = "/dev/pts"
QUEUES = "/dev/mqueue"  # mq_overview(7)
DEVICES = "/dev"
PROCESSES = "/proc"


class Shown(NamedTuple):
    """A path of this host that shows through, with everything below it."""

    path: str
    writes: bool


class PrivateView(NamedTuple):
    """The replacements for the shared directories of this host, for one command."""

    directories: tuple[str, ...] = DIRECTORIES  # private directories in memory
    shown: tuple[Shown, ...] = ()  # a path within another follows it
    terminal: str | None = None  # the caller's terminal, below /dev/pts
    unchanged: tuple[str, ...] = ()  # read-only mounts: Landlock does not restrict modes, times, attributes
    pinned: tuple[str, ...] = ()  # what must not be renamed, and the directories above it, outermost first
    closed: tuple[str, ...] = ()  # sockets and directories where the command finds nobody
    devices: tuple[str, ...] | None = None  # what can be opened below DEVICES; None: whatever Landlock allows

    def to_message(self) -> dict[str, object]:
        return self._asdict()

    @classmethod
    def from_message(cls, message: dict[str, object]) -> "PrivateView":
        """Rebuild the view from to_message() after JSON.

        Raises ValueError if a field is missing or unknown.
        """
        if set(message) != set(cls._fields):
            raise ValueError(f"not a private view: {sorted(message)}")
        directories, shown, terminal, unchanged, pinned, closed, devices = (
            message[name] for name in cls._fields
        )
        if not (isinstance(directories, list) and isinstance(shown, list)):
            raise ValueError("a private view without lists")
        if not (isinstance(unchanged, list) and isinstance(pinned, list) and isinstance(closed, list)):
            raise ValueError("a private view without lists")
        if not (devices is None or isinstance(devices, list)):
            raise ValueError("a private view whose devices are no list")
        return cls(
            tuple(directories),
            tuple(Shown(*each) for each in shown),
            None if terminal is None else str(terminal),
            tuple(unchanged),
            tuple(pinned),
            tuple(closed),
            None if devices is None else tuple(devices),
        )


def private_view(capabilities: CapabilitySet, roots: Collection[str], terminal: str | None) -> PrivateView:
    """Draw the view of a command.

    roots: nono's own directories, in which files for the command appear while it runs; canonical.
    """
    shared_ones = {*shared(capabilities, roots)}
    directories = tuple(directory for directory in DIRECTORIES if directory not in shared_ones)
    if capabilities.runtime_dir is not None:
        directories += (capabilities.runtime_dir,)
    # A shipped group's write-only directory, such as $TMPDIR, is replaced by a private one.
    wanted = [Shown(grant.path, grant.access.writes) for grant in capabilities.grants if grant.access.reads]
    wanted += [Shown(grant.path, False) for grant in capabilities.sockets]
    beginnings = tuple(f"{directory}/" for directory in directories)
    below = {each for each in wanted if each.path.startswith(beginnings)}
    written = [grant.path for grant in capabilities.grants if grant.access.writes]
    unchanged = tuple(
        root
        for root in (*roots, DEVICES)
        if not any(root != DEVICES and (is_within(path, root) or is_within(root, path)) for path in written)
    )
    hooks = capabilities.hooks
    kept = () if hooks is None else (hooks,)
    # A later run would look for what listens there at the same place.
    closed = [path for path in capabilities.closed_sockets if not path.startswith(beginnings)]
    fixed = [each for each in (hooks, capabilities.runtime_dir, *closed) if each is not None]
    pinned = {above for each in fixed for above in _movable(dirname(each), written)}
    here = [path for path in written if path not in directories]
    pinned.update(each for path in capabilities.fixed_sockets for each in _movable(path, here))
    return PrivateView(
        directories,
        tuple(_without_covered(below)),
        terminal,
        (*unchanged, *kept),
        tuple(sorted(pinned)),
        capabilities.closed_sockets,
    )


def masked_in(view: PrivateView, masking: Masking) -> Masking:
    """Return the masks of a command with this view: none for what is not there in a directory of its own."""

    def is_there(path: str) -> bool:
        is_own = any(path != each and is_within(path, each) for each in view.directories)
        # Or the way to what shows through, which the command could move away with its masks.
        return not is_own or any(is_within(path, s.path) or is_within(s.path, path) for s in view.shown)

    return masking._replace(
        masks=tuple(mask for mask in masking.masks if is_there(mask.path)),
        pinned=tuple(filter(is_there, masking.pinned)),
        absent=tuple(each for each in masking.absent if is_there(each.path)),
        watched=tuple(filter(is_there, masking.watched)),
    )


def with_directories(
    view: PrivateView, directories: Collection[str], capabilities: CapabilitySet
) -> PrivateView:
    """Return a view in which these directories are the command's own as well, and stay where they are."""
    written = [grant.path for grant in capabilities.grants if grant.access.writes]
    pinned = (each for directory in directories for each in _movable(dirname(directory), written))
    return view._replace(
        directories=(*view.directories, *directories), pinned=tuple(sorted({*view.pinned, *pinned}))
    )


def without_hosts(
    view: PrivateView, maps: Collection[str], capabilities: CapabilitySet, roots: Collection[str]
) -> PrivateView:
    """Return a view in which directories are empty where autofs mounts the exports of any host.

    It is a daemon outside that asks the host, for whoever looks its name up, and no rule of Landlock is for
    that. Left as they are: those that a person has granted, and those in which anything is granted or the
    command starts, as where the person's home is in one.

    roots: as for private_view().
    """
    used = (*(grant.path for grant in capabilities.grants), *roots, capabilities.workdir)
    asked = [grant.path for grant in capabilities.grants if grant.is_users]
    hidden = (
        each
        for each in maps
        if not any(is_within(path, each) for path in used)
        and not any(is_within(each, path) for path in asked)
    )
    return view._replace(closed=(*view.closed, *hidden))


def with_devices_held(view: PrivateView, grants: Collection[Grant]) -> PrivateView:
    """Return a view in which no device can be opened but those that are granted, and the terminals.

    Landlock asks no right of an open in access mode 3, whose descriptor takes the ioctl(2) of its device, by
    which a camera or microphone can be read. Only from V5 on it has a right for that. As before where a
    person has granted all devices.
    """
    if any(is_within(DEVICES, grant.path) and grant.is_users for grant in grants):
        return view
    elsewhere = (*view.directories, TERMINALS, QUEUES)  # file systems of their own
    devices = {
        grant.path
        for grant in grants
        if grant.path != DEVICES
        and is_within(grant.path, DEVICES)
        and not any(is_within(grant.path, each) for each in elsewhere)
    }
    return view._replace(devices=tuple(sorted(devices)))


def hidden_below(path: str, capabilities: CapabilitySet, roots: Collection[str]) -> str | None:
    """Return the directory of this host that the command has another of, where `path` is not there for it.

    None: the path is there. roots: as for private_view().
    """
    if path != PROCESSES and is_within(path, PROCESSES):
        return PROCESSES
    runtime_dir = () if capabilities.runtime_dir is None else (capabilities.runtime_dir,)
    if not any(path != each and is_within(path, each) for each in (*DIRECTORIES, *runtime_dir)):
        return None
    view = private_view(capabilities, roots, None)
    if any(is_within(path, each.path) or is_within(each.path, path) for each in view.shown):
        return None
    return next((each for each in view.directories if path != each and is_within(path, each)), None)


def _movable(path: str, written: Collection[str]) -> tuple[str, ...]:
    """Return `path` and the directories above it that the command could rename, outermost first."""
    upward = sorted(each for each in ancestry(path) if each != "/")
    return tuple(each for each in upward if any(is_within(dirname(each), root) for root in written))


def shared(capabilities: CapabilitySet, roots: Collection[str]) -> Iterator[str]:
    """Yield the directories that stay shared: granted whole, or with a grant that no mount can express.

    roots: as for private_view().
    """
    asked = {grant.path for grant in capabilities.grants if grant.is_users}
    for directory in DIRECTORIES:
        if directory in asked or is_held_otherwise(directory, capabilities, roots):
            yield directory


def is_held_otherwise(directory: str, capabilities: CapabilitySet, roots: Collection[str]) -> bool:
    """Return True if something below the directory is granted, or kept, in a way that no mount can express.

    All files that show through in a directory of the command's own could be read.

    roots: as for private_view().
    """
    users = (grant for grant in capabilities.grants if grant.is_users)
    held = (
        *(grant.path for grant in users if grant.access is Access.WRITE),
        *(grant.path for grant in capabilities.sockets if grant.scope is not SocketScope.FILE),
        *roots,
    )
    return any(is_within(path, directory) for path in held)


def _without_covered(wanted: Iterable[Shown]) -> Iterator[Shown]:
    """Yield the paths that no path above them already shows, a directory before its contents."""
    kept: list[Shown] = []
    for each in sorted(wanted):
        if not any(is_within(each.path, above.path) and above.writes >= each.writes for above in kept):
            kept.append(each)
            yield each


def own_grants(
    view: PrivateView | None, terminals: Collection[str], ptmx: str | None, denied: Collection[str]
) -> tuple[Grant, ...]:
    """Return what the command may use of its surroundings in addition to its policy's grants.

    view: None without namespaces.
    terminals: The caller's terminals on the standard streams.
    ptmx: The canonical path of /dev/ptmx; None if there is none.
    denied: Paths that the policy denies.
    """
    paths = [(PROCESSES, Access.READ, True)]
    if view is None:
        paths += [(terminal, Access.READWRITE, False) for terminal in terminals]
    else:
        own = (*view.directories, TERMINALS, QUEUES)
        paths += [(directory, Access.READWRITE, True) for directory in own]
        if ptmx is not None and not is_within(ptmx, TERMINALS):
            paths.append((ptmx, Access.READWRITE, False))
    private = () if view is None else view.directories
    return tuple(
        Grant(path, access, is_dir, "system", path)
        for path, access, is_dir in paths
        if not any(is_within(path, denial) for denial in denied)
        # A denied path in a private directory does not exist there, or is masked.
        and (path in private or not any(is_within(denial, path) for denial in denied))
    )
