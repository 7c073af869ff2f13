"""Hold a request for a host that no rule allows while a person is asked about the host."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import anyio

from nono.approval.request import Answer, HostRequest
from nono.policy.hosts.host_filter import Allow
from nono.proxy.exchange.client_side import ClientSide
from nono.proxy.exchange.context import ProxyContext
from nono.proxy.http import refusal
from nono.proxy.http.message import RequestHead
from nono.proxy.http.refusal import Refusal
from nono.proxy.verdict.verdict import Refused, Verdict

LOOK_EVERY_S = 0.5  # interval of checks that the client still waits


class Asking(ClientSide, Protocol):
    """The connection whose request waits."""

    @property
    def is_gone(self) -> bool: ...

    def carry_out(self, verdict: Verdict) -> None: ...


class HostQuestion:
    """One request that waits for an answer. A yes applies to this request and no later one."""

    wants_pause = True  # the bytes after the head wait too

    def __init__(self, context: ProxyContext, client: Asking, head: RequestHead, verdict: Refused) -> None:
        self._context = context
        self._client = client
        self._head = head
        self._verdict = verdict
        self._over = False
        self._scope = anyio.CancelScope()

    def start(self) -> None:
        self._context.spawn(self._run)

    async def _run(self) -> None:
        entry, verdict = self._verdict.entry, None
        with self._scope:
            verdict = await self._asked()
        if self._over:
            return
        self._over = True
        self._client.carry_out(verdict or Refused(entry, self._verdict.refusal))

    async def _asked(self) -> Verdict:
        """Return the verdict after the answer."""
        context, entry = self._context, self._verdict.entry
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch)
            answer = await context.admission.ask(HostRequest(entry.target, entry.port))
            tasks.cancel_scope.cancel()
        live = context.live_hosts
        assert live is not None  # otherwise nobody would be asked
        if answer.is_granted:
            hosts = live.allowing(entry.target, entry.port, answer.backend)
            # The request has shown its token. A denial added in the meantime beats the answer.
            return replace(context.dispatcher, hosts=hosts, require_auth=False).judge(self._head)
        if isinstance(live.judge_name(entry.target, entry.port), Allow):  # by a rule added in the meantime
            return replace(context.dispatcher, require_auth=False).judge(self._head)
        return Refused(entry, _not_approved(self._verdict.refusal, answer))

    async def _watch(self) -> None:
        """Withdraw the question when the client is gone: nothing reports that while reading is paused."""
        while not self._client.is_gone:  # noqa: ASYNC110 - the kernel says so only when it is asked
            await anyio.sleep(LOOK_EVERY_S)
        self._client.abort()

    def request_progress(self) -> None:
        """Nothing is read in the meantime."""

    def client_paused(self, paused: bool) -> None:
        """Nothing is sent to the client yet."""

    def client_malformed(self, answer: Refusal) -> None:
        if not self._over:
            self._over = True
            self._scope.cancel()
            self._client.refuse(self._verdict.entry, answer)

    def client_lost(self) -> None:
        self._over = True
        self._scope.cancel()


def _not_approved(refused: Refusal, answer: Answer) -> Refusal:
    because = f", and was not approved: {answer.reason}" if answer.reason else ", and was not approved"
    return refusal.after(refused._replace(error=f"{refused.error}{because}", lasts=True), answer)
