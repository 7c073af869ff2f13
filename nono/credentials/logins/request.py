"""Replace phantoms by tokens in the body of a request to a token endpoint."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from nono.credentials.logins.phantom import MARK, nonce_of
from nono.policy.services.oauth_routes import TokenEndpoint
from nono.secret import Secret

MAX_BODY_BYTES = 64 * 1024  # of a request to a token endpoint
_MAX_PAIRS = 1000  # of a form
_UNICODE = re.compile(r"%u([0-9a-f]{4})", re.IGNORECASE)  # which .NET undoes
# How much of a field's name counts. PHP ends it at NUL, takes a[b] for a, and a[b for a_b.
_COUNTING = (re.compile(r"(?s:.*)"), re.compile(r"[\W_]*[^\0]*"), re.compile(r"[\W_]*[^\0\[]*"))

TokenOf = Callable[[str], Secret]  # by nonce; LoginRefusedError: it may not be redeemed


class LoginRefusedError(ValueError):
    """A login step must not proceed. The message is one sentence without any token or phantom."""

    def __init__(self, reason: str, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


def redeemed_body(endpoint: TokenEndpoint, body: bytes, token_of: TokenOf) -> bytes:
    """Return the body for `endpoint` only; unchanged if it contains no phantom.

    Phantoms are redeemed in the named fields only. Anywhere else a phantom is useless to the provider, so it
    is refused with LoginRefusedError, which makes the mistake in the profile visible. So is a body that is
    too long, or not in the format of the endpoint.
    """
    if len(body) > MAX_BODY_BYTES:
        raise LoginRefusedError(f"a request to the token endpoint is longer than {MAX_BODY_BYTES} bytes")
    document = None if endpoint.request_body == "form" else _json(body)
    if document is None and endpoint.request_body == "json":
        raise LoginRefusedError("the body of a request to the token endpoint is not JSON")
    redeemed = False

    def redeem(value: str) -> str:
        nonlocal redeemed
        nonce = nonce_of(value)
        if nonce is None:
            raise LoginRefusedError(
                "a field of a request to the token endpoint holds more than a placeholder"
            )
        redeemed = True
        return token_of(nonce).reveal()

    if document is not None:
        # Imported here, as below: each command waits for this module, and few log in.
        import json

        for path in _judged(endpoint):
            _refuse_other_spellings(document, path)
        for path in endpoint.request_nonce_fields:
            _redeem_at(document, path, redeem)
        sent = json.dumps(document, separators=(",", ":"))
    else:
        text = body.decode("utf-8", "surrogateescape")
        sent = _form(text, {".".join(path) for path in endpoint.request_nonce_fields}, redeem)
    if MARK.search(_plain(sent)):
        raise LoginRefusedError(
            "a placeholder is in no field of the token endpoint's request that takes one",
            "name the field in request_nonce_fields of the provider",
        )
    return sent.encode("utf-8", "surrogateescape") if redeemed else body


def media_type(endpoint: TokenEndpoint, body: bytes, said: Sequence[bytes]) -> bytes:
    """Return the media type as which a request body was judged here.

    said: The values of its Content-Type. Raises LoginRefusedError if one is another: a provider that goes by
      it finds other fields, such as the refresh token of another account.
    """
    is_json = endpoint.request_body != "form" and _json(body) is not None
    kind = b"application/json" if is_json else b"application/x-www-form-urlencoded"
    if any(each.partition(b";")[0].strip().lower() != kind for each in said):
        raise LoginRefusedError(
            "the Content-Type of a request to the token endpoint is not "
            f"{kind.decode()}, as which its body is read",
            "request_body of the provider says how a body is read",
        )
    return kind


def refuse_fields_in_query(endpoint: TokenEndpoint, query: bytes) -> None:
    """Raise LoginRefusedError if a query has a field that is judged in the body."""
    judged = {_loose(".".join(path)) for path in _judged(endpoint)}
    for pair in query.decode("latin-1").replace(";", "&").split("&"):
        if judged & _readings(name := _plain(pair.partition("=")[0])):
            raise LoginRefusedError(f"a request to the token endpoint has the field {name!r} in its query")


def refreshed_nonce(endpoint: TokenEndpoint, body: bytes) -> str | None:
    """Return the nonce of the refresh token that the request wants renewed (RFC 6749 section 6), or None."""
    if ("refresh_token",) not in endpoint.request_nonce_fields:
        return None
    fields = _fields(endpoint, body)
    token = fields.get("refresh_token") if fields.get("grant_type") == "refresh_token" else None
    return nonce_of(token) if isinstance(token, str) else None


def new_grant(endpoint: TokenEndpoint, body: bytes) -> str | None:
    """Return the grant type of a request for tokens without a refresh token (RFC 6749 section 4), or None."""
    grant = _fields(endpoint, body).get("grant_type", "refresh_token")
    return None if grant == "refresh_token" else str(grant)


def revoked_nonce(endpoint: TokenEndpoint, body: bytes) -> str | None:
    """Return the nonce of the token whose login the request wants ended (RFC 7009 section 2.1), or None."""
    if ("token",) not in endpoint.request_nonce_fields:
        return None
    token = _fields(endpoint, body).get("token")
    return nonce_of(token) if isinstance(token, str) else None


def _fields(endpoint: TokenEndpoint, body: bytes) -> Mapping[str, object]:
    """Return the fields of a request to the endpoint; empty if it is too long or malformed."""
    if len(body) > MAX_BODY_BYTES:
        return {}
    fields: Mapping[str, object] | None = None if endpoint.request_body == "form" else _json(body)
    if fields is None and endpoint.request_body != "json" and body.count(b"&") <= _MAX_PAIRS:
        pairs = [pair.partition("=") for pair in body.decode("latin-1").split("&")]
        return {_plain(name): _plain(value) for name, _, value in pairs}
    return fields or {}


def _json(body: bytes) -> dict[str, object] | None:
    """Parse a JSON object. Returns None for anything else, and if a name is repeated.

    Which of two equal names counts is undefined.
    """
    import json

    try:
        document = json.loads(body, object_pairs_hook=unique_names)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def unique_names(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Build a dict for json.loads. Raises ValueError for an object that repeats a name."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name comes twice")
    return made


def _judged(endpoint: TokenEndpoint) -> list[tuple[str, ...]]:
    """Return the fields by which a request is judged."""
    return [*endpoint.request_nonce_fields, ("grant_type",)]


def _refuse_other_spellings(document: dict[str, object], path: tuple[str, ...]) -> None:
    """Raise LoginRefusedError for a name that some servers take for one in `path`.

    Go's encoding/json and ASP.NET ignore its case, and of two the last one counts.
    """
    place: object = document
    for step in path:
        if not isinstance(place, dict):
            return
        for name in place:
            if name != step and _loose(step) in _readings(name):
                raise _misspelled(name, step)
        place = place.get(step)


def _misspelled(name: str, meant: str) -> LoginRefusedError:
    return LoginRefusedError(
        f"a request to the token endpoint has the field {name!r}, which may be taken for {meant!r}"
    )


def _loose(name: str) -> str:
    """Return a name as the most lenient server compares it."""
    return "".join(c for c in name.casefold() if c.isalnum())


def _readings(name: str) -> set[str]:
    """Return what servers may read in place of a field's name, each as _loose() returns it."""
    undone = _UNICODE.sub(lambda found: chr(int(found[1], 16)), name)
    matches = (part.match(each) for part in _COUNTING for each in (name, undone))
    return {_loose(counts[0]) for counts in matches if counts}


def _redeem_at(document: dict[str, object], path: tuple[str, ...], redeem: Callable[[str], str]) -> None:
    *outer, name = path
    place: object = document
    for step in outer:
        place = place.get(step) if isinstance(place, dict) else None
    if isinstance(place, dict) and isinstance(value := place.get(name), str) and MARK.search(value):
        place[name] = redeem(value)


def _form(text: str, fields: set[str], redeem: Callable[[str], str]) -> str:
    """Redeem the `fields` of an application/x-www-form-urlencoded body; the other pairs stay unchanged.

    WHATWG URL section 5.
    """
    if text.count("&") > _MAX_PAIRS:
        raise LoginRefusedError(f"a request to the token endpoint has more than {_MAX_PAIRS} fields")
    pairs = []
    judged = fields | {"grant_type"}
    taken_for = {_loose(name): name for name in judged}
    seen = set[str]()
    for pair in text.split("&"):
        name, _, value = pair.partition("=")
        plain = _plain(name)
        for place, part in enumerate(pair.split(";")):  # where some servers begin a field, too
            spelled = _plain(part.partition("=")[0])
            for reading in taken_for.keys() & _readings(spelled):
                if place > 0 or spelled != taken_for[reading]:
                    raise _misspelled(spelled, taken_for[reading])
        if plain in judged and plain in seen:
            # RFC 6749 section 3.2. Which of the two the provider takes is unknown.
            raise LoginRefusedError(f"a request to the token endpoint has the field {plain!r} twice")
        seen.add(plain)
        if _plain(name) in fields and MARK.search(_plain(value)):
            pair = f"{name}={_quoted(redeem(_plain(value)))}"
        pairs.append(pair)
    return "&".join(pairs)


def _plain(text: str) -> str:
    # Imported here, as below: each run that may capture a login starts with this module.
    from urllib.parse import unquote_plus

    return unquote_plus(text)


def _quoted(text: str) -> str:
    from urllib.parse import quote_plus

    return quote_plus(text)
