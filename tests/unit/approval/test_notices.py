"""A desktop is told of questions that wait, seldom and harmlessly, and nothing waits for it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from nono.approval import desktop as shown_by
from nono.approval.listing import Listed, listed
from nono.approval.notices import TITLE, WHAT_MAX, Notices, body, notices_of
from nono.approval.request import FileOpen, HostRequest, Question, Request
from nono.kernel import process
from nono.policy.capability import Access
from support.sessions.desktop import Desktop, desktop

NEVER_S = 3600.0  # between two notifications


def question(number: int, request: Request | None = None) -> Listed:
    return listed(
        Question(f"{number:016x}", request or HostRequest("new.test", 443), "s", "terminal"), 0, 60.0
    )


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "desktop notices"]


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Desktop]:
    with desktop(tmp_path) as found:
        yield found


def notices(address: str, *, every_s: float = NEVER_S) -> Notices:
    return Notices(
        "web", lambda title, text: shown_by.show(address, title, text), settle_s=0.05, every_s=every_s
    )


def test_ten_thousand_questions_are_one_notification(bus: Desktop) -> None:
    before = len(workers())
    told = notices(bus.address)
    for number in range(10_000):
        told.changed((question(number), question(number + 1)))
    (shown,) = bus.wait(1)
    assert shown["title"] == TITLE
    assert shown["body"].startswith(
        "Session web. 2 questions wait. The command asks: connect to new.test:443\n"
    )
    assert shown["actions"] == []  # an answer is given at a terminal
    assert len(workers()) == before + 1


def test_what_came_meanwhile_is_told_together(bus: Desktop) -> None:
    told = notices(bus.address, every_s=2.0)
    told.changed((question(1),))
    bus.wait(1)
    for number in range(2, 6):
        told.changed(tuple(map(question, range(1, number + 1))))
    assert "5 questions wait" in bus.wait(2)[1]["body"]


def test_a_question_that_is_answered_at_once_is_not_shown() -> None:
    shown: list[str] = []
    told = Notices("web", lambda _, text: shown.append(text), settle_s=1.5, every_s=NEVER_S)
    before = workers()
    told.changed((question(1),))
    (worker,) = [each for each in workers() if each not in before]
    told.changed(())
    worker.join(10)
    assert (worker.is_alive(), shown) == (False, [])


def test_no_question_is_told_twice() -> None:
    shown: list[str] = []
    told = Notices("web", lambda _, text: shown.append(text), settle_s=1.5, every_s=0.01)
    before = workers()
    told.changed((question(1), question(2)))
    (worker,) = [each for each in workers() if each not in before]
    worker.join(10)
    assert (worker.is_alive(), len(shown)) == (False, 1)
    told.changed((question(2),))
    assert not {*workers()} - {*before}


def test_markup_and_escapes_are_spelled_out(bus: Desktop) -> None:
    path = "/tmp/<a href='http://evil.test'>&\x1b]8;;x\x07\n\u202e</a>" + "x" * 5000
    told = notices(bus.address)
    told.changed((question(1, FileOpen(path, Access.READ, "file", False, 1)),))
    text = bus.wait(1)[0]["body"]
    assert "&lt;a href='http://evil.test'&gt;&amp;\\x1b]8;;x\\x07\\x0a\\u202e&lt;/a&gt;" in text
    assert "<" not in text
    assert len(text) < WHAT_MAX + 200


def test_what_is_asked_for_is_bounded_before_it_is_escaped() -> None:
    text = body("web", [question(1, HostRequest("<" * 5000, 1))])
    assert text.count("&lt;") == WHAT_MAX - len("connect to ")


@pytest.mark.parametrize("session", ["web", ""])
def test_only_a_session_is_answered_by_its_command(session: str) -> None:
    assert ("nono approvals" in body(session, [question(1)])) == bool(session)


def test_without_a_bus_nobody_is_told() -> None:
    assert notices_of("web", {}) is None
    assert notices_of("web", {"DBUS_SESSION_BUS_ADDRESS": ""}) is None


@pytest.mark.parametrize(
    "address",
    ["unix:path=/nonexistent/bus", "tcp:host=127.0.0.1,port=1", "unixexec:path=/bin/true", "nonsense"],
)
def test_a_bus_that_is_not_there_is_no_mistake(address: str, capfd: pytest.CaptureFixture[str]) -> None:
    told = notices(address, every_s=0.0)
    before = workers()
    told.changed((question(1),))
    for worker in workers():
        if worker not in before:
            worker.join(10)
            assert not worker.is_alive()
    assert capfd.readouterr() == ("", "")


def test_a_desktop_that_never_answers_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown_by, "LIMIT_S", NEVER_S)
    before = workers()
    with desktop(tmp_path, is_mute=True) as mute:
        notices(mute.address, every_s=0.0).changed((question(1),))
        mute.wait(1)
        (waiting,) = (worker for worker in workers() if worker not in before)
        assert waiting.is_alive()  # it still waits for the answer, and the caller did not
    waiting.join(10)
    assert not waiting.is_alive()


def test_a_desktop_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown_by, "LIMIT_S", 0.5)
    with desktop(tmp_path, is_mute=True) as mute, pytest.raises(TimeoutError):
        shown_by.show(mute.address, "title", "body")


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (b"OK 0\r\n" + b"x", "Unexpected data"),
        (b"REJECTED\r\n", "Authentication failed"),
        (b"x" * 200_000, "(Too much data|says too much)"),
    ],
)
def test_a_bus_that_is_none_is_given_up(says: bytes, why: str, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "bus"))
        listener.listen()

        def serve() -> None:
            with suppress(OSError), listener.accept()[0] as connection:
                connection.recv(1024)
                connection.sendall(says)
                connection.recv(1024)

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        with pytest.raises((OSError, ValueError), match=why):
            shown_by.show(f"unix:path={tmp_path}/bus", "title", "body")
        server.join(10)


@pytest.mark.skipif(os.geteuid() != 0, reason="takes the name as another user")
def test_the_bus_of_another_user_learns_nothing() -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        name = f"nono-test-{os.getpid()}"
        os.seteuid(1)
        try:
            listener.bind(f"\0{name}")
            listener.listen()
        finally:
            os.seteuid(0)
            process.set_dumpable(True)  # a change of the user id takes it away, and later tests ask for it
        with pytest.raises(PermissionError, match="another user's"):
            shown_by.show(f"unix:abstract={name}", "title", "body")
