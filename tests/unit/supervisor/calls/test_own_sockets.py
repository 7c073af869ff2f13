"""nono.supervisor.calls.own_sockets: which file counts as that of a socket of the command."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from nono.kernel.sock_diag import BoundFile, bound_file
from nono.supervisor.calls import own_sockets
from nono.supervisor.calls.own_sockets import OwnSockets, device_of_mount


@pytest.fixture
def bound(tmp_path: Path) -> Iterator[tuple[socket.socket, int]]:
    """Yield a bound socket and a descriptor of its file."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "s"))
        descriptor = os.open(tmp_path / "s", os.O_PATH)
        yield made, descriptor
        os.close(descriptor)


def is_held(made: socket.socket, descriptor: int) -> bool:
    with closing(OwnSockets()) as own:
        own.add(made, descriptor, os.getpid())
        return own.holds(descriptor)


def test_the_file_of_a_listening_socket_is_its_own(bound: tuple[socket.socket, int]) -> None:
    assert is_held(*bound)


def test_a_file_of_the_same_number_on_another_file_system_is_not(
    bound: tuple[socket.socket, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, descriptor = bound
    found = bound_file(os.fstat(made.fileno()).st_ino)
    assert found is not None
    elsewhere = BoundFile(found.inode, (found.device[0], found.device[1] + 1))
    monkeypatch.setattr(own_sockets, "bound_file", lambda _: elsewhere)
    assert not is_held(made, descriptor)
    monkeypatch.setattr(own_sockets, "device_of_mount", lambda *_: elsewhere.device)
    assert is_held(made, descriptor)  # as on btrfs, where stat(2) tells another device


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_a_file_at_which_somebody_listens_already_is_not(
    bound: tuple[socket.socket, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: int
) -> None:
    made, _ = bound
    with socket.socket(socket.AF_UNIX, kind) as foreign:
        foreign.bind(str(tmp_path / "foreign"))
        descriptor = os.open(tmp_path / "foreign", os.O_PATH)
        theirs = bound_file(os.fstat(foreign.fileno()).st_ino)
        monkeypatch.setattr(own_sockets, "bound_file", lambda _: theirs)
        foreign.listen(0)
        assert not is_held(made, descriptor)
        foreign.settimeout(0)
        with pytest.raises(BlockingIOError):
            foreign.accept()
        os.close(descriptor)


def test_a_socket_of_each_kind_is_its_own(tmp_path: Path) -> None:
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
        with socket.socket(socket.AF_UNIX, kind) as made:
            made.bind(str(tmp_path / str(kind)))
            descriptor = os.open(tmp_path / str(kind), os.O_PATH)
            assert is_held(made, descriptor)
            os.close(descriptor)


def test_a_file_of_which_the_kernel_says_nothing_is_not(
    bound: tuple[socket.socket, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_sockets, "bound_file", lambda _: None)
    assert not is_held(*bound)


def test_a_bounded_number_of_files_is_kept_and_a_removed_one_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_sockets, "KEPT_MAX", 1)
    with closing(OwnSockets()) as own, ExitStack() as stack:

        def is_kept(name: str) -> bool:
            made = stack.enter_context(socket.socket(socket.AF_UNIX))
            made.bind(str(tmp_path / name))
            descriptor = os.open(tmp_path / name, os.O_PATH)
            stack.callback(os.close, descriptor)
            own.add(made, descriptor, os.getpid())
            return own.holds(descriptor)

        assert [is_kept("first"), is_kept("second")] == [True, False]
        (tmp_path / "first").unlink()
        assert is_kept("third")


def test_a_file_of_another_number_is_not(
    bound: tuple[socket.socket, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, descriptor = bound
    found = bound_file(os.fstat(made.fileno()).st_ino)
    assert found is not None
    monkeypatch.setattr(own_sockets, "bound_file", lambda _: found._replace(inode=found.inode ^ 1))
    assert not is_held(made, descriptor)


def test_the_device_of_a_file_is_that_of_its_mount(bound: tuple[socket.socket, int]) -> None:
    _, descriptor = bound
    text = Path("/proc/self/mountinfo").read_text()
    devices = {line.split()[2] for line in text.splitlines()}
    device = device_of_mount(descriptor, os.getpid())
    assert device is not None
    assert f"{device[0]}:{device[1]}" in devices
    with pytest.raises(OSError, match="No such"):
        device_of_mount(descriptor, 2**22 + 1)  # beyond the numbers of processes
