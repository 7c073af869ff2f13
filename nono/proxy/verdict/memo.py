"""Keep the verdicts on heads that clients send repeatedly; see docs/adr/0010-repeated-heads.md."""

from __future__ import annotations

from collections.abc import Callable

from nono.proxy.http.message import BodyKind, RequestHead
from nono.proxy.verdict.verdict import ConnectTarget, Refused, Verdict

MAX_KEPT = 128
MAX_KEPT_BYTES = 4096  # of a head's target and fields; a command may send any number of heads

Judge = Callable[[RequestHead, ConnectTarget | None], Verdict]


class VerdictMemo:
    """Caches another judge, which must depend on nothing but its arguments.

    Refusals are not kept, so a refused client pays the full price each time. The key is everything that is
    judged, by value, except the length of the body: Content-Length is rewritten from the head that was read,
    and the only rule that looks at it is that of a WebSocket handshake, whose key differs each time anyway.
    """

    __slots__ = ("_judge", "_kept")

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._kept: dict[object, Verdict] = {}

    def __call__(self, head: RequestHead, inside: ConnectTarget | None = None) -> Verdict:
        headers = head.headers
        if head.body.kind is BodyKind.LENGTH:
            headers = tuple([field for field in headers if field[0].lower() != b"content-length"])
        key = (head.method, head.target, headers, head.version, inside)
        kept = self._kept.get(key)
        if kept is not None and not head.wants_upgrade:
            return kept
        verdict = self._judge(head, inside)
        if not isinstance(verdict, Refused) and not head.wants_upgrade and _size(head) <= MAX_KEPT_BYTES:
            if len(self._kept) >= MAX_KEPT:
                del self._kept[next(iter(self._kept))]  # the oldest
            self._kept[key] = verdict
        return verdict


def _size(head: RequestHead) -> int:
    return len(head.target) + sum(len(name) + len(value) for name, value in head.headers)
