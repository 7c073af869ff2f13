"""Find the slots of a request in which keys are presented: header fields, path and query string."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterable, Sequence
from urllib.parse import unquote, unquote_plus

from nono.policy.schema.route_rules import Inject
from nono.policy.services import key_slot
from nono.proxy.http.message import Header
from nono.proxy.http.websocket import PROTOCOL, protocol_keys
from nono.proxy.verdict.routes import KEY_HEADERS, Route, RouteTable

Slot = tuple[str, ...]  # the readings of one slot, one of which is the key


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
    accept, names = route.accept, key_params(route, target)
    found: list[Slot] = []
    if accept.mode == "url_path":
        slot = path_slot(route, accept, target)
        found += [] if slot is None else [(key_in(target, slot),)]
    if accept.mode == "query_param":
        names = [accept.query_param, *names]
    return found + [(value,) for value in query_keys(names, target)]


def key_params(route: Route, target: bytes) -> list[str]:
    """Return those of the route's key_params that may be in the query: others make no query ambiguous."""
    return [name for name in route.key_params if key_slot.may_have(name, target)]


def query_keys(names: Iterable[str], target: bytes) -> list[str]:
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


def path_slot(route: Route, side: Inject, target: bytes) -> key_slot.PathSlot | None:
    """Find the slot of the pattern, which applies to the path below the base path."""
    return key_slot.find_in_path(side.path_pattern, target, len(route.origin.base_path))


def key_in(target: bytes, slot: key_slot.PathSlot) -> str:
    return unquote(target[slot.start : slot.end].decode("ascii", "replace"))


def path_patterns(routes: Iterable[Route]) -> set[str]:
    return {side.path_pattern for route in routes for side in (route.accept, route.inject)} - {""}


def target_texts(target: bytes, routes: RouteTable) -> list[str]:
    """Return every part of a target that could be a phantom, wherever it is."""
    if b"%" not in target and not any(phantom.appears_in(target) for phantom in routes.phantoms):
        return []  # no part of the target can be a phantom
    path, _, query = target.decode("ascii", "replace").partition("?")
    texts = [unquote(segment) for segment in path.split("/")]
    for pattern in path_patterns(routes.routes):
        texts += [key_in(target, slot) for slot in key_slot.all_in_path(pattern, target)]
    # A semicolon also separates parameters for some servers (HTML 4.01 appendix B.2.2).
    for name, _, value in (pair.partition("=") for pair in re.split("[&;]", query)):
        texts += [unquote_plus(name), unquote_plus(value)]
    return [text for text in texts if text]
