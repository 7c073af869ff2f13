"""nono.supervisor.loop: the one error that ends a loop."""

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
