"""Check that a request presents the phantom of its own route, no other key, and a phantom nowhere else."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from urllib.parse import unquote_plus

from nono.credentials.logins.phantom import MARK
from nono.credentials.values.credential import Outgoing
from nono.named_tuple import NamedTuple
from nono.policy.services import key_slot
from nono.proxy.http.message import Header
from nono.proxy.http.refusal import Refusal
from nono.proxy.verdict.routes import Phantom, Route, RouteTable
from nono.proxy.verdict.slots import (
    Slots,
    header_slots,
    key_in,
    key_params,
    path_patterns,
    path_slot,
    query_keys,
    target_texts,
)
from nono.proxy.verdict.verdict import Mechanism


class Presented(NamedTuple):
    """The request presents the phantom and no other key."""

    target: bytes  # phantom removed, or replaced with a placeholder for the credential
    mechanism: Mechanism
    fields: tuple[Header, ...] = ()  # the header fields whose phantoms are replaced with tokens


def without_phantoms(recorded: str, routes: RouteTable, session_token: Phantom) -> str:
    """Return `recorded`, the path of a refused request, without parts holding a phantom or session token."""
    target = recorded.encode("ascii", "backslashreplace")
    for pattern in path_patterns(routes.routes):
        for slot in reversed(key_slot.all_in_path(pattern, target)):
            if routes.owner_of(key_in(target, slot)) is not None:
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
    for pattern in path_patterns(routes):
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
    key: gh gives its own to git. A second value, the phantom of any other service, or a key of the command's
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
    strays = target_texts(neutral, routes)
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
    if route.inject.mode == "url_path" and path_slot(route, route.inject, neutral) is None:
        error = f"the path has no place for the key: it must hold {route.inject.path_pattern}"
        return Refusal(400, error, host, "path_pattern")
    return Presented(neutral, _mechanism(route, presented))


_MECHANISMS: dict[str, Mechanism] = {"url_path": "phantom_path", "query_param": "phantom_query"}


def _mechanism(route: Route, presented: Slots) -> Mechanism:
    names = key_params(route, presented.target)
    if query_keys(names, presented.target) and not header_slots(presented.headers, route.key_headers):
        return "phantom_query"
    return _MECHANISMS.get(route.accept.mode, "phantom_header")


def _neutral(route: Route, target: bytes) -> bytes:
    """Return `target` without the phantom, with a placeholder in the path if the credential goes there."""
    accept, inject = route.accept, route.inject
    injects_in_path = inject.mode == "url_path"
    if accept.mode == "url_path" and not (injects_in_path and accept.path_pattern == inject.path_pattern):
        slot = path_slot(route, accept, target)
        target = target if slot is None else key_slot.cut_from_path(target, slot)
    for side in (accept, inject):
        if side.mode == "query_param":
            target = key_slot.without_query(side.query_param, target)
    for name in key_params(route, target):
        target = key_slot.without_query(name, target)
    if injects_in_path:
        slot = path_slot(route, inject, target)
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
    return f"use the placeholder that nono puts into the variables of {route.service!r}"


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
    texts += target_texts(target, routes)
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
