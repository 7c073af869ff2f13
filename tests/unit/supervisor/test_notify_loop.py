"""What the notify loop makes of what poll(2) reports; a pipe reports the same as a listener does."""

from __future__ import annotations

import asyncio
import errno
import os
import select

import pytest

from nono.audit.dedup import DedupRecorder
from nono.kernel import notify
from nono.supervisor.notify_loop import NotifyLoop
from nono.supervisor.verdict.adjudicator import NetworkGrants, loopback


@pytest.mark.parametrize(("is_gone", "goes_on"), [(False, True), (True, False)], ids=["POLLERR", "POLLHUP"])
def test_only_a_listener_that_is_gone_is_no_longer_served(is_gone: bool, goes_on: bool) -> None:
    """The kernel reports POLLERR when a signal comes while it waits for the listener's lock."""
    reading, writing = os.pipe()
    listener, other = (reading, writing) if is_gone else (writing, reading)
    os.close(other)

    async def is_served_afterwards() -> bool:
        served = NotifyLoop(
            listener, NetworkGrants(loopback(1)), DedupRecorder(lambda _: None), lambda *_: None
        )
        served.start()
        served._on_readable()
        still = asyncio.get_running_loop().remove_reader(served._poll.fileno())
        served.close()
        return still

    assert asyncio.run(is_served_afterwards()) == goes_on


def test_a_call_that_cannot_be_judged_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in what judges it must not be taken for success."""

    def fail(_: notify.Notification) -> int:
        raise RuntimeError("a bug")

    call = notify.Notification(id=7, tid=1, flags=0, nr=0, arch=0, args=(0, 0, 0, 0, 0, 0))
    answers: list[tuple[int, int]] = []
    with select.epoll() as stand_in:
        served = NotifyLoop(
            stand_in.fileno(), NetworkGrants(), DedupRecorder(lambda _: None), lambda *_: None
        )
    monkeypatch.setattr(served, "_decide_and_act", fail)
    monkeypatch.setattr(
        served._answers, "fail", lambda asked, errno_value: answers.append((asked.id, errno_value))
    )
    with pytest.raises(RuntimeError):
        served._serve(call)
    assert answers == [(7, errno.EACCES)]
    served._calls.close()
    served._poll.close()
