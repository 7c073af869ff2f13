"""nono.policy.files.system.cgroups: the figures of the control group that a run starts in."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nono.policy.builtin import shipped
from nono.policy.capability import Access
from nono.policy.files.grants import accesses
from nono.policy.files.system.cgroups import OF_GROUP, cgroup_grants
from nono.policy.path_expansion import Filesystem
from nono.policy.resolve import Resolved
from nono.policy.schema.profile import Groups, Profile

ROOT = "/sys/fs/cgroup"
SCOPE = f"{ROOT}/user.slice/a.scope"

MakeFilesystem = Callable[..., Filesystem]
Resolve = Callable[..., Resolved]


def granted(fs: Filesystem) -> list[str]:
    return [grant.path for grant in cgroup_grants([shipped.groups()[OF_GROUP]], fs)]


@pytest.mark.parametrize(
    ("membership", "figures"),
    [
        ("0::/user.slice/a.scope", [f"{SCOPE}/memory.max"]),
        ("4:memory:/a", [f"{ROOT}/memory/a/memory.limit_in_bytes"]),
        ("2:cpu,cpuacct:/a\n1:name=systemd:/a", [f"{ROOT}/cpu/a/cpu.cfs_quota_us"]),
        ("0::/", []),  # the root's are the group's own
        ("0::/../../user.slice/a.scope", []),  # outside this namespace
        ("0::/no.scope", []),
        ("", []),
        ("memory", []),
    ],
)
def test_the_figures_of_its_control_group_are_granted(
    make_fs: MakeFilesystem, membership: str, figures: list[str]
) -> None:
    fs = make_fs(
        files=(
            *(f"{SCOPE}/{name}" for name in ("memory.max", "cgroup.procs", "memory.pressure")),
            *(f"{ROOT}/memory/a/memory.limit_in_bytes", f"{ROOT}/memory/a/tasks"),
            *(f"{ROOT}/cpu/a/cpu.cfs_quota_us", f"{ROOT}/systemd/a/tasks", f"{ROOT}/memory.max"),
        ),
        texts={"/proc/self/cgroup": membership},
    )
    assert granted(fs) == figures


def test_they_are_granted_to_a_run_for_reading(run: Resolve, make_fs: MakeFilesystem) -> None:
    fs = make_fs(
        files=(f"{SCOPE}/memory.max", f"{SCOPE}/cgroup.procs"),
        texts={"/proc/self/cgroup": "0::/user.slice/a.scope\n"},
    )
    grants = run(fs=fs, allow=(".",)).capabilities.grants
    assert accesses(grants, f"{SCOPE}/memory.max") is Access.READ
    assert accesses(grants, f"{SCOPE}/cgroup.procs") is None
    assert accesses(grants, SCOPE) is None


def test_a_run_without_the_group_of_settings_has_none(run: Resolve, make_fs: MakeFilesystem) -> None:
    fs = make_fs(files=(f"{SCOPE}/memory.max",), texts={"/proc/self/cgroup": "0::/user.slice/a.scope\n"})
    without = Profile(groups=Groups(exclude=(OF_GROUP,)))
    assert accesses(run(without, fs=fs, allow=(".",)).capabilities.grants, f"{SCOPE}/memory.max") is None
