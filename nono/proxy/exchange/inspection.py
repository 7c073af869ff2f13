"""Inspect an exchange: search it for the secret (tripwire), count model tokens, record the flow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from nono.credentials.values.credential import LeakDetector
from nono.named_tuple import NamedTuple
from nono.proxy.exchange.filter.body_search import OnLeak
from nono.proxy.exchange.filter.response import BodyFilter, Tap, clean_head, filtered, masked
from nono.proxy.exchange.tally import Tally
from nono.proxy.http.content_coding import Budget
from nono.proxy.http.message import Header, ResponseHead
from nono.proxy.http.redirect import led_back
from nono.proxy.usage.meter import Usage, UsageMeter
from nono.proxy.verdict.verdict import Forward

if TYPE_CHECKING:
    from nono.proxy.flows.flow import Flow


class Inspection:
    """The inspection of one exchange.

    on_leak: called with the place where the secret was found; returns True if another answer held it before.
    on_usage: called with the token usage that the response reported, as far as it was read.
    budget: where the memory to decode the response is taken from.
    on_near: called if the body holds a long beginning of the secret that goes on differently.
    """

    __slots__ = (
        "_body",
        "_budget",
        "_flow",
        "_has_leaked",
        "_meter",
        "_on_leak",
        "_on_near",
        "_on_usage",
        "_tally",
        "_verdict",
        "_watcher",
    )

    def __init__(
        self,
        verdict: Forward,
        flow: Flow | None,
        on_leak: OnLeak,
        on_usage: Callable[[Usage], None],
        budget: Budget,
        on_near: Callable[[], object] = lambda: None,
    ) -> None:
        self._verdict = verdict
        self._budget = budget
        self._body: BodyFilter | None = None
        self._flow = flow
        self._on_leak = on_leak
        self._on_usage = on_usage
        self._on_near = on_near
        self._has_leaked = False
        self._meter: UsageMeter | None = None
        self._tally: Tally | None = None
        # Unset before arm(), so that a forgotten arm() raises instead of letting bytes pass unsearched.
        self._watcher: LeakDetector | None

    def arm(self, tally: Tally | None = None) -> None:
        """Watch for the route's current credential. Call before any byte of the exchange passes.

        tally: counts the usage of the exchange; settled when the exchange ends.
        """
        self._tally = tally
        route = self._verdict.route
        if route is None or not route.watched or route.credential is None:
            self._watcher = None
        else:
            self._watcher = route.credential.tripwire()

    def sending(self) -> None:
        """Note that the request is sent now."""
        if self._tally is not None:
            self._tally.sent()

    def refused(self, status: int) -> None:
        """Note that the request is answered here: the upstream never had all of it, so it uses nothing."""
        if self._tally is not None:
            self._tally.answered(status)

    @property
    def reads_bodies(self) -> bool:
        """True if the body must arrive in a content coding that can be decoded here."""
        return self._watcher is not None

    def request_piece(self, piece: bytes) -> None:
        if self._flow is not None:
            self._flow.request_piece(piece)

    def clean_fields(self, fields: Sequence[Header]) -> Sequence[Header]:
        """Return `fields` without the secret."""
        tripwire = self._watcher
        return fields if tripwire is None else masked(fields, tripwire, self._leaked)

    def interim(self, head: ResponseHead) -> ResponseHead:
        """Return the head of a 1xx response without the secret. Raises WithheldError as `begin` does."""
        tripwire = self._watcher
        return head if tripwire is None else clean_head(head, tripwire, self._leaked)

    def begin(self, head: ResponseHead) -> tuple[ResponseHead, BodyFilter | None]:
        """Return the head to relay and the filter for its body (None: pass it unchanged).

        Raises WithheldError if the body cannot be searched.
        """
        taps: list[Tap] = []
        if self._tally is not None:
            self._tally.answered(head.status)
        if self._verdict.provider is not None and 200 <= head.status < 300:
            kinds = [value for name, value in head.headers if name.lower() == b"content-type"]
            self._meter = UsageMeter(
                self._verdict.provider, kinds[0] if kinds else b"", self._verdict.entry.path or ""
            )
            taps.append(self._meter)
        if self._flow is not None:
            taps.append(_Recorded(self._flow))
        head, body = filtered(head, self._watcher, taps, self._leaked, self._on_near, self._budget)
        self._body = body
        if self._flow is not None:
            self._flow.response(head.status, head.reason, head.headers)
        entry = self._verdict.entry
        if entry.mode == "reverse" and entry.route_id is not None:
            headers = led_back(head.headers, self._verdict.origin, entry.route_id)
            head = head if headers is head.headers else head._replace(headers=tuple(headers))
        return head, body

    def switched(self, head: ResponseHead) -> Sequence[Header]:
        """Return the fields of a 101 without the secret. The bytes after it are not inspected."""
        fields = self.clean_fields(head.headers)
        if self._flow is not None:
            self._flow.response(head.status, head.reason, fields)
            self._flow.finish()
        return fields

    def _leaked(self, where: str) -> bool:
        """Report a leak. Returns True if another answer held the secret before."""
        elsewhere = bool(self._on_leak(where)) and not self._has_leaked
        self._has_leaked = True
        return elsewhere

    def end(self) -> None:
        """Finish: the whole response has passed."""
        self.settle()
        if self._flow is not None:
            self._flow.finish()

    def break_off(self, reason: str) -> None:
        """Finish early: no response will come, or no more of it."""
        self.settle()
        if self._flow is not None:
            self._flow.failed(reason)

    def settle(self) -> None:
        """Count the usage reported so far.

        Nothing of the response may follow.
        """
        body, self._body = self._body, None  # it refers to this: a cycle would wait for the garbage collector
        if body is not None:
            body.close()
        meter, self._meter = self._meter, None
        usage = None if meter is None else meter.usage
        if usage is not None:
            self._on_usage(usage)
        if self._tally is not None:
            likely = None if meter is None else meter.likely_usage
            self._tally.settle(likely, is_final=meter is not None and meter.is_final)


class _Recorded(NamedTuple):
    flow: Flow

    def feed(self, piece: bytes) -> None:
        self.flow.response_piece(piece)

    def finish(self) -> None:
        """Do nothing: the exchange ends the flow."""
