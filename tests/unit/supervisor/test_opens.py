"""What a trapped open asks for, and what becomes of it."""

from __future__ import annotations

import errno
import os
import struct

import pytest

from nono.kernel.uapi import open as uapi
from nono.policy.capability import Access, Denial, Grant
from nono.policy.files.denials import DenyRules
from nono.policy.files.grants import GrantTable
from nono.policy.files.path_verdict import PROBED, FilePolicy
from nono.supervisor.verdict.open_call import OpenCall, parse_open_how, registers
from nono.supervisor.verdict.open_verdict import Ask, Found, Leave, Refuse, judge_open

FD_CWD = 0xFFFFFF9C


@pytest.mark.parametrize("cwd", [FD_CWD, 0xFFFFFFFFFFFFFF9C, 0x12345678_FFFFFF9C])
def test_the_current_directory_is_the_same_in_half_a_register(cwd: int) -> None:
    assert registers("openat", (cwd, 16, 0, 0, 0, 0)).directory == uapi.AT_FDCWD


def test_an_open_is_read_from_the_registers_of_its_call() -> None:
    args = (3, 16, 0o1 | 0xF << 32, 24, 0, 0)
    assert registers("openat", args) == (3, 16, 0o1, None, 0)
    assert registers("open", (16, 0o2, 0, 0, 0, 0)) == (uapi.AT_FDCWD, 16, 0o2, None, 0)
    assert registers("creat", (16, 0o600, 0, 0, 0, 0)) == (uapi.AT_FDCWD, 16, 0o1101, None, 0)
    assert registers("openat2", args) == (3, 16, 0, 0o1 | 0xF << 32, 24)
    with pytest.raises(ValueError, match="opens nothing"):
        registers("connect", args)


@pytest.mark.parametrize(
    ("flags", "access"),
    [
        (os.O_RDONLY, Access.READ),
        (os.O_WRONLY, Access.WRITE),
        (os.O_RDWR, Access.READWRITE),
        (3, Access.READWRITE),
        (os.O_RDONLY | os.O_TRUNC, Access.READWRITE),
        (os.O_WRONLY | os.O_TRUNC, Access.WRITE),
        (os.O_RDONLY | os.O_CREAT, Access.READ),
    ],
)
def test_the_access_follows_from_the_flags(flags: int, access: Access) -> None:
    assert OpenCall(3, b"x", flags).access is access


@pytest.mark.parametrize("size", [0, 8, 23, 4097])
def test_an_open_how_of_another_size_is_none(size: int) -> None:
    with pytest.raises(ValueError, match="open_how"):
        parse_open_how(bytes(size))


def test_an_open_how_may_be_longer_with_zeros_only() -> None:
    packed = struct.pack("=QQQ", 0o2, 0, 4)
    assert parse_open_how(packed) == parse_open_how(packed + bytes(4072)) == (0o2, 0, 4)
    with pytest.raises(ValueError, match="later kernel"):
        parse_open_how(packed + b"\1")


ROOT = "/home/ada/.local/state/nono"
POLICY = FilePolicy(
    GrantTable(
        [
            Grant("/work", Access.READWRITE, True, "user", "/work"),
            Grant("/usr", Access.READ, True, "group:x", "/usr"),
            Grant("/etc/hosts", Access.READ, False, "user", "/etc/hosts"),
        ]
    ),
    DenyRules(
        (Denial("/work/.env", "/work/.env", "profile p"), Denial("/home/ada/.ssh", "~/.ssh", "group:x"))
    ),
    ((ROOT, ROOT),),
    GrantTable([Grant(f"{ROOT}/ca.pem", Access.READ, False, "system", "x")]),
)


def verdict(path: str, flags: int = os.O_RDONLY, **more: object) -> object:
    found = Found(path, **{"kind": "file", **more})  # type: ignore[arg-type]  # as the table has them
    return judge_open(OpenCall(3, b"x", flags), found, POLICY)


@pytest.mark.parametrize("path", ["/work/file", "/usr/lib/x", "/etc/hosts", f"{ROOT}/ca.pem"])
def test_what_is_granted_is_left_to_the_kernel(path: str) -> None:
    assert verdict(path) == Leave()


@pytest.mark.parametrize(
    ("path", "flags", "reason"),
    [
        ("/work/.env", os.O_RDONLY, "'/work/.env' is denied by profile p"),
        ("/home/ada/.ssh/id", os.O_RDONLY, "'~/.ssh' is denied by group:x"),
        ("/usr/lib/x", os.O_WRONLY, "granted for read only"),
        ("/usr/lib/x", os.O_RDONLY | os.O_TRUNC, "granted for read only"),
        ("/etc/hosts", os.O_RDWR, "granted for read only"),
        (f"{ROOT}/audit/x", os.O_RDONLY, f"'{ROOT}' is a protected nono state root; nothing grants it"),
        (f"{ROOT}/ca.pem", os.O_RDWR, f"'{ROOT}' is a protected nono state root; nothing grants it"),
    ],
)
def test_what_a_rule_decides_is_refused_without_asking(path: str, flags: int, reason: str) -> None:
    refused = verdict(path, flags)
    assert isinstance(refused, Refuse)
    assert refused.reason == reason


def test_beside_limits_nobody_is_asked_about_writing_what_holds_them() -> None:
    def judged(path: str, flags: int) -> object:
        policy = POLICY._replace(limits=("/sys/fs/cgroup",))
        return judge_open(OpenCall(3, b"x", flags), Found(path, "file"), policy)

    inside = "/sys/fs/cgroup/x.scope/nono.7/memory.max"
    for flags, access in ((os.O_WRONLY, Access.WRITE), (os.O_RDWR, Access.READWRITE)):
        assert judged(inside, flags) == Refuse(inside, access, "the limits of this run are held there")
    assert judged(inside, os.O_RDONLY) == Ask(Access.READ)
    assert judged("/sys/fs/cgroups", os.O_WRONLY) == Ask(Access.WRITE)
    assert verdict(inside, os.O_WRONLY) == Ask(Access.WRITE)


@pytest.mark.parametrize("path", ["/", "/home", "/home/ada/.local/state"])
def test_a_directory_that_leads_to_nonos_state_is_refused(path: str) -> None:
    refused = verdict(path, kind="directory")
    assert isinstance(refused, Refuse)
    assert ROOT in refused.reason
    assert verdict("/srv", kind="directory") == Ask(Access.READ)


def test_only_process_entries_of_proc_are_refused_unasked() -> None:
    assert isinstance(verdict("/proc/7/status", is_process_entry=True), Refuse)
    assert verdict("/proc/sys/kernel/hostname") == Ask(Access.READ)


@pytest.mark.parametrize("path", ["/srv/file", "/etc/hostsx", "/workx", "/work.env"])
def test_everything_else_is_asked_about(path: str) -> None:
    assert verdict(path, os.O_RDWR) == Ask(Access.READWRITE)


@pytest.mark.parametrize(
    ("flags", "kind", "answer"),
    [
        (os.O_RDWR, "directory", errno.EISDIR),
        (os.O_CREAT, "directory", errno.EISDIR),
        (os.O_CREAT | os.O_EXCL, "file", errno.EEXIST),
        (os.O_RDONLY, None, errno.ENXIO),
    ],
)
def test_what_fails_by_itself_is_left_to_the_kernel(flags: int, kind: str | None, answer: int) -> None:
    assert verdict("/srv/x", flags, kind=kind) == Leave(), errno.errorcode[answer]


@pytest.mark.parametrize("path", sorted(PROBED))
def test_nobody_is_asked_about_what_the_c_library_probes(path: str) -> None:
    assert verdict(path) == Leave()
