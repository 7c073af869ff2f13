"""Show a person who approves a request its real target and body, without phantoms and keys."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from urllib.parse import unquote_to_bytes

from nono.approval.request import SHOWN_BYTES, EndpointRequest, HeldBody
from nono.credentials.logins.phantom import MARK
from nono.policy.endpoints.policy import EndpointVerdict
from nono.proxy.http.message import Header
from nono.proxy.verdict.routes import Route
from nono.proxy.verdict.verdict import Forward

_BETWEEN_WORDS = re.compile(rb"([^A-Za-z0-9._~+%-]+)")  # no phantom holds one of these
_MASKED = b"[PHANTOM]"


class BodyDigest:
    """Digest a body as it arrives, because digesting a long one at its end would block the loop."""

    __slots__ = ("_begins", "_hash", "_length")

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._begins = b""
        self._length = 0

    def feed(self, piece: bytes) -> None:
        self._hash.update(piece)
        self._begins += piece[: SHOWN_BYTES - len(self._begins)]
        self._length += len(piece)

    def held(self, headers: Sequence[Header]) -> HeldBody:
        return HeldBody(self._length, self._hash.hexdigest(), self._begins, _media_type(headers))


def endpoint_request(
    verdict: Forward, rule: EndpointVerdict, body: HeldBody | None, routes: Iterable[Route]
) -> EndpointRequest:
    """Return the question about a request. `routes`: all routes of the run; masks their phantoms and keys."""
    known = list(routes)
    if body is not None:
        body = body._replace(begins=_masked(body.begins, known))
    return EndpointRequest(
        verdict.origin.host,
        verdict.entry.method,
        verdict.entry.path or "",
        verdict.entry.route_id,
        rule,
        target=_masked(verdict.request.target, known).decode("ascii", "replace"),
        body=body,
        is_websocket=verdict.websocket_key is not None,
    )


def _masked(text: bytes, routes: Sequence[Route]) -> bytes:
    """Mask each word that contains a phantom, and each key.

    Neither should occur: a phantom in a target is refused, and the command has no key.
    """
    words = _BETWEEN_WORDS.split(text)
    text = b"".join(_MASKED if _holds_phantom(word, routes) else word for word in words)
    for route in routes:
        detector = None if route.credential is None else route.credential.tripwire()
        if detector is not None:
            text = detector.mask_text(text) or text
    return text


def _holds_phantom(word: bytes, routes: Sequence[Route]) -> bool:
    plain = unquote_to_bytes(word)
    if MARK.search(plain.decode("latin-1")):
        return True
    return any(route.phantom is not None and route.phantom.appears_in(plain) for route in routes)


def _media_type(headers: Sequence[Header]) -> str:
    """Return every Content-Type, then every Content-Encoding: servers differ in which one they use."""
    named = (b"content-type", b"content-encoding")
    values = [value for wanted in named for name, value in headers if name.lower() == wanted]
    return b", ".join(values).decode("latin-1")
