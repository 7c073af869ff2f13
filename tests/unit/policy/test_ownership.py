"""Who beside root and the user can change a file, or what a directory holds."""

from __future__ import annotations

import struct

import pytest

from nono.policy.ownership import Inode, changeable, exchangeable

ROOT = Inode("/", 0o40755, 0, 0)


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "refusal"),
    [
        pytest.param(0o40775, 1000, 1000, None, id="the user's private group"),
        pytest.param(0o40775, 1000, 100, "group 100 can write to /x", id="a shared group"),
        pytest.param(0o40755, 1000, 100, None, id="a shared group that only reads"),
        pytest.param(0o40775, 0, 50, None, id="a group that root trusts"),
        pytest.param(0o40755, 1001, 1001, "/x belongs to uid 1001", id="another user"),
        pytest.param(0o40757, 0, 0, "everybody can write to /x", id="everybody"),
    ],
)
def test_only_the_own_group_of_the_user_may_write(mode: int, uid: int, gid: int, refusal: str | None) -> None:
    assert changeable(Inode("/x", mode, uid, gid), 1000) == refusal


OWNER, USER, GROUP_OBJ, GROUP, MASK, OTHER = 1, 2, 4, 8, 16, 32  # <linux/posix_acl.h>
READS, WRITES = 4, 6
NOBODY = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("entry", "uid", "refusal"),
    [
        pytest.param((USER, WRITES, 1001), 1000, "uid 1001 can write to /x", id="another user"),
        pytest.param((USER, READS, 1001), 1000, None, id="another user who only reads"),
        pytest.param((USER, WRITES, 0), 1000, None, id="root"),
        pytest.param((USER, WRITES, 1000), 1000, None, id="the user"),
        pytest.param((GROUP, WRITES, 100), 1000, "group 100 can write to /x", id="another group"),
        pytest.param((GROUP, READS, 100), 1000, None, id="another group that only reads"),
        pytest.param((USER, WRITES, 1001), 0, None, id="somebody whom root trusts"),
    ],
)
def test_an_access_control_list_names_who_else_may_write(
    entry: tuple[int, int, int], uid: int, refusal: str | None
) -> None:
    """Found by hand: its mask looks like the write permission of a private group."""
    around = [(OWNER, WRITES, NOBODY), entry, (GROUP_OBJ, READS, NOBODY), (MASK, WRITES, NOBODY)]
    acl = struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", *each) for each in (*around, (OTHER, 0, NOBODY))
    )
    assert changeable(Inode("/x", 0o100660, uid, 1000, acl), 1000) == refusal


def test_the_mask_of_a_list_takes_the_permission_away() -> None:
    entries = [(USER, WRITES, 1001), (MASK, READS, NOBODY)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *each) for each in entries)
    assert changeable(Inode("/x", 0o100640, 1000, 1000, acl), 1000) is None


@pytest.mark.parametrize(
    ("at", "is_refused"), [("itself", True), ("above", False)], ids=["the directory", "one above it"]
)
def test_the_sticky_bit_protects_only_what_lies_below(at: str, is_refused: bool) -> None:
    own, sticky = Inode("/tmp/mine", 0o40755, 1000, 1000), Inode("/tmp", 0o41777, 0, 0)
    directories = [sticky, ROOT] if at == "itself" else [own, sticky, ROOT]
    assert (exchangeable(directories, 1000) is not None) == is_refused


@pytest.mark.parametrize(("uid", "is_refused"), [(1000, False), (0, False), (1001, True)])
def test_the_owner_of_a_directory_above_can_exchange_it(uid: int, is_refused: bool) -> None:
    own, above = Inode("/srv/x/mine", 0o40755, 1000, 1000), Inode("/srv/x", 0o40755, uid, uid)
    assert (exchangeable([own, above, ROOT], 1000) is not None) == is_refused
