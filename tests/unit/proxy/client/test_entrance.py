"""nono.proxy.client.entrance: who is served, who is answered with a refusal, and who is cut."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from nono.proxy.client.entrance import STRANGERS_MAX, Entrance
from nono.proxy.config import Admits, IsOurs
from nono.proxy.http import refusal
from nono.proxy.http.refusal import Cut, Refusal
from nono.proxy.transport.connection_set import ConnectionSet

HERE = ("127.0.0.1", 1)


class Visitor:
    """A connection that notes when it is cut."""

    def __init__(self, *, has_unread: bool = False) -> None:
        self.has_unread = has_unread
        self.is_gone = False
        self.is_cut = False

    def abort(self) -> None:
        self.is_cut = True


class Door:
    """An entrance, and those who have come."""

    def __init__(self, limit: int, admits: Admits | None, is_ours: IsOurs | None) -> None:
        self._connections = ConnectionSet()
        self.entrance = Entrance(self._connections, limit, admits, is_ours, recognises=None)

    def enter(self, visitor: Visitor | None = None) -> Refusal | Cut | None:
        """Return how a connection that comes is answered. It stays open."""
        visitor = visitor or Visitor()
        self._connections.add(visitor)
        return self.entrance.enter(visitor, HERE, HERE)


def at_door(
    work: Callable[[Door], None],
    limit: int = 0,
    admits: Admits | None = None,
    is_ours: IsOurs | None = None,
) -> None:
    async def run() -> None:
        work(Door(limit, admits, is_ours))

    asyncio.run(run())


def yes(*_: object) -> bool:
    return True


def no(*_: object) -> bool:
    return False


def unknown(*_: object) -> None:
    """Say nothing, as the kernel does of a connection whose owner it does not know."""


def test_as_many_are_served_as_there_are_places_and_of_the_rest_some_are_told() -> None:
    def work(door: Door) -> None:
        answers = [door.enter() for _ in range(2 + 64 + 2)]
        assert answers == [None] * 2 + [refusal.too_many_connections(2)] * 64 + [Cut()] * 2

    at_door(work, limit=2)


def test_who_is_not_the_command_is_told_so_while_most_places_are_free() -> None:
    def work(door: Door) -> None:
        assert [door.enter() for _ in range(3)] == [refusal.not_admitted()] * 2 + [Cut()]

    at_door(work, limit=5, admits=no)


def test_another_user_is_told_so_until_many_of_them_are() -> None:
    def work(door: Door) -> None:
        assert [door.enter() for _ in range(34)] == [refusal.another_user()] * 32 + [Cut()] * 2

    at_door(work, is_ours=no)


@pytest.mark.parametrize("is_known", [True, False])
def test_nobody_is_a_stranger_where_it_is_known_who_the_command_is(is_known: bool) -> None:
    def work(door: Door) -> None:
        visitor = Visitor()
        assert door.enter(visitor) is None
        assert door.entrance.leave(visitor) is not is_known

    at_door(work, admits=yes if is_known else None, is_ours=unknown)


def test_nobody_is_the_command_for_certain_where_that_cannot_be_asked() -> None:
    def work(door: Door) -> None:
        assert not door.entrance.recognises(HERE, HERE)

    at_door(work)


def test_the_oldest_stranger_that_says_nothing_gives_its_place_to_the_next() -> None:
    def work(door: Door) -> None:
        speaking, *silent = (Visitor(has_unread=each == 0) for each in range(STRANGERS_MAX))
        for each in (speaking, *silent):
            assert door.enter(each) is None
        assert not any(each.is_cut for each in (speaking, *silent))
        door.enter()
        assert [each for each in (speaking, *silent) if each.is_cut] == silent[:1]

    at_door(work, is_ours=unknown)


def test_of_strangers_that_all_speak_the_oldest_goes_when_they_are_a_flood() -> None:
    def work(door: Door) -> None:
        speaking = [Visitor(has_unread=True) for _ in range(257)]
        for each in speaking[:-1]:
            door.enter(each)
        assert not any(each.is_cut for each in speaking)
        door.enter(speaking[-1])
        assert [each for each in speaking if each.is_cut] == speaking[:1]

    at_door(work, is_ours=unknown)
