"""What is looked at in the exchanges of a run: the tripwire, the tokens used, the record of flows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nono.proxy.message import Header, ResponseHead
from nono.proxy.response_filter import BodyFilter, filtered, masked
from nono.proxy.usage import Usage, UsageMeter, provider_of
from nono.proxy.verdict import Forward


class Inspection:
    """Of one exchange. on_leak is told where the secret was found; on_usage what the response used up."""

    def __init__(
        self,
        verdict: Forward,
        on_leak: Callable[[str], None],
        on_usage: Callable[[Usage | None], None],
    ) -> None:
        route = verdict.route
        credential = route.credential if route is not None and route.watched else None
        # Asked for each exchange, because a token that is renewed is another secret.
        self._watcher = None if credential is None else credential.watcher()
        self._verdict = verdict
        self._on_leak = on_leak
        self._on_usage = on_usage
        self._meter: UsageMeter | None = None

    @property
    def reads_bodies(self) -> bool:
        """Whether a body has to come in a coding that can be undone here."""
        return self._watcher is not None

    def clean_fields(self, fields: Sequence[Header]) -> Sequence[Header]:
        """fields without the secret."""
        return fields if self._watcher is None else masked(fields, self._watcher, self._on_leak)

    def begin(self, head: ResponseHead) -> tuple[ResponseHead, BodyFilter | None]:
        """The head to relay, and what its body goes through. MessageError: it cannot be searched."""
        request = self._verdict.request
        if self._verdict.route is not None and request.method == b"POST" and head.status == 200:
            provider = provider_of(self._verdict.origin.host, request.target.decode("ascii"))
            if provider is not None:
                kinds = [value for name, value in head.headers if name.lower() == b"content-type"]
                self._meter = UsageMeter(provider, kinds[0] if kinds else b"")
        taps = [] if self._meter is None else [self._meter]
        return filtered(head, self._watcher, taps, self._on_leak)

    def end(self) -> None:
        """The response has passed, or broken off."""
        meter, self._meter = self._meter, None
        if meter is not None:
            self._on_usage(meter.usage)
