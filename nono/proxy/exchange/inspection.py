"""What is looked at in the exchanges of a run: the tripwire, the tokens used, the record of flows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from nono.credentials.values.credential import LeakDetector
from nono.named_tuple import NamedTuple
from nono.proxy.exchange.response_filter import BodyFilter, Tap, clean_head, filtered, masked
from nono.proxy.http.message import Header, ResponseHead
from nono.proxy.usage.meter import Usage, UsageMeter, provider_of
from nono.proxy.verdict.verdict import Forward

if TYPE_CHECKING:
    from nono.proxy.flows.recorder import Flow


class Inspection:
    """Of one exchange. on_leak is told where the secret was found; on_usage what the response used up."""

    __slots__ = ("_flow", "_meter", "_on_leak", "_on_usage", "_verdict", "_watcher")

    def __init__(
        self,
        verdict: Forward,
        flow: Flow | None,
        on_leak: Callable[[str], None],
        on_usage: Callable[[Usage | None], None],
    ) -> None:
        self._verdict = verdict
        self._flow = flow
        self._on_leak = on_leak
        self._on_usage = on_usage
        self._meter: UsageMeter | None = None
        # Not there before arm: nothing passes unsearched because that was forgotten.
        self._watcher: LeakDetector | None

    def arm(self) -> None:
        """Watch for the credential that the route has now; called before anything of the exchange passes."""
        route = self._verdict.route
        if route is None or not route.watched or route.credential is None:
            self._watcher = None
        else:
            self._watcher = route.credential.watcher()

    @property
    def reads_bodies(self) -> bool:
        """Whether a body has to come in a coding that can be undone here."""
        return self._watcher is not None

    def request_piece(self, piece: bytes) -> None:
        if self._flow is not None:
            self._flow.request_piece(piece)

    def clean_fields(self, fields: Sequence[Header]) -> Sequence[Header]:
        """fields without the secret."""
        watcher = self._watcher
        return fields if watcher is None else masked(fields, watcher, self._on_leak)

    def interim(self, head: ResponseHead) -> ResponseHead:
        """The head of a 1xx without the secret."""
        watcher = self._watcher
        return head if watcher is None else clean_head(head, watcher, self._on_leak)

    def begin(self, head: ResponseHead) -> tuple[ResponseHead, BodyFilter | None]:
        """The head to relay, and what its body goes through. MessageError: it cannot be searched."""
        taps: list[Tap] = []
        if self._verdict.route is not None and self._verdict.request.method == b"POST" and head.status == 200:
            self._meter = self._meter_of(head)
            taps += [] if self._meter is None else [self._meter]
        if self._flow is not None:
            taps.append(_Recorded(self._flow))
        head, body = filtered(head, self._watcher, taps, self._on_leak)
        if self._flow is not None:
            self._flow.response(head.status, head.reason, head.headers)
        return head, body

    def switched(self, head: ResponseHead) -> Sequence[Header]:
        """The fields of a 101 without the secret; what follows it is not looked at."""
        fields = self.clean_fields(head.headers)
        if self._flow is not None:
            self._flow.response(head.status, head.reason, fields)
            self._flow.finish()
        return fields

    def _meter_of(self, head: ResponseHead) -> UsageMeter | None:
        path = self._verdict.request.target.decode("ascii")
        provider = provider_of(self._verdict.origin.host, path)
        if provider is None:
            return None
        kinds = [value for name, value in head.headers if name.lower() == b"content-type"]
        return UsageMeter(provider, kinds[0] if kinds else b"")

    def end(self) -> None:
        """The response has passed."""
        self._count()
        if self._flow is not None:
            self._flow.finish()

    def break_off(self, reason: str) -> None:
        """No response will come, or no more of it."""
        self._count()
        if self._flow is not None:
            self._flow.failed(reason)

    def _count(self) -> None:
        meter, self._meter = self._meter, None
        if meter is not None:
            self._on_usage(meter.usage)


class _Recorded(NamedTuple):
    flow: Flow

    def feed(self, piece: bytes) -> None:
        self.flow.response_piece(piece)

    def finish(self) -> None:
        """The flow ends with the exchange."""
