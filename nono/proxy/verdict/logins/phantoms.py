"""Check that a request presents one redeemable phantom of a captured login and no other key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import unquote_plus

from nono.credentials.logins.phantom import MARK, PhantomError, nonces_in_field
from nono.credentials.logins.tokens import LoginCredential
from nono.proxy.http.message import Header
from nono.proxy.http.passing import end_to_end
from nono.proxy.http.refusal import Refusal
from nono.proxy.verdict import phantoms
from nono.proxy.verdict.phantoms import Presented, missing
from nono.proxy.verdict.routes import Phantom, Route, RouteTable
from nono.proxy.verdict.slots import header_slots
from nono.proxy.verdict.verdict import Capture, Forward, Refused, Verdict

_HINT = "log in inside the sandbox, and send what the login gave"
_NOT_SENT_ON = frozenset((b"host", b"content-length", b"expect"))
# Fields an upstream may display, in a list of sessions for instance; a token in one could be read back.
_DESCRIPTIVE = frozenset(
    (
        b"accept accept-charset accept-encoding accept-language baggage content-disposition content-language "
        b"content-location content-type forwarded from origin referer traceparent tracestate user-agent via "
        b"x-forwarded-for x-forwarded-host x-request-id x-title"
    ).split()
)


def owners(candidates: Iterable[Route], headers: Sequence[Header]) -> list[Route]:
    """Return the candidates that redeem a phantom in `headers`."""
    try:
        nonces = _nonces(headers)
    except PhantomError:
        return []
    return [
        route
        for route in candidates
        if route.login is not None and any(route.login.refusal(nonce) is None for nonce in nonces)
    ]


def check(
    route: Route,
    login: LoginCredential,
    headers: Sequence[Header],
    target: bytes,
    routes: RouteTable,
    session_token: Phantom,
) -> Presented | Refusal:
    """Check that one phantom `login` redeems is presented, and no other key. `target` is canonical."""
    host = route.origin.host
    fields = presented(login, headers, target, host, routes, session_token)
    if isinstance(fields, Refusal):
        return fields
    keys = header_slots(headers)
    if not fields and not keys:
        return missing(route)
    if not fields:
        return _failed(
            401, f"the key that was sent is not a placeholder of a login of {route.service!r}", host
        )
    if not all(any(MARK.search(text) for text in key) for key in keys):
        return _failed(403, "a second key was sent beside the placeholder", host)
    return Presented(target, "phantom_header", fields)


def presented(
    login: LoginCredential,
    headers: Sequence[Header],
    target: bytes,
    host: str,
    routes: RouteTable,
    session_token: Phantom,
) -> tuple[Header, ...] | Refusal:
    """Return the fields to redeem: for each name with a phantom, all its fields. Empty without a phantom."""
    if MARK.search(unquote_plus(target.decode("ascii", "replace"))):
        return _failed(403, "the placeholder of a login was sent in the path or the query string", host)
    other = phantoms.check_elsewhere(headers, target, host, routes, session_token)
    if other is not None:
        return other
    try:
        nonces = _nonces(headers)
    except PhantomError as fault:
        return _failed(403, str(fault), host)
    names = {name.lower() for name, value in _for_upstream(headers) if nonces_in_field(value)}
    if names & _DESCRIPTIVE:
        return _failed(403, "the placeholder of a login was sent in a header that holds no key", host)
    if len(nonces) > 1:
        return _failed(403, "the placeholders of two tokens were sent together", host)
    refused = [refusal for nonce in nonces if (refusal := login.refusal(nonce))]
    if refused:
        return _failed(401, refused[0].reason, host)._replace(hint=refused[0].hint or _HINT)
    return tuple(field for field in _for_upstream(headers) if field[0].lower() in names)


def check_elsewhere(headers: Sequence[Header], target: bytes, host: str) -> Refusal | None:
    """Refuse a request that carries any login's phantom where none is redeemed; None if it carries none."""
    in_target = MARK.search(unquote_plus(target.decode("ascii", "replace")))
    if in_target or any(_shows_phantom(value) for _, value in headers):
        return _failed(403, f"the placeholder of a login was sent to {host}", host)
    return None


def captured(verdict: Forward, routes: RouteTable) -> Verdict:
    """Judge an otherwise allowed request to a host whose answers may hold tokens."""
    origin, path = verdict.origin, verdict.request.target.partition(b"?")[0].decode("ascii")
    if routes.logins.endpoint(origin.host, origin.port, path) is not None:
        error = f"a login gets its tokens at {origin.authority.decode('ascii')}{path} itself"
        hint = "use its own URL, through HTTPS_PROXY"
        answer = Refusal(403, error, origin.host, "token_endpoints", hint=hint, category="endpoint_policy")
        return Refused(verdict.entry, answer)
    if verdict.websocket_key is not None:
        return Refused(verdict.entry, no_websocket(origin.host))
    return Capture(verdict, None)


def no_websocket(host: str) -> Refusal:
    """Refuse a WebSocket to a host whose answers are searched whole."""
    return Refusal(
        403,
        f"a WebSocket is not allowed on {host}, where logins get their tokens",
        host,
        "token_endpoints",
        category="unsupported_upgrade",
        closes=True,
    )


def _nonces(headers: Sequence[Header]) -> list[str]:
    """Return each nonce once. Raises PhantomError like nonces_in_field()."""
    found = (nonce for _, value in _for_upstream(headers) for nonce in nonces_in_field(value))
    return list(dict.fromkeys(found))


def _for_upstream(headers: Sequence[Header]) -> list[Header]:
    """Return the fields that reach the upstream unchanged."""
    return end_to_end(headers, without=_NOT_SENT_ON)


def _shows_phantom(value: bytes) -> bool:
    try:
        return bool(nonces_in_field(value))
    except PhantomError:
        return True


def _failed(status: int, error: str, host: str) -> Refusal:
    return Refusal(status, error, host, "phantom", None, _HINT, category="authentication_failed")
