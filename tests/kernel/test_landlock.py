"""Landlock, applied for real: every ABI's masks, a path beside a path, a port beside a port."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import termios
from pathlib import Path

import pytest

from nono.kernel import landlock
from nono.kernel.landlock_rights import (
    HANDLED_FS,
    HANDLED_NET,
    KNOWN_ABI,
    RESTRICT_FLAGS,
    SCOPES,
    access_rights,
)
from nono.kernel.libc import prctl
from nono.kernel.uapi.landlock import (
    LANDLOCK_ACCESS_NET_BIND_TCP,
    LANDLOCK_ACCESS_NET_CONNECT_TCP,
    LANDLOCK_RESTRICT_SELF_LOG_SUBDOMAINS_OFF,
    LANDLOCK_SCOPE_SIGNAL,
)
from nono.kernel.uapi.process import PR_GET_NO_NEW_PRIVS
from support.forked import errno_of, in_child

ABI = landlock.abi_version()


def needs_abi(abi: int) -> pytest.MarkDecorator:
    return pytest.mark.skipif(abi > ABI, reason=f"this kernel has Landlock ABI {ABI}")


def allow(ruleset: int, path: Path, reads: bool, writes: bool) -> None:
    parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        landlock.add_path_beneath(ruleset, parent, access_rights(reads, writes, path.is_dir(), False, ABI))
    finally:
        os.close(parent)


def test_the_abi_is_one_that_nono_has_tables_for() -> None:
    assert 0 <= ABI <= KNOWN_ABI


@pytest.mark.parametrize("abi", [pytest.param(abi, marks=needs_abi(abi)) for abi in range(1, KNOWN_ABI + 1)])
def test_the_kernel_takes_everything_that_an_abi_handles(abi: int) -> None:
    ruleset = landlock.create_ruleset(HANDLED_FS[abi], HANDLED_NET[abi], SCOPES[abi])
    try:
        assert not os.get_inheritable(ruleset)
    finally:
        os.close(ruleset)


@needs_abi(1)
@pytest.mark.parametrize(
    ("masks", "expected"),
    [((0, 0, 0), errno.ENOMSG), ((1 << 40, 0, 0), errno.EINVAL), ((1, 1 << 40, 0), errno.EINVAL)],
    ids=["nothing", "unknown-fs", "unknown-net"],
)
def test_a_ruleset_that_the_kernel_cannot_hold_is_an_error(
    masks: tuple[int, int, int], expected: int
) -> None:
    if masks[1] and ABI < 4:
        expected = errno.E2BIG
    assert errno_of(lambda: landlock.create_ruleset(*masks)) == expected


@needs_abi(1)
@pytest.mark.parametrize("abi", [pytest.param(abi, marks=needs_abi(abi)) for abi in range(1, KNOWN_ABI + 1)])
@pytest.mark.parametrize("is_dir", [True, False], ids=["directory", "file"])
def test_the_kernel_takes_the_rights_of_every_grant(abi: int, is_dir: bool, tmp_path: Path) -> None:
    path = tmp_path if is_dir else tmp_path / "file"
    if not is_dir:
        path.touch()
    ruleset = landlock.create_ruleset(HANDLED_FS[abi])
    parent = os.open(path, os.O_PATH)
    try:
        for reads, writes, is_device in ((1, 0, 0), (0, 1, 0), (1, 1, 0), (1, 1, 1)):
            rights = access_rights(bool(reads), bool(writes), is_dir, bool(is_device), abi)
            landlock.add_path_beneath(ruleset, parent, rights)
    finally:
        os.close(parent)
        os.close(ruleset)


@needs_abi(1)
def test_a_directory_right_on_a_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ruleset = landlock.create_ruleset(HANDLED_FS[1])
    parent = os.open(tmp_path / "file", os.O_PATH)
    try:
        with pytest.raises(OSError, match=r"landlock_add_rule\(path_beneath, access=0xd\): .* \[EINVAL\]"):
            landlock.add_path_beneath(ruleset, parent, access_rights(True, False, True, False, 1))
    finally:
        os.close(parent)
        os.close(ruleset)


@needs_abi(1)
def test_a_granted_file_is_read_and_its_neighbour_is_not(tmp_path: Path) -> None:
    for name in ("granted", "neighbour"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)

    def read_both() -> list[int]:
        ruleset = landlock.create_ruleset(HANDLED_FS[ABI])
        allow(ruleset, tmp_path / "granted", reads=True, writes=False)
        landlock.restrict_self(ruleset)
        os.close(ruleset)
        return [
            errno_of((tmp_path / "granted" / "file").read_bytes),
            errno_of((tmp_path / "neighbour" / "file").read_bytes),
            errno_of(lambda: (tmp_path / "granted" / "file").write_bytes(b"")),
            prctl(PR_GET_NO_NEW_PRIVS, tried="get"),
        ]

    assert in_child(read_both) == [0, errno.EACCES, errno.EACCES, 1]


def move_and_remove(tree: Path) -> list[int]:
    moved = errno_of(lambda: os.rename(tree / "a" / "sub", tree / "b" / "moved"))
    return [moved, errno_of(lambda: os.rmdir(tree / "b" / "sub"))]


@needs_abi(2)
def test_only_a_written_tree_can_be_rearranged(tmp_path: Path) -> None:
    for tree in ("written", "read"):
        for name in ("a", "b"):
            (tmp_path / tree / name / "sub").mkdir(parents=True)

    def rearrange() -> list[int]:
        ruleset = landlock.create_ruleset(HANDLED_FS[ABI])
        allow(ruleset, tmp_path / "written", reads=True, writes=True)
        allow(ruleset, tmp_path / "read", reads=True, writes=False)
        landlock.restrict_self(ruleset)
        return [*move_and_remove(tmp_path / "written"), *move_and_remove(tmp_path / "read")]

    moved, removed, not_moved, not_removed = in_child(rearrange)
    assert (moved, removed) == (0, 0)
    assert not_moved in (errno.EACCES, errno.EXDEV)
    assert not_removed == errno.EACCES


def connect_errno(port: int) -> int:
    return errno_of(lambda: socket.create_connection(("127.0.0.1", port)).close())


def bind_errno(port: int) -> int:
    with socket.socket() as server:
        return errno_of(lambda: server.bind(("127.0.0.1", port)))


@needs_abi(4)
def test_a_granted_port_is_reached_and_its_neighbour_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as granted, socket.create_server(("127.0.0.1", 0)) as other:
        ports = granted.getsockname()[1], other.getsockname()[1]

        def connect_and_bind() -> list[int]:
            ruleset = landlock.create_ruleset(0, HANDLED_NET[ABI])
            landlock.add_net_port(ruleset, ports[0], LANDLOCK_ACCESS_NET_CONNECT_TCP)
            landlock.add_net_port(ruleset, 0, LANDLOCK_ACCESS_NET_BIND_TCP)
            landlock.restrict_self(ruleset)
            return [
                connect_errno(ports[0]),
                connect_errno(ports[1]),
                bind_errno(0),
                bind_errno(ports[1]),
            ]

        assert in_child(connect_and_bind) == [0, errno.EACCES, 0, errno.EACCES]


@needs_abi(4)
@pytest.mark.parametrize(
    ("port", "net", "expected"),
    [(443, 3, 0), (65536, 3, errno.EINVAL), (443, 0, errno.EINVAL)],
    ids=["port", "no-port", "net-not-handled"],
)
def test_a_port_rule_needs_a_port_and_a_ruleset_that_handles_ports(
    port: int, net: int, expected: int
) -> None:
    ruleset = landlock.create_ruleset(HANDLED_FS[1], net)
    try:
        add = LANDLOCK_ACCESS_NET_CONNECT_TCP
        assert errno_of(lambda: landlock.add_net_port(ruleset, port, add)) == expected
    finally:
        os.close(ruleset)


@needs_abi(6)
@pytest.mark.parametrize(("scoped", "expected"), [(LANDLOCK_SCOPE_SIGNAL, errno.EPERM), (0, 0)])
def test_a_signal_leaves_the_sandbox_only_without_the_scope(scoped: int, expected: int) -> None:
    parent = os.getpid()

    def signal_parent() -> list[int]:
        landlock.restrict_self(landlock.create_ruleset(HANDLED_FS[1], 0, scoped))
        return [errno_of(lambda: os.kill(parent, 0)), errno_of(lambda: os.kill(os.getpid(), signal.SIGCONT))]

    assert in_child(signal_parent) == [expected, 0]


@needs_abi(1)
@pytest.mark.parametrize("abi", range(1, KNOWN_ABI + 1))
def test_the_kernel_takes_only_the_flags_of_its_abi(abi: int) -> None:
    def restrict(flags: int) -> int:
        ruleset = landlock.create_ruleset(HANDLED_FS[1])
        return errno_of(lambda: landlock.restrict_self(ruleset, flags))

    newer = RESTRICT_FLAGS[abi] and abi > ABI
    assert in_child(lambda: restrict(RESTRICT_FLAGS[abi])) == (errno.EINVAL if newer else 0)
    assert in_child(lambda: restrict(1 << 31)) == errno.EINVAL
    assert bool(RESTRICT_FLAGS[abi] & LANDLOCK_RESTRICT_SELF_LOG_SUBDOMAINS_OFF) == (abi >= 7)


@needs_abi(5)
@pytest.mark.parametrize(
    ("abi", "writes", "is_device", "expected"),
    [
        pytest.param(5, True, True, errno.ENOTTY, id="granted: the device itself answers"),
        pytest.param(5, True, False, errno.EACCES, id="not taken for a device"),
        pytest.param(5, False, True, errno.EACCES, id="granted to read"),
        pytest.param(4, False, False, errno.ENOTTY, id="V4 does not restrict it"),
    ],
)
def test_ioctl_on_a_device_needs_a_grant_to_write_it(
    abi: int, writes: bool, is_device: bool, expected: int
) -> None:
    def ask_device() -> int:
        ruleset = landlock.create_ruleset(HANDLED_FS[abi])
        parent = os.open("/dev/null", os.O_PATH | os.O_CLOEXEC)
        landlock.add_path_beneath(ruleset, parent, access_rights(True, writes, False, is_device, abi))
        landlock.restrict_self(ruleset)
        device = os.open("/dev/null", os.O_RDONLY)
        return errno_of(lambda: fcntl.ioctl(device, termios.TCGETS, bytes(64)))

    assert in_child(ask_device) == expected
