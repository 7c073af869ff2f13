"""nono.supervisor.calls.answers: what is answered to a caller that is gone, and after the end."""

from __future__ import annotations

import errno
import os

import pytest

from nono.kernel import notify
from nono.kernel.notify import Notification
from nono.supervisor.calls.answers import Answers

CALL = Notification(7, 100, 0, 0, 0, (0, 0, 0, 0, 0, 0))
WAYS = ("respond", "respond_continue", "respond_with_descriptor", "is_valid")


def lets_fail(monkeypatch: pytest.MonkeyPatch, reason: int) -> list[int]:
    """Let each answer fail as the kernel does. Returns the calls that were answered so."""
    asked = list[int]()

    def fail(_listener: int, call_id: int, *_: object, **__: object) -> None:
        asked.append(call_id)
        raise OSError(reason, os.strerror(reason))

    for way in WAYS:
        monkeypatch.setattr(notify, way, fail)
    return asked


def test_a_caller_that_is_gone_needs_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = lets_fail(monkeypatch, errno.ENOENT)
    answers = Answers(3)
    answers.fail(CALL, errno.EACCES)
    answers.leave(CALL)
    assert answers.hand_over(CALL, 4, close_on_exec=True) is None
    assert asked == [CALL.id] * 3


@pytest.mark.parametrize("reason", [errno.EMFILE, errno.EINTR, errno.EINVAL])
def test_a_call_that_gets_no_descriptor_still_waits(monkeypatch: pytest.MonkeyPatch, reason: int) -> None:
    lets_fail(monkeypatch, reason)
    assert Answers(3).hand_over(CALL, 4, close_on_exec=True) == reason


def test_nothing_is_answered_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of the listener may by then be another descriptor's."""
    asked = lets_fail(monkeypatch, errno.ENOTTY)
    answers = Answers(3)
    answers.close()
    answers.fail(CALL, errno.EACCES)
    answers.leave(CALL)
    assert answers.hand_over(CALL, 4, close_on_exec=True) is None
    assert not answers.is_awaited(CALL)
    assert asked == []
