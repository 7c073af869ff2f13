"""Unix sockets: what the supervisor reads of a caller, and what it leaves as it was."""

from __future__ import annotations

import errno
import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from unittest.mock import Mock

import pytest

from nono.kernel import open_path
from nono.kernel.notify import Notification
from nono.policy.capability import Access, Denial, Grant
from nono.policy.files.denials import DenyRules
from nono.policy.files.unix_sockets import UnixSocketRules
from nono.policy.socket_grant import SocketGrant, SocketScope
from nono.supervisor.calls import caller_paths
from nono.supervisor.calls.caller import CallerContext, caller_context, open_root
from nono.supervisor.calls.caller_paths import CallerPaths
from nono.supervisor.calls.unix import UnixCalls, _bind_in, _own_directory_and_umask
from nono.supervisor.verdict.adjudicator import Refuse
from nono.supervisor.verdict.syscall_args import UnixAddress


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_the_callers_mode_is_applied_without_changing_the_process(tmp_path: Path, umask: int) -> None:
    before, mask = os.getcwd(), os.umask(0o027)
    os.umask(mask)
    directory = os.open(tmp_path, os.O_PATH)
    try:
        with socket.socket(socket.AF_UNIX) as made, socket.socket(socket.AF_UNIX) as second:
            _bind_in(made, directory, b"s", umask)
            assert made.getsockname() == "s"
            assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o777 & ~umask
            with pytest.raises(OSError, match="in use"):
                _bind_in(second, directory, b"s", umask)
    finally:
        os.close(directory)
    after = os.umask(mask)
    assert (os.getcwd(), after) == (before, mask)


def test_a_refused_unshare_is_no_reason_to_bind_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "unshare", refuse)
    _own_directory_and_umask()


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the threads whose context was read."""
    seen: list[int] = []

    def look(tid: int) -> CallerContext:
        seen.append(tid)
        return caller_context(tid)

    monkeypatch.setattr(caller_paths, "caller_context", look)
    return seen


@pytest.fixture
def calls(tmp_path: Path) -> Iterator[UnixCalls]:
    """Yield the calls of this process, which may reach nothing below `denied`."""
    me = os.getpid()
    denied = Denial(str(tmp_path / "denied"), str(tmp_path / "denied"), "profile p, filesystem.deny")
    rules = UnixSocketRules(deny_rules=DenyRules((denied,)))
    paths = CallerPaths(caller_context(me), open_root(me))
    with closing(UnixCalls(paths, rules, Mock(), Mock(), Mock(), Mock(), Mock())) as made:
        yield made


CALL = Notification(1, os.getpid(), 0, 0, 0, (0,) * 6)


def test_a_server_that_does_not_exist_costs_one_look_at_the_caller(
    calls: UnixCalls, tmp_path: Path, looked_at: list[int]
) -> None:
    assert calls.connect(CALL, UnixAddress(os.fsencode(tmp_path / "none"))) == errno.ENOENT
    assert looked_at == [CALL.tid]


def test_a_missing_path_that_leads_to_a_denied_directory_is_refused(
    calls: UnixCalls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "denied").mkdir()
    (tmp_path / "link").symlink_to("denied")
    monkeypatch.chdir(tmp_path)
    refused = [calls.connect(CALL, UnixAddress(path)) for path in (b"link/none", b"denied/none")]
    assert all(isinstance(answer, Refuse) for answer in refused)
    assert calls.connect(CALL, UnixAddress(b"other/none")) == errno.ENOENT


def test_a_caller_whose_working_directory_is_gone_is_told_so(
    calls: UnixCalls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(_: CallerPaths, tid: int, path: bytes) -> bytes:
        raise FileNotFoundError(errno.ENOENT, "gone")

    monkeypatch.setattr(CallerPaths, "absolute", lost)
    assert calls.connect(CALL, UnixAddress(b"none")) == errno.ENOENT


def gone_once_opened(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Remove `path` between the look-up and the verdict, as another thread of the caller can."""
    opened = open_path.open_in_root

    def open_and_remove(root: int, name: bytes, *, directory: bool = False) -> int:
        descriptor = opened(root, name, directory=directory)
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
        return descriptor

    monkeypatch.setattr(open_path, "open_in_root", open_and_remove)


def test_a_denied_socket_that_is_removed_meanwhile_is_not_reached(
    calls: UnixCalls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel calls it "denied (deleted)" then, which no rule denies, and still connects to it."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "denied"))
        server.listen()
        server.setblocking(False)
        assert isinstance(calls.connect(CALL, UnixAddress(os.fsencode(tmp_path / "denied"))), Refuse)
        gone_once_opened(monkeypatch, tmp_path / "denied")
        answer = calls.connect(CALL, UnixAddress(os.fsencode(tmp_path / "denied")))
        assert answer == errno.ECONNREFUSED
        with pytest.raises(BlockingIOError):
            server.accept()


def test_nothing_is_bound_in_a_directory_that_is_removed_meanwhile(
    calls: UnixCalls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "denied").mkdir()
    address = UnixAddress(os.fsencode(tmp_path / "denied/s"))
    assert isinstance(calls.bind(CALL, address), Refuse)
    gone_once_opened(monkeypatch, tmp_path / "denied")
    assert calls.bind(CALL, address) == errno.ENOENT


def test_a_socket_is_bound_once_there_is_a_thread_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    me, trapped = os.getpid(), Mock()
    trapped.socket.side_effect = lambda _: socket.socket(socket.AF_UNIX)
    rules = UnixSocketRules(
        (SocketGrant(str(tmp_path), SocketScope.DIR_CHILDREN, True, "user", str(tmp_path)),)
    )
    paths = CallerPaths(caller_context(me), open_root(me))
    with closing(UnixCalls(paths, rules, trapped, Mock(), Mock(), Mock(), Mock())) as calls:
        address = UnixAddress(os.fsencode(tmp_path / "s"))
        with monkeypatch.context() as limited:
            limited.setattr(threading.Thread, "start", no_thread)
            assert calls.bind(CALL, address) == errno.EAGAIN
        assert not (tmp_path / "s").exists()
        assert calls.bind(CALL, address) == 0
        assert (tmp_path / "s").is_socket()


def test_a_listening_socket_is_its_own_only_where_one_may_be_bound(tmp_path: Path) -> None:
    me, place = os.getpid(), tmp_path / "written"
    place.mkdir()
    rules = UnixSocketRules(written=(Grant(str(place), Access.WRITE, True, "user", str(place)),))
    paths = CallerPaths(caller_context(me), open_root(me))
    with closing(UnixCalls(paths, rules, Mock(), Mock(), Mock(), Mock(), Mock())) as calls:
        for path, is_own in ((place / "own", True), (tmp_path / "own", False)):
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(str(path))
                calls.will_listen(CALL, made, UnixAddress(os.fsencode(path)))
            descriptor = os.open(path, os.O_PATH)
            assert calls._own.holds(descriptor) is is_own
            os.close(descriptor)
