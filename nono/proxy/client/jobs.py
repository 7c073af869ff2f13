"""Choose the work that a verdict asks for: an exchange, a login, a tunnel, an interception or a question."""

from __future__ import annotations

from typing import Protocol

from nono.proxy.client.intercept import Interception
from nono.proxy.client.tunnel import TunnelOpening
from nono.proxy.exchange.client_side import Hijackable
from nono.proxy.exchange.context import ProxyContext
from nono.proxy.exchange.http1 import Exchange
from nono.proxy.http.refusal import Refusal
from nono.proxy.http.request_reader import Incoming
from nono.proxy.verdict.verdict import Capture, Forward, Intercept, Refused, Tunnel, Verdict


class Job(Protocol):
    """The work on one request, as its connection sees it."""

    @property
    def wants_pause(self) -> bool: ...
    def start(self) -> None: ...
    def request_progress(self) -> None: ...
    def client_paused(self, paused: bool) -> None: ...
    def client_malformed(self, answer: Refusal) -> None: ...
    def client_lost(self) -> None: ...


class Client(Hijackable, Protocol):
    """The connection whose request a job works on."""

    @property
    def is_gone(self) -> bool: ...

    def carry_out(self, verdict: Verdict) -> None: ...


def job_for(context: ProxyContext, client: Client, request: Incoming, verdict: Verdict) -> Job | Refused:
    """Return the job, not yet started, or the refusal to answer without one."""
    match verdict:
        case Refused(may_be_asked=True) if context.asks_hosts:
            # Imported here: few runs ask.
            from nono.proxy.client.host_question import HostQuestion

            return HostQuestion(context, client, request.head, verdict)
        case Refused():
            return verdict
        case Forward():
            return Exchange(context, client, request, verdict)
        case Capture():
            # Imported here: few runs have a captured login.
            from nono.proxy.exchange.login import LoginExchange

            return LoginExchange(context, client, request, verdict)
        case Tunnel():
            return TunnelOpening(context, client, verdict)
        case Intercept():
            return Interception(context, client, verdict)
