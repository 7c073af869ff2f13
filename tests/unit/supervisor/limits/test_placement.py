"""Where a cgroup with limits is made, as hosts of many kinds describe themselves."""

from __future__ import annotations

import pytest

from nono.supervisor.limits.placement import (
    CgroupFacts,
    Level,
    Mount,
    Place,
    Unavailable,
    choose,
    directories,
    held_by_v1,
    mounts,
    own_path,
)

BOTH = frozenset({"memory", "pids"})
NOTHING: frozenset[str] = frozenset()
CGROUP = "/sys/fs/cgroup"
MANAGER = "/user.slice/user-1000.slice/user@1000.service"
HERE = (CGROUP,)


def level(
    path: str,
    *,
    enabled: frozenset[str] = NOTHING,
    available: frozenset[str] = BOTH,
    writable: bool = True,
    root: bool = False,
    vacated: bool = False,
) -> Level:
    return Level(path, available, enabled, writable, root, vacated)


def test_our_cgroup_is_that_of_the_line_for_version_2() -> None:
    assert own_path("4:memory:/x\n0::/user.slice/a b\n") == "/user.slice/a b"
    assert own_path("4:memory:/x\n") is None
    assert own_path("") is None


def test_an_older_hierarchy_holds_the_controllers_that_its_lines_name() -> None:
    text = "9:name=systemd:/\n8:pids:/\n4:cpu,cpuacct:/a:b\n0::/\n"
    assert held_by_v1(text) == {"name=systemd", "pids", "cpu", "cpuacct"}


def test_mounts_are_those_of_version_2_with_their_names_unescaped() -> None:
    text = (
        "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
        "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n"
        "42 31 0:38 /docker/1 /mnt/a\\040b rw - cgroup2 cgroup2 rw\n"
    )
    assert mounts(text) == (Mount("/", "/sys/fs/cgroup/unified"), Mount("/docker/1", "/mnt/a b"))


ROOT = Mount("/", CGROUP)


@pytest.mark.parametrize(
    ("path", "uid", "found"),
    [
        (
            f"{MANAGER}/app.slice/x.scope",
            1000,
            (f"{CGROUP}{MANAGER}/app.slice/x.scope", f"{CGROUP}{MANAGER}/app.slice", f"{CGROUP}{MANAGER}"),
        ),
        # Of another user, or not of systemd's making: then all of them, of which some may be ours.
        ("/a/user@1000.service-not", 1000, (f"{CGROUP}/a/user@1000.service-not", f"{CGROUP}/a", CGROUP)),
        ("/user@999.service/x", 1000, (f"{CGROUP}/user@999.service/x", f"{CGROUP}/user@999.service", CGROUP)),
        # Root may write everywhere, and is given only what is its own.
        ("/system.slice/x.service", 0, (f"{CGROUP}/system.slice/x.service",)),
        ("/user@0.service/x", 0, (f"{CGROUP}/user@0.service/x", f"{CGROUP}/user@0.service")),
        ("/", 0, (CGROUP,)),
        ("/", 1000, (CGROUP,)),
        (None, 1000, ()),
    ],
)
def test_the_directories_are_ours_and_those_above_it(
    path: str | None, uid: int, found: tuple[str, ...]
) -> None:
    assert directories(path, [ROOT], uid) == found


def test_a_mount_of_another_cgroup_does_not_show_ours() -> None:
    assert directories("/docker/1/x", [Mount("/docker/2", "/two"), Mount("/docker/1", "/one")], 7) == (
        "/one/x",
        "/one",
    )
    assert directories("/docker/1", [Mount("/docker/12", "/two")], 7) == ()
    assert directories("/docker/1", [Mount("/../x", "/two")], 7) == ()


def test_the_nearest_one_above_that_hands_the_controllers_down_is_taken() -> None:
    facts = CgroupFacts(
        (level("/m/s/own"), level("/m/s", enabled=frozenset({"memory"})), level("/m", enabled=BOTH)), HERE
    )
    assert choose(facts, BOTH) == Place("/m", HERE, NOTHING, is_left=False)
    assert choose(facts, {"memory"}) == Place("/m/s", HERE, NOTHING, is_left=False)


def test_our_own_is_better_where_nobody_else_is_in_it() -> None:
    facts = CgroupFacts((level("/m/own", vacated=True), level("/m", enabled=BOTH)), HERE)
    assert choose(facts, BOTH) == Place("/m/own", HERE, BOTH, is_left=True)
    assert choose(facts, {"pids"}) == Place("/m/own", HERE, frozenset({"pids"}), is_left=True)


def test_the_root_of_the_machine_need_not_be_left() -> None:
    facts = CgroupFacts((level("/c", root=True, enabled=frozenset({"pids"})),), HERE, is_root=True)
    assert choose(facts, BOTH) == Place("/c", HERE, frozenset({"memory"}), is_left=False)


@pytest.mark.parametrize(
    ("facts", "cause", "remedy"),
    [
        (CgroupFacts(on_v1=BOTH), "cgroup v1 holds memory and pids", "systemd.unified_cgroup_hierarchy=1"),
        (CgroupFacts(on_v1=BOTH, is_wsl2=True), "cgroup v1 holds", "kernelCommandLine=cgroup_no_v1=all"),
        (CgroupFacts(), "cgroup v2 is not mounted", "systemd.unified_cgroup_hierarchy=1"),
        (
            # A hybrid: both versions are mounted.
            CgroupFacts((level("/c", available=NOTHING, root=True, vacated=True),), HERE, on_v1=BOTH),
            "cgroup v1 holds memory and pids",
            "systemd.unified_cgroup_hierarchy=1",
        ),
        (
            CgroupFacts(
                (level("/c/session-3.scope", writable=False), level("/c", enabled=BOTH, writable=False))
            ),
            "not delegated to you (/c/session-3.scope)",
            "systemd-run --user --scope -p Delegate=yes nono run ...",
        ),
        (
            CgroupFacts((level("/c/session-3.scope"),), is_root=True),
            "other processes are in this cgroup",
            "systemd-run --scope -p Delegate=yes nono run ...",
        ),
        (
            CgroupFacts((level("/c/x.scope", available=frozenset({"pids"}), vacated=True),)),
            "memory is not handed down to this cgroup (/c/x.scope)",
            "systemd-run --user --scope",
        ),
        (
            CgroupFacts((level("/c", writable=False, vacated=True),), is_container=True),
            "the container may not write its cgroup",
            "unmask=/sys/fs/cgroup",
        ),
        (
            CgroupFacts((level("/c"),), is_container=True, is_root=True),
            "other processes are in the container's cgroup",
            "the container's command",
        ),
    ],
)
def test_the_reason_for_having_no_cgroup_comes_with_a_remedy(
    facts: CgroupFacts, cause: str, remedy: str
) -> None:
    found = choose(facts, BOTH)
    assert isinstance(found, Unavailable)
    assert cause in found.cause
    assert remedy in found.remedy
