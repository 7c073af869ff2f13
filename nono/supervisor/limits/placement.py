"""Choose where a cgroup with limits can be created, or explain why that is impossible and what would help."""

from __future__ import annotations

from collections.abc import Iterable
from posixpath import dirname, join

from nono.named_tuple import NamedTuple
from nono.policy.files.mount_table import unescaped
from nono.policy.path_expansion import is_within

FILE_SYSTEM = "cgroup2"
SCOPE = "systemd-run {}--scope -p Delegate=yes nono run ..."


class Mount(NamedTuple):
    """One mount point of cgroup v2."""

    root: str  # the cgroup that is mounted there
    place: str  # the directory it is mounted on


class Level(NamedTuple):
    """One cgroup as this process sees it."""

    path: str  # its directory
    available: frozenset[str]  # controllers that it may delegate to children (cgroup.controllers)
    enabled: frozenset[str]  # controllers that it does delegate (cgroup.subtree_control)
    is_writable: bool  # cgroups can be created in it, and processes moved into and out of it
    is_root: bool  # of the whole machine: it may have processes and still delegate controllers
    is_vacated: bool  # it would be empty if we left


class CgroupFacts(NamedTuple):
    """The cgroup setup of this host."""

    levels: tuple[Level, ...] = ()  # our own, then those above it; none: there is no cgroup v2
    mounted: tuple[str, ...] = ()  # every directory where cgroups are mounted
    on_v1: frozenset[str] = frozenset()  # controllers that a cgroup v1 hierarchy holds
    is_container: bool = False
    is_wsl2: bool = False
    is_root: bool = False  # our effective uid is 0


class Place(NamedTuple):
    """The place for the new cgroup."""

    parent: str
    mounted: tuple[str, ...]  # every directory where cgroups are mounted
    to_enable: frozenset[str]  # controllers
    is_left: bool  # we are in it and must leave first, because a cgroup with processes cannot delegate


class Unavailable(NamedTuple):
    """A cause and a remedy, each worded as part of a sentence."""

    cause: str
    remedy: str


def own_path(proc_self_cgroup: str) -> str | None:
    """Return our v2 cgroup from /proc/self/cgroup, or None (cgroups(7))."""
    for line in proc_self_cgroup.splitlines():
        if line.startswith("0::/"):
            return line.removeprefix("0::")
    return None


def held_by_v1(proc_self_cgroup: str) -> frozenset[str]:
    """Return the controllers that cgroup v1 hierarchies hold, from /proc/self/cgroup."""
    fields = [line.split(":", 2) for line in proc_self_cgroup.splitlines()]
    return frozenset(name for each in fields if len(each) == 3 for name in each[1].split(",") if name)


def mounts(mountinfo: str) -> tuple[Mount, ...]:
    """Return the cgroup v2 mounts in /proc/self/mountinfo (proc_pid_mountinfo(5))."""
    found = []
    for line in mountinfo.splitlines():
        before, _, behind = line.partition(" - ")
        fields = before.split(" ")
        if behind.split(" ")[0] == FILE_SYSTEM and len(fields) > 4:
            found.append(Mount(unescaped(fields[3]), unescaped(fields[4])))
    return tuple(found)


def directories(path: str | None, mounted: Iterable[Mount], uid: int) -> tuple[str, ...]:
    """Return the directories of our own cgroup, at `path`, and of its ancestors that could be ours.

    They end at the user's systemd manager if we are below one: nothing above it is delegated. Root can write
    everywhere, so without such a manager only root's own cgroup counts.
    """
    for mount in mounted:
        if path is None or not is_within(path, mount.root):
            continue
        below = path[len(mount.root.rstrip("/")) :].strip("/")
        found = [join(mount.place, below).rstrip("/")]
        manager = f"/user@{uid}.service"
        while found[-1] != mount.place and not found[-1].endswith(manager):
            found.append(dirname(found[-1]))
        return tuple(found) if uid != 0 or found[-1].endswith(manager) else (found[0],)
    return ()


def choose(facts: CgroupFacts, wanted: Iterable[str]) -> Place | Unavailable:
    """Choose the parent for a cgroup with the `wanted` controllers.

    Our own cgroup comes first, because its limits then hold for the new one as well. Next comes the nearest
    ancestor that already delegates the controllers.
    """
    controllers = frozenset(wanted)
    for level in facts.levels[:1]:
        can_hand_down = level.is_root or level.is_vacated
        if level.is_writable and can_hand_down and controllers <= level.available:
            to_enable = controllers - level.enabled
            return Place(level.path, facts.mounted, to_enable, is_left=not level.is_root)
    for level in facts.levels:
        if level.is_writable and controllers <= level.enabled:
            return Place(level.path, facts.mounted, frozenset(), is_left=False)
    return _unavailable(facts, controllers)


def _unavailable(facts: CgroupFacts, controllers: frozenset[str]) -> Unavailable:
    names = " and ".join(sorted(controllers & facts.on_v1)) or "the controllers"
    if not facts.levels or controllers & facts.on_v1:
        cause = f"cgroup v1 holds {names} here" if facts.on_v1 else "cgroup v2 is not mounted here"
        if facts.is_wsl2:
            return Unavailable(cause, "in .wslconfig: [wsl2] kernelCommandLine=cgroup_no_v1=all")
        if facts.is_container:
            return Unavailable(cause, "a host with cgroup v2, and a container that sees it")
        return Unavailable(cause, "boot with the kernel parameter systemd.unified_cgroup_hierarchy=1")
    own = facts.levels[0]
    if facts.is_container:
        if not own.is_writable:
            return Unavailable(
                "the container may not write its cgroup",
                "start it with --cgroupns=private and --security-opt unmask=/sys/fs/cgroup (Podman) or "
                "writable-cgroups=true (Docker; where that is not known: --privileged)",
            )
        return Unavailable(
            "other processes are in the container's cgroup", "make `nono run ...` the container's command"
        )
    if own.is_writable and not controllers <= own.available:
        missing = " and ".join(sorted(controllers - own.available))
        return Unavailable(
            f"{missing} is not handed down to this cgroup ({own.path})",
            SCOPE.format("" if facts.is_root else "--user "),
        )
    cause = "other processes are in this cgroup" if own.is_writable else "this cgroup is not delegated to you"
    return Unavailable(f"{cause} ({own.path})", SCOPE.format("" if facts.is_root else "--user "))
