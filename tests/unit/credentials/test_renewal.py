"""A value is fetched once for all who wait, and again when it has been forgotten."""

from __future__ import annotations

import anyio

from nono.credentials.renewal import Lease, Renewal


def test_a_value_that_is_forgotten_while_others_wait_is_fetched_for_them_again() -> None:
    fetched = 0
    got: list[int] = []

    async def fetch() -> Lease[int]:
        nonlocal fetched
        fetched += 1
        await anyio.lowlevel.checkpoint()
        return Lease(fetched, 60, 60)

    async def main() -> None:
        renewal = Renewal(fetch, clock=lambda: 0.0)

        async def first() -> None:
            got.append(await renewal.acquire())
            assert renewal.forget()

        async def second() -> None:
            got.append(await renewal.acquire())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
            tasks.start_soon(second)

    anyio.run(main)
    assert got == [1, 2]
