"""A caller that does not get to run keeps nobody from its answer but itself, files included."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import anyio
import pytest
from anyio.abc import TaskGroup

from nono.approval.request import Answer, Request
from nono.audit.event import Event, part
from nono.kernel import notify
from nono.kernel.notify import Notification
from nono.kernel.uapi.open import AT_FDCWD
from nono.policy.capability import Access, Grant
from nono.policy.files.denials import DenyRules
from nono.policy.files.grants import GrantTable
from nono.policy.files.path_verdict import FilePolicy
from nono.supervisor.calls import handover
from nono.supervisor.calls.caller import caller_context
from nono.supervisor.opens.handler import Command, FileOpens
from nono.supervisor.opens.instruction_files import InstructionFiles
from nono.supervisor.opens.thread_names import ThreadNames
from nono.trust.disk.check import Checked
from nono.trust.policy import TrustPolicy
from nono.trust.verdict import Trust

TIMEOUT_S = 10


class _Opens(Protocol):
    def serve(self, notification: Notification, name: str) -> None: ...

    def close(self) -> None: ...


class Stage:
    """A caller of this process's own that does not get to run until the loop has gone on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.listener, self._other_end = os.pipe()
        self.events: list[Event] = []
        self.command = Command(os.open("/", os.O_PATH | os.O_CLOEXEC), caller_context(os.getpid()))
        self.goes_on = threading.Event()
        self.has_gone_on = False
        self.meanwhile: Callable[[], object] = lambda: None  # called while the file is handed over
        self.is_handed_over = threading.Event()
        self.given = asyncio.Event()  # that, or the call was refused
        self.answer: int | None = None  # the errno of a call that was refused
        monkeypatch.setattr(notify, "is_valid", lambda listener, number: True)
        monkeypatch.setattr(notify, "respond_with_descriptor", self._respond)
        monkeypatch.setattr(notify, "respond", self._fail)

    def close(self) -> None:
        for each in (self.listener, self._other_end, self.command.root):
            os.close(each)

    def _respond(self, listener: int, number: int, descriptor: int, **_: object) -> None:
        self.loop.call_soon_threadsafe(self.goes_on.set)
        self.has_gone_on = self.goes_on.wait(TIMEOUT_S / 10)
        self.path = os.readlink(f"/proc/self/fd/{descriptor}")
        self.meanwhile()
        self.path_afterwards = os.readlink(f"/proc/self/fd/{descriptor}")
        self.is_handed_over.set()
        self.loop.call_soon_threadsafe(self.given.set)

    def _fail(self, listener: int, number: int, *, errno_value: int) -> None:
        self.answer = errno_value
        self.given.set()

    async def open(self, opens: _Opens, path: str, flags: int) -> None:
        """Have this thread's open served, and go on while it is."""
        self.serve(opens, path, flags)
        async with asyncio.timeout(TIMEOUT_S):
            await self.given.wait()

    def serve(self, opens: _Opens, path: str, flags: int) -> None:
        self.loop = asyncio.get_running_loop()
        text = ctypes.create_string_buffer(os.fsencode(path))
        args = (AT_FDCWD & 0xFFFFFFFF, ctypes.addressof(text), flags, 0, 0, 0)
        opens.serve(Notification(1, threading.get_native_id(), 0, 0, 0, args), "openat")


@contextmanager
def staged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    stage = Stage(monkeypatch)
    try:
        yield stage
    finally:
        stage.close()


def approving(project: Path) -> Trust:
    """Return what trusts CLAUDE.md of the project as it is."""
    digest = sha256((project / "CLAUDE.md").read_bytes()).hexdigest()
    return Trust(TrustPolicy(("CLAUDE.md",)), (), {"CLAUDE.md": digest})


def instruction_files(
    stage: Stage, tasks: TaskGroup, project: Path, trust: Trust | None = None
) -> InstructionFiles:
    file = Grant(str(project), Access.READ, True, "user", str(project))
    files = FilePolicy(GrantTable([file]), DenyRules((), ()), (), GrantTable([]))
    checked = Checked(str(project), trust or approving(project), ())
    return InstructionFiles(
        stage.listener, stage.command, files, checked, dict, stage.events.append, tasks, None, None
    )


async def opened(stage: Stage, file: Path, trust: Trust | None = None) -> None:
    """Have the instruction file opened."""
    async with anyio.create_task_group() as tasks:
        opens = instruction_files(stage, tasks, file.parent, trust)
        await stage.open(opens, str(file), os.O_RDONLY)
        opens.close()


def test_the_loop_goes_on_while_an_instruction_file_is_handed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "CLAUDE.md"
    file.write_text("be good")

    with staged(monkeypatch) as stage:
        asyncio.run(opened(stage, file))
        assert (stage.path, stage.has_gone_on) == (str(file), True)


@pytest.mark.parametrize("is_blocked", [False, True], ids=["unknown", "blocked"])
def test_approval_is_offered_for_an_unknown_file_and_not_for_a_blocked_one(
    is_blocked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "CLAUDE.md"
    file.write_text("be bad")
    (digest,) = approving(tmp_path).approved.values()
    blocked = {digest: "it sends files away"} if is_blocked else {}
    trust = Trust(TrustPolicy(("CLAUDE.md",), blocked_digests=blocked), ())
    with staged(monkeypatch) as stage:
        asyncio.run(opened(stage, file, trust))
        (refused,) = stage.events
        assert stage.answer == errno.EACCES
    offer = "nobody has signed or approved it; outside, nono trust approve CLAUDE.md lets it be read"
    why = "its content is on the blocklist: it sends files away" if is_blocked else offer
    assert part(part(part(refused, "entry"), "decision"), "Denied") == {"reason": f"instruction file: {why}"}


def test_a_file_stays_open_until_it_is_handed_over_though_the_run_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "CLAUDE.md"
    file.write_text("be good")
    has_ended = threading.Event()

    async def play(stage: Stage) -> None:
        async with anyio.create_task_group() as tasks:
            loop = asyncio.get_running_loop()

            def end() -> None:
                loop.call_soon_threadsafe(tasks.cancel_scope.cancel)
                assert has_ended.wait(TIMEOUT_S)

            stage.meanwhile = end
            opens = instruction_files(stage, tasks, tmp_path)
            stage.serve(opens, str(file), os.O_RDONLY)
        await asyncio.sleep(0)  # what the end of the tasks has called soon
        has_ended.set()
        assert await asyncio.to_thread(stage.is_handed_over.wait, TIMEOUT_S)
        opens.close()

    with staged(monkeypatch) as stage:
        asyncio.run(play(stage))
        assert stage.path_afterwards == str(file)


@pytest.mark.parametrize(
    ("is_ours", "may_write", "names", "expected"),
    [
        (True, False, 1, "waits"),  # whose it is can make it writable
        (False, True, 1, "waits"),
        (False, False, 2, "waits"),  # by another name, which may lie where it is granted
        (False, False, 1, "opened"),
    ],
    ids=["ours", "another's that we may write", "with another name", "another's"],
)
def test_a_file_that_is_granted_for_reading_is_changed_by_nobody_until_it_is_read(
    is_ours: bool, may_write: bool, names: int, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run may write it."""
    file = tmp_path / "CLAUDE.md"
    file.write_text("be good")
    if names > 1:
        os.link(file, tmp_path / "other")
    monkeypatch.setattr(os, "geteuid", lambda: file.stat().st_uid + (0 if is_ours else 1))
    monkeypatch.setattr(os, "access", lambda *_: may_write)
    answers = []

    def write() -> None:
        try:
            os.close(os.open(file, os.O_WRONLY | os.O_NONBLOCK))
            answers.append("opened")
        except BlockingIOError:
            answers.append("waits")

    with staged(monkeypatch) as stage:
        stage.meanwhile = write
        asyncio.run(opened(stage, file))
    write()
    assert answers == [expected, "opened"]


def test_the_loop_goes_on_while_the_name_of_a_thread_is_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(stage: Stage) -> None:
        opens = ThreadNames(stage.listener, stage.command, stage.events.append, None)
        await stage.open(opens, "/proc/thread-self/comm", os.O_WRONLY)
        opens.close()

    with staged(monkeypatch) as stage:
        asyncio.run(play(stage))
        thread = f"/proc/{os.getpid()}/task/{threading.get_native_id()}/comm"
        assert (stage.path, stage.has_gone_on) == (thread, True)


def test_who_finds_no_place_to_wait_is_told_to_ask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "WAITING_MAX", 0)

    async def play(stage: Stage) -> None:
        opens = ThreadNames(stage.listener, stage.command, stage.events.append, None)
        await stage.open(opens, "/proc/thread-self/comm", os.O_WRONLY)
        opens.close()

    with staged(monkeypatch) as stage:
        asyncio.run(play(stage))
        assert stage.answer == errno.EINTR


def no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


class Agreeing:
    """A person who says yes."""

    async def __call__(self, _: Request, /) -> Answer:
        return Answer("granted")


@pytest.mark.parametrize("opened_by", ["instructions", "a person"])
def test_a_command_that_has_taken_all_processes_ends_no_run_by_an_open(
    opened_by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "CLAUDE.md"
    file.write_text("be good")

    async def play(stage: Stage) -> None:
        async with anyio.create_task_group() as tasks:
            nothing = FilePolicy(GrantTable([]), DenyRules((), ()), (), GrantTable([]))
            opens: _Opens = (
                instruction_files(stage, tasks, tmp_path)
                if opened_by == "instructions"
                else FileOpens(
                    *(stage.listener, stage.command, nothing, Agreeing(), stage.events.append, tasks, None)
                )
            )
            with monkeypatch.context() as limited:
                limited.setattr(threading.Thread, "start", no_thread)
                await stage.open(opens, str(file), os.O_RDONLY)
            assert stage.answer == (errno.EACCES if opened_by == "instructions" else None)
            stage.given.clear()
            await stage.open(opens, str(file), os.O_RDONLY)
            assert stage.path == str(file)
            opens.close()

    with staged(monkeypatch) as stage:
        asyncio.run(play(stage))


def test_who_finds_no_thread_to_wait_is_told_to_ask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(stage: Stage) -> None:
        opens = ThreadNames(stage.listener, stage.command, stage.events.append, None)
        before = {*os.listdir("/proc/self/fd")}
        with monkeypatch.context() as limited:
            limited.setattr(threading.Thread, "start", no_thread)
            await stage.open(opens, "/proc/thread-self/comm", os.O_WRONLY)
        assert stage.answer == errno.EINTR
        assert {*os.listdir("/proc/self/fd")} == before
        stage.given.clear()
        await stage.open(opens, "/proc/thread-self/comm", os.O_WRONLY)
        assert stage.path.endswith("/comm")
        opens.close()

    with staged(monkeypatch) as stage:
        asyncio.run(play(stage))
