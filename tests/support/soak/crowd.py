"""Run the clients of the soak in a process of their own: many actors, each with one conduct after another.

Usage: worker starts it with the settings that main takes.
"""

from __future__ import annotations

import asyncio
import random
import traceback
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

from support.soak.actors import Actor, Results
from support.soak.client import LIMIT_S, Clients, Where
from support.soak.worker import Order, obey, run

_MAX_FAULTS = 20  # reported at most; one is enough to fail


class Crowd:
    """All the actors and their results."""

    def __init__(self, where: Where, seed: int) -> None:
        self._clients = Clients(where)
        self._numbers = count(1)
        self._results = Results()
        self._faults: list[str] = []
        self._seed = seed
        self._stopping = False

    def _actor(self, index: int) -> Actor:
        chance = random.Random(f"{self._seed}/{index}")
        return Actor(self._clients, self._results, self._numbers, chance)

    async def once(self) -> None:
        """Run every transport, then every conduct, all at once."""
        actor = self._actor(-1)
        await self._perform("every_transport", actor.every_transport)
        async with asyncio.TaskGroup() as tasks:
            for name, conduct in actor.conducts().items():
                tasks.create_task(self._perform(name, conduct))

    async def start(self, actors: int, most_pause_s: float) -> None:
        """Let so many actors act until stop; between two conducts, each waits up to most_pause_s."""
        self._stopping = False
        self._running = [asyncio.create_task(self._act(index, most_pause_s)) for index in range(actors)]

    async def stop(self) -> None:
        """Let each actor finish what it is doing."""
        self._stopping = True
        await asyncio.gather(*self._running)

    async def report(self) -> dict[str, Any]:
        results = self._results
        return {
            "received": results.received,
            "tunnelled": sorted(results.tunnelled),
            "done": results.done,
            "statuses": results.statuses,
            "faults": self._faults[:_MAX_FAULTS],
            "tasks": len(asyncio.all_tasks()),
        }

    async def _act(self, index: int, most_pause_s: float) -> None:
        actor = self._actor(index)
        chance = random.Random(f"{self._seed}/{index}/which")
        conducts = [*actor.conducts().items()]
        while not self._stopping:
            await self._perform(*chance.choice(conducts))
            await asyncio.sleep(chance.uniform(0, most_pause_s))

    async def _perform(self, name: str, conduct: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(LIMIT_S):
                await conduct()
        except BaseException as fault:
            self._faults.append(f"{name}: {''.join(traceback.format_exception(fault))[-3000:]}")
            if not isinstance(fault, Exception):
                raise
        done = self._results.done
        done[name] = done.get(name, 0) + 1


async def main(where: dict[str, Any], seed: int) -> None:
    crowd = Crowd(Where(**where), seed)
    orders: dict[str, Order] = {"once": crowd.once, "start": crowd.start, "stop": crowd.stop}
    await obey("ready", {**orders, "report": crowd.report})


if __name__ == "__main__":
    run(main)
