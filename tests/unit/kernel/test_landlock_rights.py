"""Rights of a grant, by access, inode and ABI."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.kernel.landlock_rights import FILE_RIGHTS, HANDLED_FS, HANDLED_NET, KNOWN_ABI, SCOPES, access_rights

IOCTL_DEV = 1 << 15
abis = st.integers(0, KNOWN_ABI)

RIGHTS = [
    # reads, writes, is_dir, ABI → rights
    (True, False, True, 1, 0x000D),
    (True, False, True, 7, 0x000D),
    (True, False, False, 1, 0x0005),
    (True, False, False, 7, 0x0005),
    (False, True, True, 1, 0x1FF2),
    (False, True, True, 2, 0x3FF2),
    (False, True, True, 3, 0x7FF2),
    (False, True, True, 7, 0x7FF2),
    (False, True, False, 2, 0x0002),
    (False, True, False, 3, 0x4002),
    (True, True, True, 1, 0x1FFF),
    (True, True, True, 2, 0x3FFF),
    (True, True, True, 4, 0x7FFF),
    (True, True, False, 1, 0x0007),
    (True, True, False, 6, 0x4007),
    (False, False, True, 7, 0),
    (True, True, True, 0, 0),
]


@pytest.mark.parametrize(("reads", "writes", "is_dir", "abi", "rights"), RIGHTS)
def test_a_grant_becomes_the_rights_of_its_access_inode_and_abi(
    reads: bool, writes: bool, is_dir: bool, abi: int, rights: int
) -> None:
    assert access_rights(reads, writes, is_dir, False, abi) == rights


@pytest.mark.parametrize(
    ("reads", "writes", "is_device", "abi", "has_ioctl"),
    [
        (True, True, True, 5, True),
        (False, True, True, 5, True),
        (True, False, True, 5, False),
        (True, True, False, 5, False),
        (True, True, True, 4, False),
    ],
    ids=["device", "device-written", "device-read", "no-device", "abi-4"],
)
@pytest.mark.parametrize("is_dir", [True, False], ids=["directory", "node"])
def test_device_ioctl_goes_with_writing_to_a_device_from_abi_5(
    reads: bool, writes: bool, is_device: bool, abi: int, has_ioctl: bool, is_dir: bool
) -> None:
    assert bool(access_rights(reads, writes, is_dir, is_device, abi) & IOCTL_DEV) is has_ioctl


@given(reads=st.booleans(), writes=st.booleans(), is_dir=st.booleans(), is_device=st.booleans(), abi=abis)
def test_a_rule_never_has_a_right_that_its_ruleset_or_inode_cannot_take(
    reads: bool, writes: bool, is_dir: bool, is_device: bool, abi: int
) -> None:
    rights = access_rights(reads, writes, is_dir, is_device, abi)
    assert rights & ~HANDLED_FS[abi] == 0
    assert is_dir or rights & ~FILE_RIGHTS == 0


@given(is_dir=st.booleans(), is_device=st.booleans(), abi=abis)
def test_reading_and_writing_is_the_union_of_both(is_dir: bool, is_device: bool, abi: int) -> None:
    reading = access_rights(True, False, is_dir, is_device, abi)
    writing = access_rights(False, True, is_dir, is_device, abi)
    assert access_rights(True, True, is_dir, is_device, abi) == reading | writing
    assert reading & writing == 0


def test_the_handled_masks_are_those_of_each_abi() -> None:
    assert HANDLED_FS == (0, 0x1FFF, 0x3FFF, 0x7FFF, 0x7FFF, 0xFFFF, 0xFFFF, 0xFFFF)
    assert HANDLED_NET == (0, 0, 0, 0, 3, 3, 3, 3)
    assert SCOPES == (0, 0, 0, 0, 0, 0, 3, 3)


def test_an_abi_that_is_not_known_is_an_error() -> None:
    with pytest.raises(IndexError):
        access_rights(True, True, True, True, KNOWN_ABI + 1)
