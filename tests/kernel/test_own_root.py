"""A root directory of a process's own, against the running kernel."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from nono.kernel import landlock, landlock_rights, mounts, namespaces, process
from nono.sandbox.own_root import enter_own_root
from support.forked import errno_of, in_child
from support.running.needs import ORDINARY, require

IS_ROOT = os.geteuid() == 0
WHO = [False, True] if IS_ROOT else [False]


@pytest.fixture(params=WHO, ids=lambda as_root: "root" if as_root else "user")
def inside(request: pytest.FixtureRequest) -> Callable[[Callable[[], object]], Any]:
    """Run work in a child that has entered a root directory of its own."""
    require("mounts", 0 if request.param else ORDINARY)

    def run(work: Callable[[], object]) -> Any:
        def attempt() -> object:
            if IS_ROOT and not request.param:
                os.setgroups([])
                os.setresgid(ORDINARY, ORDINARY, ORDINARY)
                os.setresuid(ORDINARY, ORDINARY, ORDINARY)
            process.set_dumpable(True)
            namespaces.leave_mounts()
            enter_own_root()
            return work()

        return in_child(attempt)

    return run


def top_level() -> dict[str, list[object]]:
    """Return kind, inode and target of everything in "/"; the inode of a link is its own."""
    found: dict[str, list[object]] = {}
    for name in os.listdir("/"):
        status = os.lstat(f"/{name}")
        is_link = stat.S_ISLNK(status.st_mode)
        found[name] = [
            stat.S_IFMT(status.st_mode),
            None if is_link else status.st_ino,
            os.readlink(f"/{name}") if is_link else "",
        ]
    return found


Inside = Callable[[Callable[[], object]], Any]


def test_the_top_level_is_what_it_was(inside: Inside) -> None:
    assert inside(top_level) == top_level()


def test_the_directory_itself_is_another(inside: Inside) -> None:
    assert inside(lambda: os.stat("/").st_dev) != os.stat("/").st_dev


def test_nothing_is_made_in_it_and_below_it_what_could_be(inside: Inside) -> None:
    with TemporaryDirectory(dir="/var/tmp") as place:
        os.chmod(place, 0o777)
        made = Path(place, "made")
        attempts = [partial(os.mkdir, path) for path in ("/made", made)]
        assert inside(lambda: [errno_of(attempt) for attempt in attempts]) == [errno.EROFS, 0]
        assert made.is_dir()


def test_nothing_of_it_is_seen_outside(inside: Inside) -> None:
    before = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    assert inside(lambda: Path("/proc/self/mountinfo").read_text(encoding="utf-8")) != before
    assert Path("/proc/self/mountinfo").read_text(encoding="utf-8") == before


@pytest.mark.needs("user namespaces")
def test_a_user_namespace_can_be_made_in_it(inside: Inside) -> None:
    """A plain chroot(2) would prevent it, and browsers have a sandbox that needs it."""
    assert inside(lambda: errno_of(lambda: os.unshare(os.CLONE_NEWUSER))) == 0


@pytest.mark.skipif(landlock.abi_version() == 0, reason="it tells Landlock what was reached from it")
def test_a_rule_for_it_covers_what_is_reached_from_it_and_nothing_else(inside: Inside) -> None:
    outside = os.open("/usr", os.O_PATH | os.O_DIRECTORY)
    handled = landlock_rights.HANDLED_FS[1]

    def work() -> list[int]:
        ruleset = landlock.create_ruleset(handled)
        landlock.add_path_beneath(ruleset, os.open("/", os.O_PATH), handled)
        landlock.restrict_self(ruleset)
        again = os.open("/usr", os.O_PATH | os.O_DIRECTORY)
        opens = [partial(os.open, "bin", os.O_RDONLY, dir_fd=at) for at in (again, outside)]
        return [errno_of(attempt) for attempt in opens]

    try:
        assert inside(work) == [0, errno.EACCES]
    finally:
        os.close(outside)


def odd_top_level(place: Path) -> None:
    """Make a root directory of odd things, below `place`, that of this process."""
    device = os.open("/dev/fuse", os.O_RDWR) if os.path.exists("/dev/fuse") else None
    root = mounts.new_file_system("tmpfs", {})
    mounts.attach(root, os.open(place, os.O_PATH))
    os.fchdir(root)
    os.chroot(".")
    for name in (b"line\nend\xff\\", b"n" * 255, *(b"many%d" % number for number in range(500))):
        os.mkdir(name)
    os.mkdir("closed", 0)
    os.symlink("nowhere", "dangling")
    os.symlink("round", "round")
    os.mkfifo("fifo")
    socket.socket(socket.AF_UNIX).bind("socket")
    os.mknod("device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    with open("file", "x", opener=partial(os.open, mode=0)) as file:
        file.write("here")
    if device is not None:  # nobody ever answers its requests
        os.mkdir("hung")
        options = {"fd": str(device), "rootmode": "40000", "user_id": "0", "group_id": "0"}
        mounts.attach(mounts.new_file_system("fuse", options), os.open("hung", os.O_PATH))


@pytest.mark.root
@pytest.mark.needs("CAP_SYS_ADMIN", suite=True)
def test_nothing_at_the_top_level_stops_it(tmp_path: Path) -> None:
    def work() -> list[bool]:
        namespaces.leave_mounts()
        odd_top_level(tmp_path)
        before = {os.fsencode(entry): entry.is_dir(follow_symlinks=False) for entry in os.scandir(b"/")}
        enter_own_root()
        after = {os.fsencode(entry): entry.is_dir(follow_symlinks=False) for entry in os.scandir(b"/")}
        is_there = os.path.isdir("/closed") and os.readlink("/dangling") == "nowhere"
        return [before == after, len(after) > 500, is_there, Path("/file").read_text() == "here"]

    assert in_child(work) == [True] * 4
