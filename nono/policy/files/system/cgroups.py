"""Grant the figures of the control group that a run starts in: what it may use, and what it uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nono.policy.builtin.shipped import Group
from nono.policy.capability import Access, Grant
from nono.policy.path_expansion import Filesystem

OF_GROUP = "system_settings_linux"  # grants the figures of the root, which are a container's
_MEMBERSHIPS = "/proc/self/cgroup"  # a line for each hierarchy, `ID:CONTROLLERS:PATH`; cgroups(7)
_ROOT = "/sys/fs/cgroup"
_OF_VERSION_2 = (
    *("cpu.max", "cpuset.cpus.effective"),
    *("memory.current", "memory.high", "memory.max", "memory.stat"),
)
_OF_VERSION_1 = {
    "cpu": ("cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.shares"),
    "cpuset": ("cpuset.cpus", "cpuset.effective_cpus"),
    "memory": ("memory.limit_in_bytes", "memory.stat", "memory.usage_in_bytes"),
}


def cgroup_grants(groups: Iterable[Group], fs: Filesystem) -> Iterator[Grant]:
    """Yield a grant to read each figure that is there, if `groups` grant those of the root.

    Programs that find such a file open it, and some end with an error if they may not (DuckDB).
    """
    if all(group.name != OF_GROUP for group in groups):
        return
    for line in (fs.text(_MEMBERSHIPS) or "").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not path.startswith("/") or ".." in path.split("/") or path == "/":
            continue  # outside this namespace, or the root
        for file in _figures(number, controllers, path):
            if fs.kind(file) == "file":
                yield Grant(fs.canonical(file) or file, Access.READ, False, f"group:{OF_GROUP}", file)


def _figures(number: str, controllers: str, path: str) -> Iterator[str]:
    if number == "0":
        yield from (f"{_ROOT}{path}/{name}" for name in _OF_VERSION_2)
        return
    for controller in controllers.split(","):
        # Where several share a hierarchy, each has a link to it.
        names = _OF_VERSION_1.get(controller, ())
        yield from (f"{_ROOT}/{controller}{path}/{name}" for name in names)
