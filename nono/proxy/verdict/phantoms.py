"""Check that a request presents the phantom of its own route and no other key."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from urllib.parse import unquote, unquote_plus

from nono.credentials.logins.phantom import MARK
from nono.credentials.values.credential import Outgoing
from nono.named_tuple import NamedTuple
from nono.policy.schema.route_rules import Inject
from nono.policy.services import key_slot
from nono.proxy.http.message import Header
from nono.proxy.http.refusal import Refusal
from nono.proxy.http.websocket import PROTOCOL, protocol_keys
from nono.proxy.verdict.routes import KEY_HEADERS, Phantom, Route, RouteTable
from nono.proxy.verdict.verdict import Mechanism

Slot = tuple[str, ...]  # the readings of one slot, one of which is the key


class Presented(NamedTuple):
    """The request presents the phantom and no other key."""

    target: bytes  # phantom removed, or replaced with a placeholder for the credential
    mechanism: Mechanism
    fields: tuple[Header, ...] = ()  # the header fields whose phantoms are replaced with tokens


def _basic(encoded: str) -> Slot:
    """Return user and password of a Basic value: clients put a token in either."""
    try:
        user, _, password = b64decode(encoded, validate=True).decode("utf-8").partition(":")
    except (Base64Error, ValueError):
        return (encoded,)
    return tuple(part for part in (user, password) if part)


def _slot(value: bytes) -> Slot:
    """Return the key in a header value: the text after the scheme, or the whole value."""
    text = value.decode("utf-8", "surrogateescape").strip()
    scheme, blank, rest = text.partition(" ")
    if not blank:
        # SDKs with an empty key send a scheme with nothing after it, which presents no key.
        return () if not text or scheme.lower() in ("bearer", "token", "basic") else (text,)
    if scheme.lower() == "basic":
        return _basic(rest.strip())
    if scheme.upper() == "AWS4-HMAC-SHA256":
        return (_access_key(rest),)
    return (rest.strip(),)


def _access_key(parameters: str) -> str:
    """Return the access key of a signed request; the rest is ignored, because the request is signed again."""
    _, found, after = parameters.partition("Credential=")
    return after.partition("/")[0] if found else parameters


def header_slots(headers: Iterable[Header], names: frozenset[bytes] = KEY_HEADERS) -> list[Slot]:
    """Return the slots of all headers called `names`, in order, without those that present no key.

    A WebSocket may present one among its subprotocols, whatever `names` says.
    """
    slots: list[Slot] = []
    for name, value in headers:
        plain = name.lower()
        if plain in names:
            slots.append(_slot(value))
        elif plain == PROTOCOL:
            slots += [(key.decode("utf-8", "surrogateescape"),) for key in protocol_keys(value) if key]
    return [slot for slot in slots if slot]


def _target_slots(route: Route, target: bytes) -> list[Slot]:
    """Return the slots in the route's own places in the target. Raises key_slot.AmbiguousQueryError."""
    accept, names = route.accept, _key_params(route, target)
    found: list[Slot] = []
    if accept.mode == "url_path":
        slot = _path_slot(route, accept, target)
        found += [] if slot is None else [(_key(target, slot),)]
    if accept.mode == "query_param":
        names = [accept.query_param, *names]
    return found + [(value,) for value in _values(names, target)]


def _key_params(route: Route, target: bytes) -> list[str]:
    """Return those of the route's key_params that may be in the query: others make no query ambiguous."""
    return [name for name in route.key_params if key_slot.may_have(name, target)]


def _values(names: Iterable[str], target: bytes) -> list[str]:
    """Return the values of these parameters that are not empty. Raises key_slot.AmbiguousQueryError."""
    return [value for name in names for value in key_slot.query_values(name, target) if value]


class Slots:
    """The slots in which one request presents keys, computed once per route. `target` is canonical."""

    __slots__ = ("_found", "headers", "target")

    def __init__(self, headers: Sequence[Header], target: bytes) -> None:
        self.headers = headers
        self.target = target
        self._found: dict[str, list[Slot]] = {}  # by service

    def of(self, route: Route) -> list[Slot]:
        """Return every slot that presents a key to `route`. Raises key_slot.AmbiguousQueryError."""
        found = self._found.get(route.service)
        if found is None:
            found = [*_target_slots(route, self.target), *header_slots(self.headers, route.key_headers)]
            self._found[route.service] = found
        return found


def _path_slot(route: Route, side: Inject, target: bytes) -> key_slot.PathSlot | None:
    """Find the slot of the pattern, which applies to the path below the base path."""
    return key_slot.find_in_path(side.path_pattern, target, len(route.origin.base_path))


def _key(target: bytes, slot: key_slot.PathSlot) -> str:
    return unquote(target[slot.start : slot.end].decode("ascii", "replace"))


def _patterns(routes: Iterable[Route]) -> set[str]:
    return {side.path_pattern for route in routes for side in (route.accept, route.inject)} - {""}


def _target_texts(target: bytes, routes: RouteTable) -> list[str]:
    """Return every part of a target that could be a phantom, wherever it is."""
    if b"%" not in target and not any(phantom.appears_in(target) for phantom in routes.phantoms):
        return []  # no part of the target can be a phantom
    path, _, query = target.decode("ascii", "replace").partition("?")
    texts = [unquote(segment) for segment in path.split("/")]
    for pattern in _patterns(routes.routes):
        texts += [_key(target, slot) for slot in key_slot.all_in_path(pattern, target)]
    # A semicolon also separates parameters for some servers (HTML 4.01 appendix B.2.2).
    for name, _, value in (pair.partition("=") for pair in re.split("[&;]", query)):
        texts += [unquote_plus(name), unquote_plus(value)]
    return [text for text in texts if text]


def without_phantoms(recorded: str, routes: RouteTable, session_token: Phantom) -> str:
    """Return `recorded`, the path of a refused request, without parts holding a phantom or session token."""
    target = recorded.encode("ascii", "backslashreplace")
    for pattern in _patterns(routes.routes):
        for slot in reversed(key_slot.all_in_path(pattern, target)):
            if routes.owner_of(_key(target, slot)) is not None:
                target = key_slot.fill_path(target, slot, key_slot.PLACEHOLDER)
    parts = re.split("([/?&;=])", target.decode("ascii"))
    placeholder = key_slot.PLACEHOLDER.decode("ascii")
    secrets = [session_token, *(route.phantom for route in routes.routes if route.phantom is not None)]
    for index, part in enumerate(parts):
        text = unquote_plus(part)
        # Login phantoms are recognised by their mark and removed too: a later run would still redeem them.
        if MARK.search(text) or any(secret.appears_in(text.encode()) for secret in secrets):
            parts[index] = placeholder
    return "".join(parts)


def without_path_keys(routes: Iterable[Route], target: bytes) -> bytes:
    """Return `target` for the record, with a placeholder wherever a route has its key in the path.

    `target` need not be canonical, and may lack the base path.
    """
    for pattern in _patterns(routes):
        for slot in reversed(key_slot.all_in_path(pattern, target)):
            target = key_slot.fill_path(target, slot, key_slot.PLACEHOLDER)
    return target


def _foreign(texts: Iterable[str], routes: RouteTable, own: Route | None) -> Route | None:
    """Return another route whose phantom is among `texts`, or None. All are compared."""
    owners = [routes.owner_of(text) for text in texts if text]
    others = [owner for owner in owners if owner is not None and (own is None or not _is_of(own, owner))]
    return others[0] if others else None


def _is_of(route: Route, owner: Route) -> bool:
    """Return True if the phantom of `owner` stands for the key of `route`."""
    return owner is route or owner.service in route.same_key


def _failed(status: int, error: str, host: str, hint: str) -> Refusal:
    return Refusal(status, error, host, "phantom", None, hint, category="authentication_failed")


def check(route: Route, presented: Slots, routes: RouteTable) -> Presented | Refusal:
    """Check that the phantom of `route` is presented, and no other key.

    The same phantom in several slots counts as one key, and so does that of another service with the same
    key: gh gives its own to git. A second value, the phantom of any other service, or a key of the child's
    own is refused, because the proxy does not guess which one was meant.
    """
    phantom = route.phantom
    host = route.origin.host
    if phantom is None:
        return _failed(401, f"no placeholder exists for {route.service!r}", host, "check the credential")
    try:
        slots = presented.of(route)
        neutral = _neutral(route, presented.target)
    except key_slot.AmbiguousQueryError as fault:
        return Refusal(400, str(fault), host)
    strays = _target_texts(neutral, routes)
    other = _foreign((*(text for slot in slots for text in slot), *strays), routes, route)
    if other is not None:
        return wrong_host(other, repr(route.service), host)
    phantoms = [phantom, *(each.phantom for each in routes.routes if each.service in route.same_key)]
    is_astray = _match_any(phantoms, strays)
    if not slots:
        return _misplaced(route) if is_astray else missing(route)
    if is_astray:
        error = "a placeholder was sent in the path or the query string, where this route has no key"
        return _failed(403, error, host, "send it in a header")
    own = [_match_any(phantoms, slot) for slot in slots]
    if not any(own):
        return no_phantom(route, host, _hint(route))
    if not all(own):
        return _failed(403, "a second key was sent beside the placeholder", host, "send one key per request")
    if route.inject.mode == "url_path" and _path_slot(route, route.inject, neutral) is None:
        error = f"the path has no place for the key: it must hold {route.inject.path_pattern}"
        return Refusal(400, error, host, "path_pattern")
    return Presented(neutral, _mechanism(route, presented))


_MECHANISMS: dict[str, Mechanism] = {"url_path": "phantom_path", "query_param": "phantom_query"}


def _mechanism(route: Route, presented: Slots) -> Mechanism:
    names = _key_params(route, presented.target)
    if _values(names, presented.target) and not header_slots(presented.headers, route.key_headers):
        return "phantom_query"
    return _MECHANISMS.get(route.accept.mode, "phantom_header")


def _neutral(route: Route, target: bytes) -> bytes:
    """Return `target` without the phantom, with a placeholder in the path if the credential goes there."""
    accept, inject = route.accept, route.inject
    injects_in_path = inject.mode == "url_path"
    if accept.mode == "url_path" and not (injects_in_path and accept.path_pattern == inject.path_pattern):
        slot = _path_slot(route, accept, target)
        target = target if slot is None else key_slot.cut_from_path(target, slot)
    for side in (accept, inject):
        if side.mode == "query_param":
            target = key_slot.without_query(side.query_param, target)
    for name in _key_params(route, target):
        target = key_slot.without_query(name, target)
    if injects_in_path:
        slot = _path_slot(route, inject, target)
        target = target if slot is None else key_slot.fill_path(target, slot, key_slot.PLACEHOLDER)
    return target


def owners(candidates: Sequence[Route], presented: Slots, routes: RouteTable) -> tuple[list[Route], bool]:
    """Return the candidates whose phantoms the request presents, and True if it presents any key at all."""
    texts: list[str] = []
    for route in candidates:
        try:
            texts += [text for slot in presented.of(route) for text in slot]
        except key_slot.AmbiguousQueryError:
            return [], True
    found = [routes.owner_of(text) for text in texts]
    present = [route for route in candidates if any(route is owner for owner in found)]
    if not present:
        of_same_key = (
            route for route in candidates if any(owner and _is_of(route, owner) for owner in found)
        )
        present = [*islice(of_same_key, 1)]
    return present, bool(texts)


def missing(route: Route) -> Refusal:
    return _failed(401, f"the placeholder of {route.service!r} is missing", route.origin.host, _hint(route))


def no_phantom(route: Route, host: str, hint: str) -> Refusal:
    error = f"the key that was sent is not the placeholder of {route.service!r}"
    return _failed(401, error, host, hint)


def _misplaced(route: Route) -> Refusal:
    error = f"the placeholder of {route.service!r} is in no place for a key"
    # A request that names an http host directly gets no credential, because plain http is not intercepted.
    to = f"to the URL in {route.base_url_variable}, " if route.origin.scheme == "http" else ""
    hint = f"send it {to}where the service's own clients send their key"
    return _failed(401, error, route.origin.host, hint)


def wrong_host(owner: Route, sent_to: str, host: str) -> Refusal:
    hint = f"send it to the URL in {owner.base_url_variable or owner.service}"
    refusal = _failed(403, f"the placeholder of {owner.service!r} was sent to {sent_to}", host, hint)
    return refusal._replace(freezes=owner.service)


def _match_any(phantoms: Sequence[Phantom | None], texts: Sequence[str]) -> bool:
    """Return True if one of the texts is one of the phantoms."""
    matches = [each.matches(text) for each in phantoms if each is not None for text in texts if text]
    return any(matches)  # all were compared, for constant time


def _hint(route: Route) -> str:
    if route.login is not None:
        return "log in inside the sandbox, and send what the login gave"
    return f"use the key that the variables of {route.service!r} hold inside the sandbox"


def check_elsewhere(
    headers: Sequence[Header],
    target: bytes,
    host: str,
    routes: RouteTable,
    session_token: Phantom,
    here: Sequence[Route] = (),
) -> Refusal | None:
    """Refuse a request without a credential if it carries any phantom; otherwise return None.

    headers, target: of the request; every field and every part of the target is searched.
    host: the destination.
    routes, session_token: whose phantoms, and which token, to look for.
    here: the routes of that host, whose phantoms are merely in the wrong place.
    """
    texts = [text for slot in header_slots(headers) for text in slot]
    texts += [value.decode("latin-1") for name, value in headers if name.lower() != b"proxy-authorization"]
    texts += _target_texts(target, routes)
    owner = _foreign(texts, routes, None)
    if owner is not None and any(_is_of(route, owner) for route in here):
        return _misplaced(owner)
    if owner is not None:
        return wrong_host(owner, host, host)
    if _match_any([session_token], texts):
        return _failed(403, f"the proxy's session token was sent to {host}", host, "it is for the proxy only")
    return None


def left_over(
    request: Outgoing, host: str, routes: RouteTable, session_token: Phantom, here: Sequence[Route]
) -> Refusal | None:
    """Refuse a request that still holds a phantom, even inside other text; otherwise return None.

    request: as it is about to be sent, without its credential.
    host: the destination.
    routes, session_token: whose phantoms, and which token, to look for.
    here: the routes of that host, whose phantoms are merely in the wrong place.
    """
    text = b"\n".join([request.target, *chain.from_iterable(request.headers)])
    for route in routes.routes:
        if route.phantom is not None and route.phantom.appears_in(text):
            is_here = any(_is_of(own, route) for own in here)
            return _misplaced(route) if is_here else wrong_host(route, host, host)
    if session_token.appears_in(text):
        return _failed(403, f"the proxy's session token was sent to {host}", host, "it is for the proxy only")
    return None


def proxy_authorised(headers: Iterable[Header], session_token: Phantom) -> bool:
    """Return True if exactly one Proxy-Authorization holds the session token, as Basic password or Bearer."""
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
