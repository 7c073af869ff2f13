"""A place for an upstream connection is taken, and given back, both of the client's and of all clients'."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from nono.proxy.http2.places import MAX_OF_CLIENT, Places


@pytest.mark.parametrize("waits", [False, True])
def test_who_gets_no_place_of_all_keeps_none_of_its_own(waits: bool) -> None:
    async def main() -> None:
        in_all = anyio.Semaphore(0)
        places = Places(in_all)
        for _ in range(MAX_OF_CLIENT + 1):
            assert places.take() is None
            async with anyio.create_task_group() as group:
                if waits:
                    group.start_soon(places.wait, lambda: None)
                    while not places.are_awaited:
                        await anyio.lowlevel.checkpoint()
                    group.cancel_scope.cancel()
        in_all.release()
        assert places.take() is not None

    anyio.run(main)


def test_a_place_is_given_back_once() -> None:
    async def main() -> None:
        in_all = anyio.Semaphore(1)
        place = Places(in_all).take()
        assert place is not None
        for _ in range(2):
            place.give_back()
        assert in_all.value == 1

    anyio.run(main)


def test_a_client_has_as_many_places_as_it_may_have() -> None:
    async def main() -> None:
        places = Places(anyio.Semaphore(MAX_OF_CLIENT + 1))
        taken = [places.take() for _ in range(MAX_OF_CLIENT + 1)]
        assert [place is not None for place in taken] == [True] * MAX_OF_CLIENT + [False]

    anyio.run(main)
