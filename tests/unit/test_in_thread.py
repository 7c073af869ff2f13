"""What must be done is done, also where no thread can be started."""

from __future__ import annotations

import threading
from collections.abc import Callable

import anyio
import pytest

from nono.in_thread import in_thread


def called_by(work: Callable[[], object]) -> object:
    async def main() -> object:
        return await in_thread(work)

    return anyio.run(main, backend_options={"use_uvloop": True})


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)


def test_work_is_done_in_another_thread() -> None:
    assert called_by(threading.get_ident) != threading.get_ident()


@pytest.mark.usefixtures("no_threads")
def test_without_a_thread_it_is_done_here() -> None:
    assert called_by(threading.get_ident) == threading.get_ident()


def test_work_that_fails_in_its_thread_is_not_done_again() -> None:
    calls = list[int]()

    def fail() -> None:
        calls.append(threading.get_ident())
        raise RuntimeError("of the work")

    with pytest.raises(RuntimeError, match="of the work"):
        called_by(fail)
    assert len(calls) == 1
