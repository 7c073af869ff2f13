"""Where else mounts show a file: against a model of the kernel's walk, and formats of real machines."""

from __future__ import annotations

import time
from itertools import product
from posixpath import dirname

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.policy.files.mount_table import MountTable, host_maps
from nono.policy.path_expansion import ancestry, is_within

# Every path of up to three names: the universe of the model.
NAMES = ("a", "b")
UNIVERSE = ("/", *("/" + "/".join(names) for depth in (1, 2, 3) for names in product(NAMES, repeat=depth)))
PATHS = st.sampled_from(UNIVERSE)

Place = tuple[str, str]  # a file system, and a path in it


class Kernel:
    """Mounts by the order in which they were made, and where a path leads."""

    def __init__(self, made: list[tuple[str, str, str]]) -> None:
        """made: (device, root, mount point) of each mount after that of `/`, on the topmost there then."""
        self.on: dict[tuple[int, str], int] = {}
        self.mounts = [("0:1", "/", "/", 0)]
        for device, root, point in made:
            under = self.mount_at(point)
            self.mounts.append((device, root, point, under))
            self.on[under, point] = len(self.mounts) - 1

    def mount_at(self, path: str) -> int:
        here = self.top(0, "/")
        for step in sorted(ancestry(path) - {"/"}, key=len):
            here = self.top(here, step)
        return here

    def top(self, here: int, point: str) -> int:
        while (here, point) in self.on:
            here = self.on[here, point]
        return here

    def place(self, path: str) -> Place:
        device, root, point, _ = self.mounts[self.mount_at(path)]
        rest = path[len(point.rstrip("/")) :]
        return device, (root.rstrip("/") + rest).rstrip("/") or "/"

    def mountinfo(self) -> str:
        return "".join(
            f"{number + 20} {under + 20 if number else 1} {device} {root} {point} rw shared:1 - ext4 /dev/x\n"
            for number, (device, root, point, under) in enumerate(self.mounts)
        )


MOUNTS = st.lists(st.tuples(st.sampled_from(["0:1", "0:2", "0:3"]), PATHS, PATHS), max_size=7).map(Kernel)


@given(MOUNTS, PATHS)
def test_every_alias_leads_to_the_same_file(kernel: Kernel, path: str) -> None:
    for alias in MountTable(kernel.mountinfo()).aliases(path):
        assert alias != path
        assert kernel.place(alias) == kernel.place(path)


@given(MOUNTS, PATHS)
def test_every_path_of_the_same_file_is_an_alias(kernel: Kernel, path: str) -> None:
    aliases = MountTable(kernel.mountinfo()).aliases(path)
    same = {other for other in UNIVERSE if other != path and kernel.place(other) == kernel.place(path)}
    assert same <= set(aliases)


@given(MOUNTS, PATHS)
def test_whatever_shows_part_of_a_tree_is_within_an_alias_of_it(kernel: Kernel, path: str) -> None:
    covered = (path, *MountTable(kernel.mountinfo()).aliases_of_tree(path))
    inside = {kernel.place(each) for each in UNIVERSE if is_within(each, path)}
    for other in UNIVERSE:
        if kernel.place(other) in inside:
            assert any(is_within(other, each) for each in covered), other


@given(MOUNTS)
def test_the_aliases_of_an_alias_are_the_same(kernel: Kernel) -> None:
    table = MountTable(kernel.mountinfo())
    for path in UNIVERSE:
        everywhere = {path, *table.aliases(path)}
        assert all({alias, *table.aliases(alias)} == everywhere for alias in everywhere)


def table(*mounts: str, layers: tuple[str, ...] = ()) -> MountTable:
    """mounts: "device root point" and the options of an overlay. layers: those that are directories."""
    points: dict[str, int] = {}
    lines = []
    for number, text in enumerate(mounts, 10):
        device, root, point, *options = text.split(" ")
        above = max(({"/", *ancestry(point.replace("\\040", " "))} & points.keys()), key=len, default=None)
        under = points[above] if above is not None else 1
        kind = "overlay overlay" if options else "ext4 /dev/sda"
        lines.append(f"{number} {under} {device} {root} {point} rw - {kind} {' '.join(options) or 'rw'}\n")
        points[point.replace("\\040", " ")] = number
    return MountTable("".join(lines), lambda path: path in layers)


KEY = "/home/ada/.ssh"
ODD = "/mnt/a\u00a0b\u2028c\x85"  # what Python's split() and splitlines() would divide


@pytest.mark.parametrize(
    ("mounts", "aliases"),
    [
        pytest.param(["8:1 / /"], [], id="one mount"),
        pytest.param(["8:1 / /", "8:2 / /home"], [], id="another file system"),
        pytest.param(["8:1 / /", "8:1 / /mnt/wslg/distro"], [f"/mnt/wslg/distro{KEY}"], id="WSLg"),
        pytest.param(
            ["8:1 /ostree/deploy/x /", "8:1 / /sysroot", "8:1 /ostree/deploy/x/var /var"],
            [f"/sysroot/ostree/deploy/x{KEY}"],
            id="ostree",
        ),
        pytest.param(
            ["0:50 / /", "8:1 / /run/host", "8:1 /home /home"], [f"/run/host{KEY}"], id="toolbox"
        ),
        pytest.param(
            ["0:30 /@ /", "0:30 /@home /home", "0:30 / /mnt/top"], [f"/mnt/top/@home{KEY[5:]}"], id="btrfs"
        ),
        pytest.param(["0:30 /@ /", "0:30 /@home /home"], [], id="subvolumes beside each other"),
        pytest.param(["8:1 / /", "8:1 / /mnt", "8:2 / /mnt"], [], id="hidden by another mount"),
        pytest.param(["8:1 / /", "8:1 / /mnt/a", "8:2 / /mnt"], [], id="hidden by a mount above"),
        pytest.param(["8:1 / /", "8:1 / /mnt", "8:2 / /mnt/home"], [], id="hidden by a mount below"),
        pytest.param(["8:1 / /", r"8:1 / /mnt/a\040b"], [f"/mnt/a b{KEY}"], id="a blank"),
        pytest.param(["8:1 / /", r"8:1 / /mnt/a\134040b"], [f"/mnt/a\\040b{KEY}"], id="a backslash"),
        pytest.param(["8:1 / /", f"8:1 / {ODD}"], [f"{ODD}{KEY}"], id="unicode"),
        pytest.param(["8:1 / /", r"8:1 /home\040/x /mnt"], [], id="a root with a blank"),
        pytest.param(["8:1 / /", "8:1 /home/ada /mnt"], ["/mnt/.ssh"], id="a bind mount of a part"),
        pytest.param(["8:1 / /", "8:1 /home/adam /mnt"], [], id="of a name that begins alike"),
        pytest.param(["8:1 / /", "0:4 net:[40] /run/netns/x", "0:4 net:[41] /run/netns/y"], [], id="nsfs"),
    ],
)  # fmt: skip
def test_the_key_is_seen_where_the_mounts_show_it(mounts: list[str], aliases: list[str]) -> None:
    assert [*table(*mounts).aliases(KEY)] == aliases


def test_a_mount_of_a_part_is_an_alias_of_the_tree_only() -> None:
    mounts = table("8:1 / /", "8:1 /home/ada/.ssh/keys /mnt/keys")
    assert mounts.aliases(KEY) == ()
    assert mounts.aliases_of_tree(KEY) == ("/mnt/keys",)


def test_a_mount_below_a_tree_is_looked_for_as_well() -> None:
    mounts = table("8:1 / /", "8:2 / /home/ada/.ssh/vault", "8:2 / /mnt/vault")
    assert mounts.aliases_of_tree("/home/ada") == ("/mnt/vault",)
    assert mounts.aliases("/home/ada") == ()


@pytest.mark.parametrize("exists", [True, False])
def test_an_overlay_shows_its_layers_where_they_are_in_reach(exists: bool) -> None:
    layer = ["/low:er", "/upper"]
    mounts = table(
        r"8:1 / /", r"0:40 / /work rw,lowerdir=/low\134:er:relative,upperdir=/upper,workdir=/w",
        layers=tuple(layer) if exists else (),
    )  # fmt: skip
    assert sorted(mounts.aliases_of_tree("/work/.env")) == (
        [f"{each}/.env" for each in layer] if exists else []
    )


def test_a_layer_is_seen_through_its_overlay() -> None:
    mounts = table(
        "8:1 / /",
        "8:1 /src /src2",
        "0:40 / /merged rw,lowerdir=/src2,upperdir=/u,workdir=/w",
        layers=("/src2",),
    )
    assert sorted(mounts.aliases_of_tree("/src/.env")) == ["/merged/.env", "/src2/.env"]


def test_a_grant_of_an_overlay_is_none_of_its_layers() -> None:
    """Landlock's rules are for inodes, and an overlay has its own."""
    mounts = table("8:1 / /", "0:40 / /work rw,lowerdir=/low,upperdir=/up,workdir=/w", layers=("/low", "/up"))
    assert mounts.aliases("/work") == ()
    assert sorted(mounts.aliases_of_tree("/work")) == ["/low", "/up"]


def test_where_the_root_is_no_mount_nothing_is_known() -> None:
    assert MountTable("30 29 8:1 / /mnt rw - ext4 /dev/sda rw\n").aliases("/mnt/x") == ()


@pytest.mark.parametrize(
    ("source", "is_host_map"),
    [("-hosts", True), ("/etc/auto.net", True), ("/etc/auto.home", False), ("systemd-1", False)],
)
def test_a_map_of_autofs_with_any_host_is_known(source: str, is_host_map: bool) -> None:
    """Other maps name the hosts themselves, and homes are mounted by them."""
    text = (
        "1 1 8:1 / / rw - ext4 /dev/sda rw\n"
        f"30 1 0:40 / /net rw shared:9 - autofs {source} rw,fd=6,pgrp=1,timeout=300,indirect\n"
        "31 1 0:41 / /mnt rw - tmpfs -hosts rw\n"
    )
    assert host_maps(text) == (("/net",) if is_host_map else ())


@pytest.mark.parametrize("text", ["x\n", "1 2 8:1 / /\n"])
def test_what_is_no_mountinfo_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="mountinfo"):
        MountTable(text)


def test_the_parent_of_an_alias_is_an_alias_of_the_parent() -> None:
    mounts = table("8:1 / /", "8:1 / /mnt")
    assert [dirname(alias) for alias in mounts.aliases(KEY)] == [*mounts.aliases(dirname(KEY))]


@pytest.mark.parametrize(("above", "is_root"), [(1, True), (0, True), (20, False)])
def test_the_root_is_a_mount_on_itself_or_on_one_that_is_not_seen(above: int, is_root: bool) -> None:
    """The first file system of a kernel is its own parent, and an initramfs may stay in it."""
    found = MountTable(
        f"1 {above} 0:2 / / rw - rootfs rootfs rw\n20 1 0:2 /home /mnt rw - rootfs rootfs rw\n"
    ).aliases(KEY)
    assert found == (("/mnt/ada/.ssh",) if is_root else ())


def test_paths_that_a_command_made_very_deep_have_others() -> None:
    table = MountTable(
        "20 1 8:1 / / rw - ext4 a rw\n21 20 8:2 / /home rw - ext4 b rw\n22 20 8:2 / /mnt rw - ext4 b rw\n"
    )
    deep = "/d" * 1500
    assert table.aliases(f"/home{deep}") == (f"/mnt{deep}",)


def test_a_directory_that_is_mounted_thousands_of_times_is_looked_up_in_no_time() -> None:
    """Each of the mounts was compared with each other: a start took 48 s with 5,000 of them."""
    points = [f"/mnt/{number}" for number in range(1500)]
    mounts = table("8:1 / /", "8:1 /home/ada /ada", *(f"8:1 /home/ada {point}" for point in points))
    began = time.process_time()
    found = mounts.aliases_of_tree("/")
    assert time.process_time() - began < 1
    assert {*found} == {"/home/ada", "/ada", *points}
    assert {*mounts.aliases_of_tree("/mnt")} == {"/home/ada", "/ada"}
