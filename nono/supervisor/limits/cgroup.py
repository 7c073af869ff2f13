"""Create a cgroup for the command, with limits that the command cannot lift.

Source: Documentation/admin-guide/cgroup-v2.rst. Its files are opened before the command starts and kept open,
because the command has our uid and could change their modes.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress

from nono.errors import LaunchError, SandboxError
from nono.named_tuple import NamedTuple
from nono.policy.capability import Limits
from nono.sandbox import host
from nono.supervisor.limits import placement
from nono.supervisor.limits.placement import CgroupFacts, Level, Place

SWAP_GAP = (
    "this kernel does not count swap (boot it with swapaccount=1): what the command has beyond --memory may "
    "be swapped out instead of ending it."
)
NAME = "nono."  # followed by the pid of the supervisor
FILE_BYTES_MAX = 1 << 20
REMOVAL_TRIES, REMOVAL_WAIT_S = 50, 0.01  # killed processes leave their cgroup a moment later


class Figures(NamedTuple):
    """The kernel's counters of one cgroup; None: the kernel does not count that."""

    times_full: int = 0  # memory was at its limit, and nothing could be reclaimed
    killed: int = 0  # processes killed because memory ran out
    peak_bytes: int | None = None
    not_started: int = 0  # processes and threads refused by pids.max
    peak_processes: int | None = None
    limits_swap: bool = True


def look(ours: Collection[int]) -> CgroupFacts:
    """Read the cgroup facts of this host.

    ours: pids of the processes that would leave our cgroup with us.
    """
    own = _read("/proc/self/cgroup")
    mounts = placement.mounts(_read("/proc/self/mountinfo"))
    directories = placement.directories(placement.own_path(own), mounts, os.geteuid())
    return CgroupFacts(
        tuple(_level(each, ours) for each in directories if os.path.isdir(each)),
        tuple(mount.place for mount in mounts),
        on_v1=placement.held_by_v1(own),
        is_container=any(map(os.path.exists, host.CONTAINER_MARKERS)),
        is_wsl2=host.looks_like_wsl2(),
        is_root=os.geteuid() == 0,
    )


def _level(path: str, ours: Collection[int]) -> Level:
    return Level(
        path,
        available=frozenset(_read(f"{path}/cgroup.controllers").split()),
        enabled=frozenset(_read(f"{path}/cgroup.subtree_control").split()),
        is_writable=all(
            os.access(each, os.W_OK, effective_ids=True) for each in (path, f"{path}/cgroup.procs")
        ),
        is_root=not os.path.exists(f"{path}/cgroup.type"),
        is_vacated=set(_read(f"{path}/cgroup.procs").split()) <= set(map(str, ours)),
    )


def _read(path: str) -> str:
    """Return the text of a file; "" if it is missing or not readable."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(FILE_BYTES_MAX)
    except OSError:
        return ""


class Cgroup:
    """The cgroup of one command. limited() closes its descriptors."""

    def __init__(self, path: str, stack: ExitStack, *, limits_swap: bool) -> None:
        self._path = path
        self._limits_swap = limits_swap
        self._stack = stack
        self._processes = self._open("cgroup.procs", os.O_WRONLY)
        self._kill = self._open("cgroup.kill", os.O_WRONLY)  # Linux 5.14
        self._read = {
            name: self._open(name, os.O_RDONLY)
            for name in ("memory.events", "memory.peak", "pids.events", "pids.peak")
        }

    @property
    def gap(self) -> str | None:
        """Describe the limit that does not hold here, or return None."""
        return None if self._limits_swap else SWAP_GAP

    def _open(self, name: str, flags: int) -> int | None:
        try:
            descriptor = os.open(f"{self._path}/{name}", flags | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        self._stack.callback(os.close, descriptor)
        return descriptor

    def take(self, pid: int) -> None:
        """Move the process that is to become the command here. Raises LaunchError."""
        try:
            assert self._processes is not None
            os.write(self._processes, str(pid).encode())
        except OSError as error:
            raise LaunchError(
                f"the command could not be put under its limits: {self._path}: {error.strerror}"
            ) from error

    def kill(self) -> None:
        """Kill every process here at once, however fast it forks; does nothing before Linux 5.14."""
        if self._kill is not None:
            with suppress(OSError):  # there is nothing else to try
                os.write(self._kill, b"1")

    def figures(self) -> Figures:
        memory, pids = self._counts("memory.events"), self._counts("pids.events")
        return Figures(
            times_full=memory.get("oom", 0),
            killed=memory.get("oom_kill", 0),
            peak_bytes=self._number("memory.peak"),
            not_started=pids.get("max", 0),
            peak_processes=self._number("pids.peak"),
            limits_swap=self._limits_swap,
        )

    def _counts(self, name: str) -> dict[str, int]:
        pairs = [line.split() for line in self._text(name).splitlines()]
        return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}

    def _number(self, name: str) -> int | None:
        text = self._text(name).strip()
        return int(text) if text.isdecimal() else None

    def _text(self, name: str) -> str:
        descriptor = self._read[name]
        return "" if descriptor is None else os.pread(descriptor, FILE_BYTES_MAX, 0).decode("ascii")


@contextmanager
def limited(
    place: Place, limits: Limits, ours: Collection[int], warn: Callable[[str], None]
) -> Iterator[Cgroup]:
    """Create an empty cgroup with limits. Leaving the block kills every process in it and removes it.

    ours: as for look.
    warn: called with a message if the cgroup cannot be removed.
    Raises SandboxError if the cgroup cannot be created.
    """
    with ExitStack() as stack:
        try:
            _sweep(place.parent)
            if place.is_left:
                _vacate(place.parent, ours, stack)
            if place.to_enable:
                _enable(place, stack)
            path = f"{place.parent}/{NAME}{os.getpid()}"
            os.mkdir(path, 0o755)
            stack.callback(_remove, path, warn)
            limits_swap = _arm(path, limits)
            cgroup = Cgroup(path, stack, limits_swap=limits_swap)
        except OSError as error:
            raise SandboxError(
                f"the limits cannot be set: {error.filename or place.parent}: {error.strerror}",
                hint="nono setup --check-only says whether they are available here",
            ) from error
        stack.callback(cgroup.kill)
        yield cgroup


def _sweep(parent: str) -> None:
    """Remove cgroups left by killed supervisors, unless something still runs in them."""
    for name in os.listdir(parent):
        pid = name.removeprefix(NAME).partition(".")[0]
        if not name.startswith(NAME) or not pid.isdecimal():
            continue
        if int(pid) == os.getpid() or not os.path.exists(f"/proc/{pid}"):
            with suppress(OSError):
                os.rmdir(f"{parent}/{name}")


def _vacate(parent: str, ours: Collection[int], stack: ExitStack) -> None:
    """Move this process and `ours` down into a sibling of the command's cgroup until `stack` is left."""
    beside = f"{parent}/{NAME}{os.getpid()}.supervisor"
    os.mkdir(beside, 0o755)
    stack.callback(_remove, beside, lambda _: None)
    stack.callback(_try_write, f"{parent}/cgroup.procs", str(os.getpid()))
    for pid in ours:
        _write(f"{beside}/cgroup.procs", str(pid))


def _enable(place: Place, stack: ExitStack) -> None:
    file = f"{place.parent}/cgroup.subtree_control"
    names = sorted(place.to_enable)
    _write(file, " ".join(f"+{name}" for name in names))
    if place.is_left:  # otherwise nothing could move back
        stack.callback(_try_write, file, " ".join(f"-{name}" for name in names))


def _arm(path: str, limits: Limits) -> bool:
    """Write the limits. Returns False if the kernel does not limit swap.

    Swapped-out memory would not count against the memory limit, hence memory.swap.max.
    """
    limits_swap = True
    if limits.memory_bytes is not None:
        try:
            _write(f"{path}/memory.swap.max", "0")
        except FileNotFoundError:
            limits_swap = False
        _write(f"{path}/memory.max", str(limits.memory_bytes))
        _write(f"{path}/memory.oom.group", "1")
    if limits.max_processes is not None:
        _write(f"{path}/pids.max", str(limits.max_processes))
    return limits_swap


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode("ascii"))
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        os.close(descriptor)


def _try_write(path: str, text: str) -> None:
    """Write on the way out, ignoring errors: the run is over, and leftovers are ours and harmless."""
    with suppress(OSError):
        _write(path, text)


def _remove(path: str, warn: Callable[[str], None]) -> None:
    for _ in range(REMOVAL_TRIES):
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY:
                break
            time.sleep(REMOVAL_WAIT_S)
        else:
            return
    warn(f"the cgroup of the command could not be removed: {path}")
