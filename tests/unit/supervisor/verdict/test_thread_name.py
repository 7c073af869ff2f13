"""Which paths name a thread of the caller's, process 70 and thread 75, and which only look like it."""

from __future__ import annotations

import pytest

from nono.supervisor.verdict.thread_name import thread_named


@pytest.mark.parametrize(
    ("path", "thread"),
    [
        (b"/proc/self/task/71/comm", 71),
        (b"/proc/self/task/75/comm", 75),
        (b"/proc/70/task/71/comm", 71),
        (b"/proc/70/task/70/comm", 70),
        (b"/proc/thread-self/comm", 75),
        (b"/proc/self/task/4999999999/comm", 4999999999),  # no thread; the kernel says so
    ],
)
def test_a_thread_of_the_callers_is_named_in_three_ways(path: bytes, thread: int) -> None:
    assert thread_named(path, 70, 75) == thread


@pytest.mark.parametrize(
    "path",
    [
        b"/proc/71/task/71/comm",
        b"/proc/75/task/75/comm",  # a thread is no process
        b"/proc/7/task/71/comm",
        b"/proc/700/task/71/comm",
        b"/proc/self/comm",
        b"/proc/70/comm",
        b"/proc/self/task/71/environ",
        b"/proc/self/task/71/comm/",
        b"/proc/self/task/71/comm\n",
        b"/proc/self/task/71/xcomm",
        b"/proc/self/task/comm",
        b"/proc/self/task//71/comm",
        b"//proc/self/task/71/comm",
        b"/proc/./self/task/71/comm",
        b"/proc/self/task/71/../71/comm",
        b"/proc/self/task/self/comm",
        b"/proc/self/task/071/comm",
        b"/proc/070/task/71/comm",
        b"/proc/self/task/-71/comm",
        b"/proc/self/task/\xd9\xa1/comm",
        b"/proc/self/task/00000000000000000000071/comm",
        b"/proc/thread-self/task/71/comm",
        b"/other/proc/self/task/71/comm",
        b"proc/self/task/71/comm",
        b"",
    ],
)
def test_whatever_differs_in_one_thing_names_none(path: bytes) -> None:
    assert thread_named(path, 70, 75) is None
