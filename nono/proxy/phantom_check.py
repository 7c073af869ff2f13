"""Whether a request presents the phantom of its own route, and nothing else that could be a key."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterable, Sequence
from urllib.parse import unquote_plus

from nono.proxy.message import Header
from nono.proxy.refusal import Refusal
from nono.proxy.route import Phantom, Route, RouteTable

# The last two are GitLab's and Azure's.
KEY_HEADERS = frozenset((b"authorization", b"x-api-key", b"x-goog-api-key", b"private-token", b"api-key"))
_MAX_QUERY_PAIRS = 100

Presented = tuple[str, ...]  # the spellings of one slot, of which one is the key


def _basic(encoded: str) -> Presented:
    """User and password of a Basic value: clients put a token in either."""
    try:
        user, _, password = b64decode(encoded, validate=True).decode("utf-8").partition(":")
    except (Base64Error, ValueError):
        return (encoded,)
    return tuple(part for part in (user, password) if part)


def _slot(value: bytes) -> Presented:
    """What one header value presents: the text after a scheme, or the whole of it."""
    text = value.decode("utf-8", "surrogateescape").strip()
    scheme, blank, rest = text.partition(" ")
    if not blank:
        # A scheme with nothing after it, as SDKs send it when the key is empty, presents nothing.
        return () if not text or scheme.lower() in ("bearer", "token", "basic") else (text,)
    if scheme.lower() == "basic":
        return _basic(rest.strip())
    return (rest.strip(),)


def presented(headers: Iterable[Header], inject_header: str = "") -> list[Presented]:
    """Every slot a key can be in, in order; slots that are empty are left out."""
    names = KEY_HEADERS | {inject_header.lower().encode("ascii")}
    slots = [_slot(value) for name, value in headers if name.lower() in names]
    return [slot for slot in slots if slot]


def _query_values(target: bytes) -> list[str]:
    query = target.partition(b"?")[2].decode("ascii", "replace")
    return [unquote_plus(pair.partition("=")[2]) for pair in query.split("&", _MAX_QUERY_PAIRS)]


def _foreign(texts: Iterable[str], routes: RouteTable, own: Route | None) -> Route | None:
    """The other route whose phantom is among texts. All are compared."""
    owners = [routes.owner_of(text) for text in texts if text]
    others = [owner for owner in owners if owner is not None and owner is not own]
    return others[0] if others else None


def _failed(status: int, error: str, host: str, hint: str) -> Refusal:
    return Refusal(status, error, host, "phantom", None, hint, category="authentication_failed")


def check(route: Route, headers: Sequence[Header], target: bytes, routes: RouteTable) -> Refusal | None:
    """None when the phantom of route, and no other key, is presented; the refusal otherwise.

    The same phantom in several slots is one key. A second value beside it, the phantom of another
    service, or a key of the child's own is refused: which one was meant is not for the proxy to guess.
    """
    phantom = route.phantom
    if phantom is None:
        return _failed(
            401, f"no phantom exists for {route.service!r}", route.origin.host, "check the credential"
        )
    slots = presented(headers, route.inject_header)
    texts = [text for slot in slots for text in slot]
    query = _query_values(target) if b"?" in target else []
    other = _foreign((*texts, *query), routes, route)
    host = route.origin.host
    if other is not None:
        return _failed(
            403,
            f"the phantom of {other.service!r} was sent to {route.service!r}",
            host,
            f"send it to the URL in {other.base_url_variable or other.service}",
        )
    if _matches_any(phantom, query):
        return _failed(403, "a phantom was sent in the query string", host, "send it in a header")
    own = [_matches_any(phantom, slot) for slot in slots]
    if not slots:
        return _failed(401, f"the phantom of {route.service!r} is missing", host, _hint(route))
    if not any(own):
        return _failed(
            401, f"the key that was sent is not the phantom of {route.service!r}", host, _hint(route)
        )
    if not all(own):
        return _failed(403, "a second key was sent beside the phantom", host, "send one key per request")
    return None


def _matches_any(phantom: Phantom, texts: Sequence[str]) -> bool:
    matches = [phantom.matches(text) for text in texts if text]  # all of them, whichever it is
    return any(matches)


def _hint(route: Route) -> str:
    return f"use the key that the variables of {route.service!r} hold inside the sandbox"


def check_elsewhere(
    headers: Sequence[Header], target: bytes, host: str, routes: RouteTable, session_token: Phantom
) -> Refusal | None:
    """For a request that leaves to a host that is no route: the refusal when it carries any phantom."""
    texts = [text for slot in presented(headers) for text in slot]
    texts += [value.decode("latin-1") for name, value in headers if name.lower() != b"proxy-authorization"]
    if b"?" in target:
        texts += _query_values(target)
    owner = _foreign(texts, routes, None)
    if owner is not None:
        hint = f"send it to the URL in {owner.base_url_variable or owner.service}"
        return _failed(403, f"the phantom of {owner.service!r} was sent to {host}", host, hint)
    if _matches_any(session_token, texts):
        return _failed(403, f"the proxy's session token was sent to {host}", host, "it is for the proxy only")
    return None


def proxy_authorised(headers: Iterable[Header], session_token: Phantom) -> bool:
    """Whether exactly one Proxy-Authorization field holds the session token, as Basic password or Bearer."""
    values = [value for name, value in headers if name.lower() == b"proxy-authorization"]
    if len(values) != 1:
        return False
    scheme, _, rest = values[0].decode("latin-1").partition(" ")
    match scheme.lower():
        case "bearer":
            return session_token.matches(rest.strip())
        case "basic":
            try:
                user_and_password = b64decode(rest.strip(), validate=True).decode("utf-8")
            except (Base64Error, ValueError):
                return False
            return session_token.matches(user_and_password.partition(":")[2])
        case _:
            return False
