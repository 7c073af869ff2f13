"""The verdict on a request that repeats the one before it on its connection, without judging it again."""

from __future__ import annotations

from nono.proxy.message import RequestHead
from nono.proxy.verdict import Forward, Verdict

_Judged = tuple[bytes, bytes, bytes, list[tuple[bytes, bytes]]]


class LastVerdict:
    """Of one connection. Clients of an API send the same head over and over, but for its Content-Length.

    Judging takes a quarter of the proxy's time for a request. Left out are refusals, and whatever could be
    judged differently the next time: an upgrade, which is the last request of its connection, and the
    phantoms of captured logins, which expire. A Forward to a static credential follows from the head and
    from what stands for the whole run. Asking a person, rate limits, the freezing of a credential and the
    record come after the verdict, and so for each request.
    """

    __slots__ = ("_judged", "_verdict")

    def __init__(self) -> None:
        self._judged: _Judged | None = None
        self._verdict: Forward | None = None

    def recall(self, head: RequestHead) -> Forward | None:
        """The verdict on the request before, when head differs from it in nothing that is judged."""
        if self._judged is None or head.wants_upgrade or self._judged != _judged(head):
            return None
        return self._verdict

    def keep(self, head: RequestHead, verdict: Verdict) -> None:
        """verdict is that on head."""
        self._judged = self._verdict = None
        if not isinstance(verdict, Forward) or verdict.websocket_key is not None:
            return
        if verdict.route is not None and verdict.route.login is None and not verdict.presented:
            self._judged, self._verdict = _judged(head), verdict


def _judged(head: RequestHead) -> _Judged:
    # The length is no part of a Forward; the exchange takes it from the request itself.
    fields = [field for field in head.headers if field[0].lower() != b"content-length"]
    return head.method, head.target, head.version, fields
