"""Mounts of one's own over denied paths, against the running kernel."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nono.kernel import capabilities, inotify, landlock, mounts, namespaces, process
from nono.kernel.libc import prctl
from nono.kernel.uapi.process import PR_GET_DUMPABLE, PR_GET_PDEATHSIG
from nono.sandbox import mask_keeper, mask_mounts
from nono.sandbox.mask_mounts import MaskError
from nono.sandbox.plan.enforcement import StaticFilter
from nono.sandbox.plan.plan import MaskRule, SandboxPlan
from support.forked import errno_of, in_child
from support.ordinary_user import ordinary_user
from support.running.needs import ORDINARY, lacking, require

pytestmark = pytest.mark.skipif(landlock.abi_version() == 0, reason="without Landlock no run has masks")
IS_ROOT = os.geteuid() == 0
WHO = [False, True] if IS_ROOT else [False]


@pytest.fixture(params=WHO, ids=lambda as_root: "root" if as_root else "user")
def inside(request: pytest.FixtureRequest) -> Iterator[tuple[Path, Callable[[Callable[[], object]], Any]]]:
    """Yield a directory of a user's, and what runs work in a child of that user's with mounts of its own."""
    require("mounts", 0 if request.param else ORDINARY)
    with ordinary_user() as user:
        place = user.home / "place"
        for directory in (place, place / "sub", place / "sub/deep", place / "keys"):
            directory.mkdir()
        for file in ("file", "keys/id", "sub/deep/key", "open"):
            (place / file).write_text("text")
        for path in (user.home, place, *place.rglob("*")):  # root may reach only its own in a user namespace
            os.chown(path, *((0, 0) if request.param else (user.uid, user.gid)))
        (place / "link").symlink_to("open")

        def run(work: Callable[[], object]) -> Any:
            def attempt() -> object:
                if IS_ROOT and not request.param:
                    os.setgroups([])
                    os.setresgid(*[user.gid] * 3)
                    os.setresuid(*[user.uid] * 3)
                process.set_dumpable(True)
                os.chdir("/")
                namespaces.leave_mounts()
                return work()

            return in_child(attempt)

        yield place, run


Inside = tuple[Path, Callable[[Callable[[], object]], Any]]


def masked(place: Path, *masks: tuple[str, str], pinned: tuple[str, ...] = ()) -> str:
    """Return what masking reported; "" once it is done."""
    rules = [MaskRule(str(place / name), kind) for name, kind in masks]
    try:
        mask_mounts.mask_paths(rules, [str(place / name) for name in pinned])
    except MaskError as error:
        return str(error).replace(str(place), "PLACE")
    return ""


@pytest.mark.parametrize("as_root", WHO)
def test_a_user_namespace_is_made_only_where_it_is_needed(as_root: bool) -> None:
    require("mounts", 0 if as_root else ORDINARY)

    def leave() -> list[object]:
        if IS_ROOT and not as_root:
            os.setresgid(62000, 62000, 62000)
            os.setresuid(62000, 62000, 62000)
        process.set_dumpable(True)
        process.set_parent_death_signal(signal.SIGKILL)
        before = os.getresuid(), os.getresgid()
        has_user_namespace = namespaces.leave_mounts()
        if has_user_namespace:
            capabilities.drop_all()
        number = ctypes.c_int()
        prctl(PR_GET_PDEATHSIG, ctypes.addressof(number), tried="get")
        same = (os.getresuid(), os.getresgid()) == before
        return [has_user_namespace, same, number.value, prctl(PR_GET_DUMPABLE, tried="get")]

    uid = 0 if as_root else ORDINARY
    assert in_child(leave) == [bool(lacking("CAP_SYS_ADMIN", uid)), True, signal.SIGKILL, 1]


def test_no_mount_is_shared_with_those_outside(inside: Inside) -> None:
    _, run = inside
    mountinfo = run(lambda: Path("/proc/self/mountinfo").read_text())
    assert "shared:" not in mountinfo
    assert "master:" not in mountinfo


def test_a_masked_path_cannot_be_used_in_any_way(inside: Inside) -> None:
    place, run = inside

    def work() -> list[object]:
        done = masked(place, ("file", "file"), ("keys", "dir"), ("link", "link"))
        flags = [os.statvfs(place / name).f_flag for name in ("file", "keys", "link")]
        outcomes = [
            (place / "file").read_text(),
            (place / "link").read_text(),
            errno_of(lambda: (place / "file").write_text("")),
            errno_of(lambda: (place / "file").unlink()),
            errno_of(lambda: (place / "keys").rename(place / "taken")),
            errno_of(lambda: (place / "keys/new").write_text("")),
            errno_of(lambda: (place / "keys").chmod(0o777)),
            errno_of(lambda: (place / "open").read_text()),
        ]
        return [done, flags, outcomes, (place / "keys").is_dir()]

    done, flags, outcomes, is_directory = run(work)
    assert (done, is_directory) == ("", True)
    unusable = os.ST_RDONLY | os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC
    assert all(flag & unusable == unusable for flag in flags)
    # Capabilities that came with the namespace are still held here: nothing is written all the same.
    assert outcomes == [
        "", "", errno.EROFS, errno.EBUSY, errno.EBUSY, errno.EROFS, errno.EROFS, 0
    ]  # fmt: skip
    assert (place / "file").read_text() == "text"


@pytest.mark.parametrize("content", ["mine", None], ids=["with a file", "empty"])
@pytest.mark.parametrize("name", ["file", "dangling"])
def test_a_file_of_its_own_is_written_by_rename_and_seen_nowhere_else(
    name: str, content: str | None, inside: Inside
) -> None:
    place, run = inside
    (place / "dangling").symlink_to("keys/nothing")
    rule = MaskRule(str(place / name), None, own=str(place / "keys"), content=content)

    def work() -> list[object]:
        mask_mounts.mount_own([rule])
        mask_mounts.mask_paths([rule], [])
        path, there = place / name, place / "keys" / name
        before = [path.read_text() if path.exists() else None, [*map(str, (place / "keys").iterdir())]]
        (place / "keys/new").write_text("new")
        outcomes = [
            errno_of(lambda: path.unlink()),
            errno_of(lambda: (place / "open").rename(path)),
            errno_of(lambda: (place / "keys").rename(place / "taken")),
            errno_of(lambda: (place / "keys/new").rename(path.readlink())),
            errno_of(lambda: os.chmod(there, 0o4755)),
            errno_of(lambda: there.write_text("x" * 2 * 1024 * 1024)),
        ]
        is_laid = mask_mounts.is_masked(rule)
        return [*before, outcomes, is_laid, there.stat().st_size > 0, path.stat().st_size > 0]

    held, names, outcomes, *rest = run(work)
    assert (held, names) == (content, [] if content is None else [str(place / "keys" / name)])
    assert outcomes == [errno.EBUSY, errno.EBUSY, errno.EBUSY, 0, 0, errno.ENOSPC]
    assert rest == [True, True, True]
    assert (place / "file").read_text() == "text"
    assert [each.name for each in (place / "keys").iterdir()] == ["id"]


def test_a_directory_of_its_own_is_for_this_user_and_executes_nothing(inside: Inside) -> None:
    place, run = inside
    rule = MaskRule(str(place / "file"), None, own=str(place / "keys"), content="mine")

    def work() -> list[int]:
        os.umask(0)
        mask_mounts.mount_own([rule])
        modes = [path.stat().st_mode & 0o7777 for path in (place / "keys", place / "keys/file")]
        return [*modes, os.statvfs(place / "keys").f_flag]

    of_directory, of_file, flags = run(work)
    assert (of_directory, of_file) == (0o700, 0o600)
    refused = os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC
    assert flags & (refused | os.ST_RDONLY) == refused


def test_a_file_shown_in_place_of_another_is_read_and_cannot_be_written(inside: Inside) -> None:
    place, run = inside
    (place / "open").write_text("shown")
    rule = MaskRule(str(place / "file"), "file", shown=str(place / "open"))

    def work() -> list[object]:
        mask_mounts.mask_paths([rule], [])
        path = place / "file"
        outcomes = [errno_of(lambda: path.write_text("")), errno_of(lambda: path.unlink())]
        return [path.read_text(), outcomes, os.statvfs(path).f_flag, mask_mounts.is_masked(rule)]

    text, outcomes, flags, is_laid = run(work)
    assert (text, outcomes, is_laid) == ("shown", [errno.EROFS, errno.EBUSY], True)
    assert flags & mask_mounts.UNUSABLE == mask_mounts.UNUSABLE


@pytest.mark.parametrize("shown", ["keys", "twice", "foreign", "fifo"])
def test_only_a_plain_file_of_this_user_alone_is_shown(shown: str, inside: Inside) -> None:
    place, run = inside
    (place / "twice").hardlink_to(place / "keys/id")
    os.mkfifo(place / "fifo")
    if IS_ROOT:
        (place / "foreign").write_text("")
        os.chown(place / "fifo", place.stat().st_uid, -1)
        os.chown(place / "foreign", place.stat().st_uid + 1, -1)
    path = str(place / shown) if IS_ROOT or shown != "foreign" else "/etc/passwd"
    rule = MaskRule(str(place / "file"), "file", shown=path)

    def work() -> str:
        try:
            mask_mounts.mask_paths([rule], [])
        except MaskError as error:
            return str(error)
        return ""

    assert run(work) == f"'{path}' is not a plain file of this user alone"


@pytest.mark.parametrize(
    ("content", "is_unusable", "expected"), [("", True, True), ("", False, False), ("text", True, False)]
)
def test_what_somebody_else_mounted_over_a_path_is_no_mask(
    content: str, is_unusable: bool, expected: bool, inside: Inside
) -> None:
    place, run = inside
    (place / "open").write_text(content)
    (place / "open").chmod(0o444)

    def work() -> bool:
        mount = mounts.copy(os.open(place / "open", os.O_PATH))
        if is_unusable:
            mounts.make_unusable(mount)
        mounts.attach(mount, os.open(place / "file", os.O_PATH))
        return mask_mounts.is_masked(MaskRule(str(place / "file"), "file"))

    assert run(work) is expected


def test_a_link_to_another_directory_is_not_that_of_a_file_of_its_own(inside: Inside) -> None:
    place, run = inside
    rule = MaskRule(str(place / "file"), None, own=str(place / "keys"))

    def work() -> list[bool]:
        mask_mounts.mask_paths([rule], [])
        other = rule._replace(own=str(place / "sub"))
        return [mask_mounts.is_masked(each) for each in (rule, other)]

    assert run(work) == [True, False]


def test_a_mask_that_lies_nowhere_at_the_end_is_an_error(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path may have been replaced since its descriptor was opened."""
    place, run = inside
    attach, target = mounts.attach, (place / "file").stat().st_ino

    def miss(mount: int, onto: int) -> None:
        if os.fstat(onto).st_ino != target:
            attach(mount, onto)

    assert run(lambda: masked(place, ("file", "file"))) == ""
    monkeypatch.setattr(mounts, "attach", miss)
    said = run(lambda: masked(place, ("file", "file")))
    assert said == "'PLACE/file' has been replaced while it was being masked"


def test_a_file_of_its_own_in_a_directory_that_is_a_link_is_refused(inside: Inside) -> None:
    place, run = inside
    (place / "away").symlink_to("keys")
    rule = MaskRule(str(place / "file"), None, own=str(place / "away"))

    def work() -> str:
        try:
            mask_mounts.mount_own([rule])
        except MaskError as error:
            return str(error)
        return ""

    assert "away' cannot be masked" in run(work)


def test_a_pinned_directory_cannot_be_moved(inside: Inside) -> None:
    place, run = inside

    def work() -> list[object]:
        (place / "sub/mounted").mkdir()
        tmpfs, onto = (
            mounts.new_file_system("tmpfs", {"mode": "0777"}),
            os.open(place / "sub/mounted", os.O_PATH),
        )
        mounts.attach(tmpfs, onto)
        (place / "sub/mounted/file").write_text("mounted")
        done = masked(place, ("sub/deep/key", "file"), pinned=("sub", "sub/deep"))
        return [
            done,
            (place / "sub/mounted/file").read_text(),
            errno_of(lambda: (place / "sub").rename(place / "taken")),
            errno_of(lambda: (place / "sub/deep").rename(place / "sub/taken")),
            (place / "sub/deep/key").read_text(),
            errno_of(lambda: (place / "sub/deep/new").write_text("")),
        ]

    assert run(work) == ["", "mounted", errno.EBUSY, errno.EBUSY, "", 0]


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (("link", "file"), "'PLACE/link' has been replaced since it was looked up"),
        (("file", "link"), "'PLACE/file' has been replaced since it was looked up"),
        (("file", "dir"), "'PLACE/file' has been replaced since it was looked up"),
        (("keys", "file"), "'PLACE/keys' has been replaced since it was looked up"),
        (("gone", "file"), "[ENOENT]"),
        (("aside/deep/key", "file"), "[ELOOP]"),
    ],
)
def test_what_was_exchanged_since_it_was_judged_is_an_error(
    mask: tuple[str, str], reason: str, inside: Inside
) -> None:
    place, run = inside
    (place / "aside").symlink_to("sub")
    assert reason in run(lambda: masked(place, mask))
    assert run(lambda: masked(place, ("sub/deep/key", "file"))) == ""


def mounted() -> Counter[str]:
    """Return how many mounts there are at each place."""
    return Counter(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())


def test_a_mask_that_fails_leaves_nothing_mounted(inside: Inside) -> None:
    """What keeps masks tries again after that."""
    place, run = inside

    def work() -> list[object]:
        before = mounted()
        done = masked(place, ("gone", "file"), ("file", "file"))
        return [done, sorted((mounted() - before).elements())]

    done, left = run(work)
    assert "'PLACE/gone' cannot be masked" in done
    assert left == []


def test_masks_leave_nothing_else_mounted(inside: Inside) -> None:
    place, run = inside

    def work() -> list[str]:
        before = mounted()
        masked(place, ("file", "file"), ("keys", "dir"), ("sub/deep/key", "file"), pinned=("sub",))
        return sorted((mounted() - before).elements())

    assert run(work) == [str(place / name) for name in ("file", "keys", "sub", "sub/deep/key")]


def after_a_loss(
    place: Path, looks: int, look: Callable[[SandboxPlan, int, Callable[[str], object]], object]
) -> list[str]:
    """Lose a mask, and serve until the keeper has looked so often. Return what it tells."""
    plan = SandboxPlan(*(1, 0, 0, 0, (), (), (), StaticFilter.OPEN_NET, None))
    plan = plan._replace(masks=(MaskRule(f"{place}/keys", "dir"),), looks_again=True)
    mask_mounts.mask_paths(plan.masks, ())
    table = mask_keeper._mount_table()
    mask = os.open(f"{place}/keys", os.O_PATH)
    mounts.detach(mask)
    command, ends = os.pipe()
    told: list[str] = []
    looked = 0

    def counted(*arguments: Any) -> None:
        nonlocal looked
        look(*arguments)
        looked += 1
        if looked == looks:
            os.close(ends)

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(mask_keeper, "AGAIN_S", 3600.0)
        monkeypatch.setattr(mask_keeper, "_watch_and_mask", counted)
        signal.alarm(20)
        mask_keeper._serve(plan, inotify.new_queue(), table, command, told.append)
    return told


def test_a_mask_that_goes_is_laid_again_at_once(inside: Inside) -> None:
    """FUSE drops one when its server answers a look-up with an error."""
    place, run = inside

    def lost() -> object:
        told = after_a_loss(place, 1, mask_keeper._watch_and_mask)
        return told, mask_mounts.is_masked(MaskRule(f"{place}/keys", "dir"))

    assert run(lost) == [[f"{place}/keys"], True]


def test_after_a_loss_it_looks_again_soon(inside: Inside) -> None:
    """The server that has failed may go on to do so for a while."""
    place, run = inside
    assert run(lambda: after_a_loss(place, 5, lambda *_: None)) == []
