"""nono.supervisor.loop: the one error that ends a loop, and how soon a record is on the disk."""

from __future__ import annotations

import anyio
import pytest

from nono.errors import LaunchError
from nono.supervisor import loop


async def _fail(error: Exception) -> None:
    async def fail() -> None:
        raise error

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fail)


def test_an_error_comes_out_without_its_task_group() -> None:
    with pytest.raises(OSError, match="disk full"):
        loop.run(_fail, OSError("disk full"))


def test_what_a_person_is_meant_to_read_comes_before_the_first_error() -> None:
    sentence = LaunchError("the port is taken")
    group = BaseExceptionGroup("", [OSError("disk full"), BaseExceptionGroup("", [sentence]), sentence])
    assert loop.unwrap_group(group) is sentence


def test_a_result_is_returned() -> None:
    async def answer(number: int) -> int:
        return number

    assert loop.run(answer, 42) == 42


class Log:
    """A log with one record to write. Its disk is as fast as memory."""

    def __init__(self) -> None:
        self.needs_sync = True
        self.is_flushed = False
        self.synced = anyio.Event()

    def flush(self) -> None:
        self.is_flushed = True

    def sync(self) -> None:
        self.needs_sync = False
        anyio.from_thread.run_sync(self.synced.set)


def test_a_record_is_soon_on_the_disk_although_nothing_else_happens() -> None:
    """The promise is 200 ms, which a busy machine may exceed."""

    async def keep(log: Log) -> bool:
        async with loop.housekeeping(log, log.flush):
            with anyio.fail_after(20):
                await log.synced.wait()
            return log.is_flushed

    assert loop.SYNC_INTERVAL_S <= 0.2
    assert loop.run(keep, Log())


def test_a_log_whose_disk_fails_ends_the_run() -> None:
    class Failing(Log):
        def sync(self) -> None:
            raise OSError("disk full")

    async def keep(log: Log) -> None:
        async with loop.housekeeping(log, log.flush):
            await anyio.sleep(30)

    with pytest.raises(OSError, match="disk full"):
        loop.run(keep, Failing())
