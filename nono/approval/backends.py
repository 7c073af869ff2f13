"""Ask the approval backends that a profile names, chains included. Any failure is a no."""

from __future__ import annotations

from collections.abc import Mapping

import anyio

from nono.approval.request import Answer, Backend, Question
from nono.policy.services.approval import Approval, ChainBackend


class Backends:
    """The backends of a profile by name. reached: All backends that are not chains."""

    def __init__(self, approval: Approval, reached: Mapping[str, Backend]) -> None:
        self._approval = approval
        self._reached = reached

    @property
    def default(self) -> str:
        return self._approval.default

    def is_chain(self, name: str) -> bool:
        backend = self._approval.backends.get(name)
        return backend is not None and isinstance(backend.way, ChainBackend)

    def timeout_s(self, name: str) -> float:
        """Return the backend's time limit, for questions without one of their own."""
        backend = self._approval.backends.get(name)
        own = backend.timeout_s if backend is not None else None
        return self._approval.timeout_s if own is None else own

    async def ask(self, name: str, question: Question, timeout_s: float) -> Answer:
        """Ask one backend or chain. Answers within timeout_s; errors become answers, so nothing is raised."""
        backend = self._approval.backends.get(name)
        try:
            with anyio.fail_after(timeout_s):
                if backend is not None and isinstance(backend.way, ChainBackend):
                    return await self._ask_chain(backend.way, question, timeout_s)
                answer = await self._reached[name].ask(question, timeout_s)
                return answer._replace(backend=name)
        except TimeoutError:
            return Answer("timeout", f"nobody has answered within {timeout_s:g} s", name)
        except KeyError:
            return Answer("error", f"there is no approval backend '{name}'", name)
        except Exception as error:  # any error counts as a no
            return Answer("error", f"asking failed ({type(error).__name__})", name)

    async def _ask_chain(self, chain: ChainBackend, question: Question, timeout_s: float) -> Answer:
        """Ask the backends of a chain: mode "all" one after another, mode "any" all at once."""
        answers: list[Answer] = []

        async def ask(name: str) -> None:
            own_s = min(self.timeout_s(name), timeout_s)
            answers.append(await self.ask(name, question, own_s))
            if chain.mode == "any" and answers[-1].is_granted:
                tasks.cancel_scope.cancel()

        if chain.mode == "all":
            answer = Answer("error", "the chain names nobody")
            for name in chain.backends:
                answer = await self.ask(name, question, min(self.timeout_s(name), timeout_s))
                if not answer.is_granted:
                    break
            return answer
        async with anyio.create_task_group() as tasks:
            for name in chain.backends:
                tasks.start_soon(ask, name)
        granted = [answer for answer in answers if answer.is_granted]
        return granted[0] if granted else answers[-1]
