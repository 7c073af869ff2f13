"""Sizes and counts of --memory and --max-processes, and the grants that cannot stand beside them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.errors import SandboxError, UsageError
from nono.policy.capability import Access, Grant, Limits
from nono.policy.limits import (
    PROCESSES_MAX,
    limits_of,
    memory_size,
    process_count,
    refuse_lifting,
    shown_size,
)

MIB = 1 << 20


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1M", MIB),
        ("1048576", MIB),
        ("1048576b", MIB),
        ("1024K", MIB),
        ("1024Ki", MIB),
        ("1024kib", MIB),
        ("512m", 512 * MIB),
        ("512MiB", 512 * MIB),
        ("512MB", 512_000_000),
        ("2G", 2048 * MIB),
        ("2gb", 2_000_000_000),
        ("1T", 1 << 40),
        ("1TiB", 1 << 40),
        ("1TB", 10**12),
        ("007M", 7 * MIB),
        ("0000000000000000000000007M", 7 * MIB),
    ],
)
def test_a_size_is_a_whole_number_and_a_unit(text: str, size: int) -> None:
    assert memory_size(text) == size


@pytest.mark.parametrize(
    "text",
    [
        *("M", "1.5G", "1,5G", "-1G", "+1G", "1 G", " 1G", "1G ", "1_000M", "1e9", "0x10M", "max", "1P"),
        *("1Q", "1MM", "1Mi B", "1BB", "1iB", "1Bi", "1bK", "\N{FULLWIDTH DIGIT ONE}M", "²M", "1M\n", ""),
    ],
)
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        memory_size(text)


@pytest.mark.parametrize("text", ["9" * 5000 + "M", f"{1 << 63}", "8388608T", "99999999999999999999"])
def test_a_size_that_no_kernel_takes_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="more than any machine"):
        memory_size(text)


def test_the_largest_size_is_one() -> None:
    assert memory_size(f"{(1 << 63) - 1}") == (1 << 63) - 1


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("512", "did you mean 512M?"),
        ("1023K", "did you mean 1023M?"),
        ("1MB", "did you mean 1M?"),
        ("0", "leave --memory out for no limit"),
        ("0G", "leave --memory out for no limit"),
    ],
)
def test_less_than_a_mebibyte_is_a_forgotten_unit(text: str, hint: str) -> None:
    with pytest.raises(UsageError, match="less than 1 MiB") as refused:
        memory_size(text)
    assert refused.value.hint == hint


@given(st.text(max_size=12))
def test_no_text_makes_a_size_below_the_minimum(text: str) -> None:
    with suppress(UsageError):
        assert memory_size(text) >= MIB


@pytest.mark.parametrize("count", [1, 64, PROCESSES_MAX])
def test_a_count_is_a_number_that_the_kernel_takes(count: int) -> None:
    assert process_count(str(count)) == count


@pytest.mark.parametrize(
    "text",
    [
        *("0", "", "-1", "+1", "1.0", "1k", "max", "\N{FULLWIDTH DIGIT ONE}", f"{PROCESSES_MAX + 1}"),
        "9" * 5000,
    ],
)
def test_no_other_count_is_one(text: str) -> None:
    with pytest.raises(UsageError, match="is not a number from 1 to 4194304"):
        process_count(text)


def test_each_limit_needs_its_controller() -> None:
    assert limits_of(None, None).controllers == frozenset()
    assert not limits_of(None, None).is_set
    assert limits_of("1M", None).controllers == {"memory"}
    assert limits_of(None, "1").controllers == {"pids"}
    assert limits_of("1M", "1") == Limits(MIB, 1)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (MIB - 1, "1023.9 KiB"),
        (512 * MIB, "512 MiB"),
        (512_000_000, "488.2 MiB"),
        (1536 * MIB, "1.5 GiB"),
        (3 << 40, "3 TiB"),
    ],
)
def test_a_size_is_shown_in_the_unit_that_fits(size: int, text: str) -> None:
    assert shown_size(size) == text


def grant(path: str, access: Access) -> Grant:
    return Grant(path, access, True, "user", path)


@pytest.mark.parametrize("access", [Access.WRITE, Access.READWRITE])
@pytest.mark.parametrize("path", ["/", "/sys", "/sys/fs", "/sys/fs/cgroup", "/sys/fs/cgroup/x.scope"])
def test_a_grant_to_write_in_or_above_cgroups_is_refused_beside_limits(path: str, access: Access) -> None:
    with pytest.raises(SandboxError, match="could lift its own limits"):
        refuse_lifting(Limits(MIB), [grant(path, access)])
    refuse_lifting(Limits(), [grant(path, access)])
    refuse_lifting(Limits(MIB), [grant(path, Access.READ)])


@pytest.mark.parametrize("path", ["/sys/fs/cgroup2", "/sys/fs/cgrou", "/sys/kernel", "/srv"])
def test_a_grant_beside_them_is_not(path: str) -> None:
    refuse_lifting(Limits(MIB), [grant(path, Access.READWRITE)])


def test_wherever_cgroups_are_mounted() -> None:
    with pytest.raises(SandboxError, match="reaches /mnt/cgroups"):
        refuse_lifting(Limits(None, 1), [grant("/mnt", Access.WRITE)], "/mnt/cgroups")
