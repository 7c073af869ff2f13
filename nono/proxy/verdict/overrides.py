"""Refuse requests from which some servers read another method or path than the request line's."""

from __future__ import annotations

from collections.abc import Sequence

from nono.policy.endpoints.overrides import overridden, overriding_parameter
from nono.proxy.http.message import Header
from nono.proxy.http.passing import folded
from nono.proxy.http.refusal import Refusal

# Google's APIs, Rack; Symfony, IIS.
_FIELDS = frozenset(
    (b"x-http-method", b"x-http-method-override", b"x-method-override", b"x-original-url", b"x-rewrite-url")
)


def override_refused(headers: Sequence[Header], path: bytes, host: str) -> Refusal | None:
    """Refuse a request with a field or query parameter that could replace the judged method or path.

    path: as sent, with its query.
    """
    what = _overriding(headers, path)
    if what is None:
        return None
    # Not stripped, because the request would then differ from the one its sender meant.
    return Refusal(
        403,
        overridden(what),
        host,
        hint=f"send the request that is meant, without {what}",
        category="endpoint_policy",
    )


def _overriding(headers: Sequence[Header], path: bytes) -> str | None:
    for name, _ in headers:
        if folded(name) in _FIELDS:
            return name.decode("ascii")
    return overriding_parameter(path.partition(b"?")[2].decode("ascii", "replace"))
