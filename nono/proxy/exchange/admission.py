"""Admit an allowed request: get its approval, its turn under the rate limit, and its credential."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import anyio

from nono.approval.request import Answer, Approver, HeldBody, LimitRequest, Request
from nono.credentials.values.credential import Injection
from nono.credentials.values.errors import CredentialNotFound, CredentialUnavailable
from nono.errors import CredentialError
from nono.named_tuple import NamedTuple
from nono.policy.endpoints.policy import EndpointVerdict
from nono.policy.services.rate_limit import TokenBucket
from nono.proxy.exchange.tally import Tally
from nono.proxy.http import refusal
from nono.proxy.http.refusal import Refusal, one_line
from nono.proxy.usage.ledger import UsageLimiter
from nono.proxy.usage.prices import ModelPrices
from nono.proxy.verdict.routes import Route
from nono.proxy.verdict.verdict import Forward

MAX_TURN_S = 120.0  # the longest wait of a request for its turn under a token limit
MAX_REASONS_TOLD = 8  # per route; a command's failure may depend on the path, which the command chooses


class Admitted(NamedTuple):
    """The request may go, with `injection` written into it; the caller settles `tally` when it has ended."""

    injection: Injection | None
    tally: Tally | None = None  # only for a request whose tokens or costs are counted


class RouteState:
    """The state of a route that changes during a run."""

    def __init__(self, route: Route, prices: ModelPrices) -> None:
        self.route = route
        self.bucket = TokenBucket(route.rate_limit, time.monotonic()) if route.rate_limit else None
        self.limiter = UsageLimiter(route.limits, prices)
        self.turns = anyio.Semaphore(1)  # taken in turn by requests whose tokens are limited
        self.frozen: str | None = None  # the reason why its credential is no longer used
        self.near_answers = 0  # answers that held a long beginning of the secret
        self.asks = route.limits.asks
        self.told: set[str] = set()  # reasons for an unavailable credential, already told to the person

    @property
    def waits_at_limit(self) -> bool:
        """True if a person must be asked before the next request."""
        return self.asks and self.limiter.reason() is not None


class Admission:
    """Decide whether a request may go now, and wait if it may go later."""

    def __init__(
        self,
        routes: Sequence[Route],
        approver: Approver | None,
        alarm: Callable[[str], None],
        prices: ModelPrices,
    ) -> None:
        self._states = {route.service: RouteState(route, prices) for route in routes}
        self._approver = approver
        self._alarm = alarm

    def state(self, route: Route) -> RouteState:
        return self._states[route.service]

    def freeze(self, service: str, why: str) -> bool:
        """Stop using this credential, and tell the person. Returns False if frozen before, or not watched."""
        state = self._states[service]
        if state.frozen is not None or not state.route.watched:
            return False
        state.frozen = why
        self._alarm(f"the credential of '{service}' is frozen for the rest of this session: {why}")
        return True

    def try_now(self, verdict: Forward) -> Admitted | Refusal | None:
        """Admit or refuse without waiting; None means the caller must await `wait`."""
        route = verdict.route
        if verdict.approval is not None:
            return None
        if route is None:
            return Admitted(None)
        state = self.state(route)
        if state.bucket is not None or _takes_turns(verdict, route) or state.waits_at_limit:
            return None
        credential = route.credential
        injection = None if credential is None else credential.at_hand(verdict.facts)
        return None if injection is None else self._go(state, injection, verdict)

    def _go(self, state: RouteState, injection: Injection, verdict: Forward) -> Admitted | Refusal:
        """Check last: by now other requests may have used up the limit, or the upstream leaked the secret."""
        service = state.route.service
        if state.frozen is not None:
            return refusal.frozen(service, state.frozen)
        reason = state.limiter.start()
        if reason is not None:
            return refusal.limit_reached(service, reason)
        has_cost = verdict.provider is not None and state.route.limits.cost_usd is not None
        return Admitted(injection, Tally(state.limiter, _hold_no_turn) if has_cost else None)

    async def _in_turn(self, state: RouteState, verdict: Forward) -> Admitted | Refusal:
        """Wait until the usage of the earlier requests is known, for a request whose tokens are limited.

        Refuses after MAX_TURN_S, because the response that holds the turn may be waiting for this request.
        """
        with anyio.move_on_after(MAX_TURN_S) as patience:
            await state.turns.acquire()
        if patience.cancelled_caught:
            return refusal.not_its_turn(state.route.service, MAX_TURN_S)
        tally = Tally(state.limiter, state.turns.release)
        ready: Admitted | Refusal | None = None
        try:
            ready = await self._acquired(state, verdict)
        finally:
            if not isinstance(ready, Admitted):
                tally.settle(None)
        return ready._replace(tally=tally) if isinstance(ready, Admitted) else ready

    def frozen(self, verdict: Forward) -> Refusal | None:
        """Return the refusal for a frozen route. Check it again before sending: dial or body took time."""
        state = None if verdict.route is None else self.state(verdict.route)
        if state is None or state.frozen is None:
            return None
        return refusal.frozen(state.route.service, state.frozen)

    def overtaken(self, verdict: Forward) -> Refusal | None:
        """Return the refusal for a request that was whole after others had cost what the route may cost."""
        state = None if verdict.route is None else self.state(verdict.route)
        if state is None or (reason := state.limiter.reason_of_costs()) is None:
            return None
        return refusal.limit_reached(state.route.service, reason, asks=state.waits_at_limit)

    async def wait(self, verdict: Forward, body: HeldBody | None = None) -> Admitted | Refusal:
        """Admit or refuse. Checks run cheapest first. Cancelled if the client disconnects.

        body: The body to show to the approver, if the request needs approval.
        """
        route = verdict.route
        state = None if route is None else self.state(route)
        if (frozen := self.frozen(verdict)) is not None:
            return frozen
        if verdict.approval is not None:
            answer = await self._answer(verdict, verdict.approval, body)
            if not answer.is_granted:
                return _not_approved(verdict, verdict.approval, answer)
        if route is None or state is None:
            return Admitted(None)
        if state.bucket is not None:
            delay_s = state.bucket.take(asyncio.get_running_loop().time())
            if delay_s is None:
                return refusal.rate_limited(route.service, state.bucket.interval_s)
            await anyio.sleep(delay_s)
        # Ask before taking a turn, so that the other requests need not wait for this answer.
        if (reached := await self._beyond_limit(state)) is not None:
            return reached
        if _takes_turns(verdict, route):
            return await self._in_turn(state, verdict)
        return await self._acquired(state, verdict)

    async def _acquired(self, state: RouteState, verdict: Forward) -> Admitted | Refusal:
        route = state.route
        if route.credential is None:
            return refusal.no_key(route.service, verdict.origin.host)
        while True:
            try:
                injection = await route.credential.acquire(verdict.facts)
            except (CredentialNotFound, CredentialUnavailable) as failure:
                self._tell(state, failure)
                return refusal.unavailable(route.service, verdict.origin.host)
            except (OSError, ValueError, CredentialError):  # the text could hold the secret: not passed on
                return refusal.unavailable(route.service, verdict.origin.host)
            if not state.waits_at_limit:
                return self._go(state, injection, verdict)
            # Others have used up the limit meanwhile. What is acquired by now may be renewed while a person
            # is asked, and responses are searched for the newest values only: acquire it anew.
            if (reached := await self._beyond_limit(state)) is not None:
                return reached

    async def _beyond_limit(self, state: RouteState) -> Refusal | None:
        """Ask each time that a limit is reached. Returns the refusal if the extension was not approved."""
        route, limiter = state.route, state.limiter
        while state.asks and (reached := limiter.reached()) is not None:
            times = limiter.allowed_times
            answer = await self.ask(LimitRequest(route.service, route.origin.host, reached.reason))
            if not answer.is_granted:
                because = f", and was not raised: {answer.reason}" if answer.reason else ""
                return refusal.after(
                    refusal.limit_reached(route.service, f"{reached.reason}{because}"), answer
                )
            if limiter.allowed_times == times:  # else the same answer has raised it for another request
                limiter.extend(reached)
        return None

    def _tell(self, state: RouteState, failure: CredentialNotFound | CredentialUnavailable) -> None:
        """Tell the person, who alone can fix it. The client is not told: the text may say where keys are."""
        reason = one_line(failure.message)
        if reason in state.told or len(state.told) == MAX_REASONS_TOLD:
            return
        state.told.add(reason)
        hint = f"\n    hint: {failure.hint}" if failure.hint else ""
        self._alarm(f"{reason}; requests to '{state.route.service}' answer 503{hint}")

    async def _answer(self, verdict: Forward, rule: EndpointVerdict, body: HeldBody | None) -> Answer:
        """Ask the approver, which applies its own time limit."""
        # Imported here: few runs ask.
        from nono.proxy.exchange.shown import endpoint_request

        return await self.ask(
            endpoint_request(verdict, rule, body, [state.route for state in self._states.values()])
        )

    async def ask(self, request: Request) -> Answer:
        """Ask the approver. A failure counts as a refusal."""
        if self._approver is None:
            return Answer("error", "there is nobody to ask")
        try:
            return Answer(*await self._approver(request))  # TypeError if it is not an answer
        except Exception:
            return Answer("error", "asking failed")


def _hold_no_turn() -> None: ...


def _takes_turns(verdict: Forward, route: Route) -> bool:
    return verdict.provider is not None and route.limits.count_tokens


def _not_approved(verdict: Forward, rule: EndpointVerdict, answer: Answer) -> Refusal:
    because = f": {answer.reason}" if answer.reason else ""
    path = verdict.request.target.partition(b"?")[0].decode("ascii")  # as the rule sees it
    refused = Refusal(
        403,
        f"{verdict.entry.method} {path} was not approved{because}",
        verdict.origin.host,
        rule.label,
        hint="answer the question when it is asked, or allow the endpoint in the profile",
        category="endpoint_policy",
    )
    return refusal.after(refused, answer)
