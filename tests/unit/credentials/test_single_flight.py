"""Callers that come at the same time, go away, and fail together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest

from nono.credentials.single_flight import SingleFlight
from nono.credentials.values.errors import CredentialUnavailable


class Work:
    """Counts its runs; each goes on until released."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun = anyio.Event()
        self.release = anyio.Event()
        self.runs = self.cancelled = 0
        self._error = error

    async def __call__(self) -> str:
        self.runs += 1
        self.begun.set()
        try:
            await self.release.wait()
        except BaseException:
            self.cancelled += 1
            raise
        if self._error is not None:
            raise self._error
        return f"run {self.runs}"


def on_a_loop(main: Callable[[], Awaitable[None]]) -> None:
    anyio.run(main, backend_options={"use_uvloop": True})


async def settle() -> None:
    """Wait until every task that can go on has come to where it waits."""
    await anyio.wait_all_tasks_blocked()


def test_a_hundred_who_ask_at_once_share_one_run() -> None:
    async def main() -> None:
        flights, work = SingleFlight[str, str](), Work()
        results: list[tuple[str, bool]] = []

        async def ask() -> None:
            results.append(await flights.run("key", work))

        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(ask)
            await settle()
            work.release.set()
        assert work.runs == 1
        assert {value for value, _ in results} == {"run 1"}
        assert sorted(first for _, first in results) == [False] * 99 + [True]

    on_a_loop(main)


def test_neither_another_key_nor_a_later_call_shares_a_run() -> None:
    async def main() -> None:
        flights, work = SingleFlight[str, str](), Work()
        work.release.set()
        assert await flights.run("a", work) == ("run 1", True)
        assert await flights.run("b", work) == ("run 2", True)
        assert await flights.run("a", work) == ("run 3", True)

    on_a_loop(main)


@pytest.mark.parametrize("leaver", [0, 1], ids=["the one that started it", "one that joined"])
def test_whoever_goes_away_leaves_the_run_to_the_others(leaver: int) -> None:
    async def main() -> None:
        flights, work = SingleFlight[str, str](), Work()
        results: list[tuple[str, bool]] = []
        scopes = [anyio.CancelScope(), anyio.CancelScope()]

        async def ask(scope: anyio.CancelScope) -> None:
            with scope:
                results.append(await flights.run("key", work))

        async with anyio.create_task_group() as tasks:
            for scope in scopes:
                tasks.start_soon(ask, scope)
                await settle()
            scopes[leaver].cancel()
            await settle()
            assert work.cancelled == 0
            work.release.set()
        assert [value for value, _ in results] == ["run 1"]
        assert scopes[leaver].cancelled_caught
        assert not scopes[1 - leaver].cancelled_caught

    on_a_loop(main)


def test_a_run_that_nobody_waits_for_is_cancelled() -> None:
    async def main() -> None:
        flights, work = SingleFlight[str, str](), Work()
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(flights.run, "key", work)
            await settle()
            tasks.cancel_scope.cancel()
        assert (work.runs, work.cancelled) == (1, 1)
        work.release.set()
        assert await flights.run("key", work) == ("run 2", True)

    on_a_loop(main)


def test_one_that_comes_while_an_abandoned_run_ends_does_not_share_its_end() -> None:
    async def main() -> None:
        flights = SingleFlight[str, str]()
        may_end = anyio.Event()

        async def ends_slowly() -> str:
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await may_end.wait()
            raise AssertionError

        async def answer() -> str:
            return "new"

        async with anyio.create_task_group() as tasks:
            abandoned = anyio.CancelScope()

            async def ask() -> None:
                with abandoned:
                    await flights.run("key", ends_slowly)

            tasks.start_soon(ask)
            await settle()
            abandoned.cancel()
            await settle()
            assert await flights.run("key", answer) == ("new", True)
            may_end.set()

    on_a_loop(main)


@pytest.mark.parametrize(
    "error",
    [CredentialUnavailable("locked", hint="unlock"), OSError(28, "No space left on device")],
    ids=repr,
)
def test_each_waiter_gets_its_own_error_of_a_shared_failure(error: Exception) -> None:
    async def main() -> None:
        flights, work = SingleFlight[str, str](), Work(error)
        raised: list[Exception] = []

        async def ask() -> None:
            with pytest.raises(type(error)) as caught:
                await flights.run("key", work)
            raised.append(caught.value)

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask)
            await settle()
            work.release.set()
        assert [each.args for each in raised] == [error.args] * 5
        assert len({id(each) for each in raised} - {id(error)}) == 5
        assert work.runs == 1
        other = Work()
        other.release.set()
        assert await flights.run("key", other) == ("run 1", True)

    on_a_loop(main)


def test_a_mistake_in_the_work_leaves_nobody_waiting() -> None:
    async def main() -> None:
        flights, work = SingleFlight[str, str](), Work(KeyError("a bug"))
        joined: list[str] = []

        async def join() -> None:
            with pytest.raises(CredentialUnavailable, match="stopped"):
                await flights.run("key", work)
            joined.append("heard")

        async def start() -> None:
            with pytest.raises(ExceptionGroup):
                await flights.run("key", work)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(start)
            await work.begun.wait()
            tasks.start_soon(join)
            await settle()
            work.release.set()
        assert joined == ["heard"]

    on_a_loop(main)
