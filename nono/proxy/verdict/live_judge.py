"""Judge by rules that may change, rebuilding what was derived from them."""

from __future__ import annotations

from collections.abc import Callable

from nono.proxy.http.message import RequestHead
from nono.proxy.verdict.memo import Judge
from nono.proxy.verdict.verdict import ConnectTarget, Verdict


class LiveJudge:
    """Delegates to another judge, which renew() replaces. Each verdict comes from exactly one of them."""

    __slots__ = ("_judge", "_make")

    def __init__(self, make: Callable[[], Judge]) -> None:
        self._make = make
        self._judge = make()

    def __call__(self, head: RequestHead, inside: ConnectTarget | None) -> Verdict:
        return self._judge(head, inside)

    def renew(self) -> None:
        self._judge = self._make()
