"""What is written to the files of a cgroup; the kernel that reads them is met in attacks/test_limits.py."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import pytest

from nono.errors import LaunchError, SandboxError
from nono.policy.capability import Limits
from nono.supervisor.limits import cgroup
from nono.supervisor.limits.cgroup import Cgroup, limited
from nono.supervisor.limits.placement import Place

FILES = ("memory.max", "memory.oom.group", "memory.swap.max", "pids.max")


def files(directory: Path, names: Iterable[str]) -> Path:
    for name in names:
        (directory / name).write_text("")
    return directory


def written(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir() if path.read_text()}


def test_only_the_given_limits_are_written(tmp_path: Path) -> None:
    path = files(tmp_path, FILES)
    assert cgroup._arm(str(path), Limits(memory_bytes=1 << 20))
    memory = {"memory.max": "1048576", "memory.oom.group": "1", "memory.swap.max": "0"}
    assert written(path) == memory
    assert cgroup._arm(str(path), Limits(max_processes=7))
    assert written(path) == memory | {"pids.max": "7"}


def test_a_kernel_that_does_not_count_swap_is_told_of(tmp_path: Path) -> None:
    path = files(tmp_path, ("memory.max", "memory.oom.group"))
    assert not cgroup._arm(str(path), Limits(memory_bytes=1 << 20))
    with ExitStack() as stack:
        made = Cgroup(str(files(tmp_path, ("cgroup.procs",))), stack, limits_swap=False)
        assert not made.figures().limits_swap
        assert made.gap == cgroup.SWAP_GAP
        assert Cgroup(str(tmp_path), stack, limits_swap=True).gap is None


def test_figures_are_the_counts_there_are_at_each_reading(tmp_path: Path) -> None:
    files(tmp_path, ("cgroup.procs", "memory.events", "pids.events"))
    with ExitStack() as stack:
        made = Cgroup(str(tmp_path), stack, limits_swap=True)
        assert made.figures() == cgroup.Figures()
        (tmp_path / "memory.events").write_text("low 0\nmax 9\noom 2\noom_kill 3\noom_group_kill 1\nodd\n")
        (tmp_path / "pids.events").write_text("max 4\n")
        found = made.figures()
    assert (found.times_full, found.killed, found.not_started) == (2, 3, 4)
    assert (found.peak_bytes, found.peak_processes) == (None, None)


def test_an_unusable_cgroup_is_an_error_that_names_its_place(tmp_path: Path) -> None:
    place = Place(str(tmp_path / "gone"), (), frozenset(), is_left=False)
    with pytest.raises(SandboxError, match="gone: No such file"), limited(place, Limits(1 << 20), (), print):
        pass
    full = tmp_path / "cgroup.procs"
    full.symlink_to("/dev/full")
    with ExitStack() as stack:
        made = Cgroup(str(tmp_path), stack, limits_swap=True)
        with pytest.raises(LaunchError, match="could not be put under its limits") as refused:
            made.take(1)
    assert refused.value.exit_code == 126
