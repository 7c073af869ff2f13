"""Remove credentials from the heads and bodies of a recording."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import unquote_to_bytes

from nono.audit.redact import QUERY_KEYS
from nono.proxy.http.coded_streams import ContentCodingError
from nono.proxy.http.content_coding import decoder
from nono.proxy.http.message import Header
from nono.proxy.verdict.routes import KEY_HEADERS

Mask = Callable[[bytes], bytes]

REDACTED = b"[REDACTED]"
MAX_BODY_BYTES = 1024 * 1024  # recorded of a body
BEYOND_BYTES = 64 * 1024  # kept and not recorded: a secret across the cut must be whole to be recognised
MAX_KEPT_BYTES = MAX_BODY_BYTES + BEYOND_BYTES

_SECRET_HEADERS = KEY_HEADERS | {
    b"proxy-authorization", b"cookie", b"set-cookie", b"set-cookie2", b"x-auth-token",
    b"x-amz-security-token",
}  # fmt: skip
_SECRET_PARAMETERS = frozenset(name.encode() for name in QUERY_KEYS) | {
    b"api-key", b"auth", b"id_token", b"refresh_token", b"sig", b"signature", b"client_assertion",
    b"code_verifier", b"device_code", b"x-amz-credential", b"x-amz-security-token", b"x-amz-signature",
    b"x-goog-signature",
}  # fmt: skip
# Begins only at a separator and never backtracks; otherwise it would be quadratic in a text without pairs.
_PAIR = re.compile(rb"(?<![^?&;#\s])([^?&;#=\s]++)=[^?&;#\s]++")
_FORM = b"application/x-www-form-urlencoded"
_JSON_MEMBER = re.compile(
    rb'("(?:access_token|refresh_token|id_token|authorization_code|code_verifier|device_code|client_secret|api_key|apikey|password)"\s*:\s*)'
    rb'"(?:[^"\\]++|\\.)*+"?',
    re.IGNORECASE | re.DOTALL,
)


def masked_target(target: bytes, mask: Mask) -> bytes:
    """Mask a target or a header value that may be a URL; implicit OAuth grants put tokens in its fragment."""
    target = mask(target)
    mark = re.search(rb"[?#]", target)
    return target if mark is None else target[: mark.end()] + _without_parameters(target[mark.end() :])


def masked_headers(headers: Iterable[Header], mask: Mask, secret_names: frozenset[bytes]) -> list[Header]:
    """Return the headers in the same order, with values redacted or masked.

    Names are masked too, because an upstream could put a secret there. `secret_names` are lower case and add
    to the well-known names.
    """
    secret_names |= _SECRET_HEADERS
    return [
        (mask(name), REDACTED if name.lower() in secret_names else masked_target(value, mask))
        for name, value in headers
    ]


def masked_body(body: bytes, headers: Sequence[Header], mask: Mask) -> tuple[bytes, str | None]:
    """Return at most MAX_BODY_BYTES of `body`, decoded and masked, and a note on changes (None: unchanged).

    `body` is the whole body, or its first MAX_KEPT_BYTES if it is longer.
    """
    coding = b", ".join(value for name, value in headers if name.lower() == b"content-encoding")
    note = None
    if body and coding:
        decoded = _decoded(body, coding)
        if decoded is None:
            return b"", f"left out, because it is coded as {coding.decode('latin-1')!r}"
        body, note = decoded, "recorded decoded"
    cut = len(body) > MAX_BODY_BYTES
    body = _JSON_MEMBER.sub(rb'\1"%b"' % REDACTED, mask(body))
    if any(name.lower() == b"content-type" and _FORM in value.lower() for name, value in headers):
        body = _without_parameters(body)
    if cut:
        note = " and ".join(filter(None, (note, f"cut after {MAX_BODY_BYTES:,} bytes")))
    return body[:MAX_BODY_BYTES], note


def _without_parameters(pairs: bytes) -> bytes:
    """Redact the values of secret names in application/x-www-form-urlencoded pairs."""

    def replaced(pair: re.Match[bytes]) -> bytes:
        telling = unquote_to_bytes(pair[1]).lower() in _SECRET_PARAMETERS
        return pair[1] + b"=" + REDACTED if telling else pair[0]

    return _PAIR.sub(replaced, pairs)


def _decoded(body: bytes, coding: bytes) -> bytes | None:
    """Decode the beginning of `body`, which may be cut; None if that is not possible."""
    steps = decoder(coding)
    if steps is None:
        return None
    decoded = bytearray()
    try:
        for step in steps.feed(body):
            decoded += step
            if len(decoded) >= MAX_KEPT_BYTES:
                break
    except ContentCodingError:
        return None
    return bytes(decoded[:MAX_KEPT_BYTES])
