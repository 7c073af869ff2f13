"""Search a login provider's response for tokens, and replace them by phantoms."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain

from nono.credentials.logins.answer_form import is_form, parse_form, written_form
from nono.credentials.logins.phantom import claims_of, jwt_phantom
from nono.credentials.logins.request import LoginRefusedError, unique_names
from nono.credentials.values.content import MAX_SECRET_BYTES
from nono.credentials.values.credential import Header, LeakDetector
from nono.credentials.values.tripwire import tripwire_for
from nono.named_tuple import NamedTuple
from nono.policy.services.oauth_routes import ResponseField, TokenEndpoint
from nono.secret import Secret

MAX_MARKS = 50_000  # braces, brackets, commas and colons of a JSON text, which determine the parsing time
_WINDOW = 64 * 1024  # of text, searched before another thread may run
_OVERLAP = 64  # more than the longest match of _ASSIGNED and _NAMED
_BLANKS = b" \t\r\n\0\xef\xbb\xbf\xff\xfe"  # before the first mark, in any encoding of JSON

_HINT = "name the field in response_fields of the provider's token endpoint"
_TOKEN_TEXT = re.compile(r"[\x21-\x7e]+", re.ASCII)  # RFC 6749 appendix A.12
_WORD = r"(?:access|refresh|\bid)(?:[_-]|%5f|\\u005f)?token"
_WORDS = re.compile(r"[A-Za-z]{1,16}(?:[_.-][A-Za-z]{1,16}){0,3}", re.ASCII)
_NAMED = re.compile(_WORD.encode(), re.IGNORECASE)
# In text for people, the name alone proves nothing: "the refresh_token is invalid".
_ASSIGNED = re.compile(_WORD + r"\W{0,4}(?:[:=]|%3[ad])\W{0,4}[\w.~+/-]{8}", re.IGNORECASE | re.ASCII)


class _Found(NamedTuple):
    holder: dict[str, object]
    name: str
    field: ResponseField
    token: Secret


class Answer:
    """A response body that may go to the command once its tokens are replaced by phantoms."""

    def __init__(
        self, body: bytes, document: object, found: Sequence[_Found], *, is_form: bool = False
    ) -> None:
        self._body = body
        self._document = document
        self._found = found
        self._is_form = is_form  # and the values of `document` are strings

    @property
    def fields(self) -> list[str]:
        """The name of each token's field: names joined by dots."""
        return [".".join(each.field.path) for each in self._found]

    def expires_s(self, now_s: float) -> int | None:
        """Return when the access token expires (RFC 6749 section 5.1); None if the response does not say."""
        lifetime = self._document.get("expires_in") if isinstance(self._document, dict) else None
        for each in self._found if lifetime is None else ():
            expires = claims_of(each.token, ["exp"]).get("exp") if each.name == "access_token" else None
            lifetime = expires - now_s if isinstance(expires, int) else lifetime
        if self._is_form and isinstance(lifetime, str) and lifetime.isdecimal() and len(lifetime) <= 10:
            lifetime = int(lifetime)
        if isinstance(lifetime, bool) or not isinstance(lifetime, int | float) or not 0 < lifetime < 1e10:
            return None
        return int(now_s + lifetime)

    @property
    def tokens(self) -> list[Secret]:
        return [each.token for each in self._found]

    def tripwire(self) -> LeakDetector | None:
        """Return a detector for the tokens, none of which may occur again elsewhere in the response."""
        return tripwire_for(self.tokens)

    def without_tokens(self) -> bytes:
        """Return the body with empty strings in place of the tokens."""
        return self.with_phantoms([""] * len(self._found))

    def with_phantoms(self, nonces: Sequence[str]) -> bytes:
        """Return the body with a phantom for each of `tokens`, in their order."""
        if not self._found:
            return self._body
        text = self.json_with_phantoms(nonces)
        if self._is_form and isinstance(self._document, dict):
            return written_form(self._document)
        return text.encode()

    def json_with_phantoms(self, nonces: Sequence[str]) -> str:
        """Return the same as JSON, in which a response is kept whatever its form."""
        # Imported here, as below: each command waits for this module, and few log in.
        import json

        for each, nonce in zip(self._found, nonces, strict=True):
            each.holder[each.name] = phantom_in(each.field, nonce, each.token)
        return json.dumps(self._document, separators=(",", ":"))


def phantom_in(field: ResponseField, nonce: str, token: Secret) -> str:
    """Spell the phantom of `token` in the form its field requires."""
    return jwt_phantom(nonce, claims_of(token, field.claims)) if field.kind == "jwt" else nonce


def examine(endpoint: TokenEndpoint | None, status: int, headers: Sequence[Header], body: bytes) -> Answer:
    """Search a response for tokens.

    endpoint: The token endpoint that responded; None for another path on its host.
    body: The body without framing and content coding.

    Raises LoginRefusedError if a token is, or might be, outside the fields named for it: an unrecognised
    token would reach the command.
    """
    _examine_headers(headers)
    if (
        body.lstrip(_BLANKS)[:1] in (b"{", b"[")
        and sum(map(body.count, (b"{", b"[", b",", b":"))) > MAX_MARKS
    ):
        raise LoginRefusedError("the answer has more fields than a login's answer may have")
    document = _json(body)
    of_form = document is None and endpoint is not None and is_form(headers)
    if of_form and (fields := parse_form(body)) is not None:
        document = (fields,)
    if document is None:
        if endpoint is not None and 200 <= status < 300 and body:
            raise LoginRefusedError("the token endpoint answered with neither JSON nor a plain form")
        if _occurs(_NAMED, body.replace(b"\0", b"")):  # NUL: text in UTF-16 or UTF-32
            raise LoginRefusedError("an answer that is not JSON mentions tokens")
        return Answer(body, None, [])
    found: list[_Found] = []
    if endpoint is not None and 200 <= status < 300:
        found = [each for field in endpoint.response_fields if (each := _field(document[0], field))]
    _examine_document(document[0], found)
    return Answer(body, document[0], found, is_form=of_form)


def holds_secret(watchers: Sequence[LeakDetector | None], headers: Sequence[Header], body: bytes) -> bool:
    """Return True if data for the command contains a watched secret, in any usual spelling.

    Names of header fields are searched too, because the provider chooses them.
    """
    texts = [body, *chain.from_iterable(headers)]
    return any(
        tripwire.mask_text(text) is not None
        for tripwire in watchers
        if tripwire is not None
        for text in texts
    )


def _json(body: bytes) -> tuple[object] | None:
    """Parse JSON into a 1-tuple. Returns None if it is malformed or an object repeats a name.

    With a repeated name the command might read the other value.
    """
    import json

    try:
        return (json.loads(body, object_pairs_hook=unique_names),)
    except (ValueError, RecursionError):
        return None


def _field(document: object, field: ResponseField) -> _Found | None:
    *outer, name = field.path
    holder = document
    for step in outer:
        holder = holder.get(step) if isinstance(holder, dict) else None
    if not isinstance(holder, dict):
        return None
    value = holder.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise LoginRefusedError(f"the token endpoint's field {'.'.join(field.path)!r} holds no text")
    if not _TOKEN_TEXT.fullmatch(value) or len(value) > MAX_SECRET_BYTES:
        raise LoginRefusedError(f"the token endpoint's field {'.'.join(field.path)!r} holds no token")
    return _Found(holder, name, field, Secret(value))


def _examine_document(document: object, found: Sequence[_Found]) -> None:
    captured = {(id(each.holder), each.name) for each in found}
    for holder, name, value in _members(document):
        if (id(holder), name) in captured:
            continue
        if _names_token(name) and value and isinstance(value, str | list | dict):
            raise LoginRefusedError(f"the answer has a token in {_shown('field', name)}", _HINT)
        if isinstance(value, str) and _occurs(_ASSIGNED, value):
            raise LoginRefusedError(f"the answer has a token in the text of {_shown('field', name)}", _HINT)


def _occurs[T: (str, bytes)](pattern: re.Pattern[T], text: T) -> bool:
    """Search in windows, because re holds the interpreter lock during a search."""
    starts = range(0, max(len(text), 1), _WINDOW)
    return any(pattern.search(text, start, start + _WINDOW + _OVERLAP) is not None for start in starts)


def _members(document: object) -> Iterator[tuple[object, str, object]]:
    """Yield every value of a document with its container and name; an element has the name of its array."""
    waiting: list[tuple[object, str, object]] = [(None, "", document)]
    while waiting:
        holder, name, value = waiting.pop()
        yield holder, name, value
        if isinstance(value, dict):
            waiting += [(value, inner, each) for inner, each in value.items()]
        elif isinstance(value, list):
            waiting += [(value, name, each) for each in value]


def _names_token(name: str) -> bool:
    """Check that a field name denotes a token: access_token, accessToken, user-access-token, id_token."""
    letters = re.sub(r"[^a-z]", "", name.lower())
    return letters == "idtoken" or letters.endswith(("accesstoken", "refreshtoken"))


def _shown(kind: str, name: str) -> str:
    """Describe a name for the command and the record.

    The provider chose it, so it may be the token itself.
    """
    return f"the {kind} {name!r}" if _WORDS.fullmatch(name) else f"a {kind}"


def _examine_headers(headers: Sequence[Header]) -> None:
    for name, value in headers:
        shown = name.decode("ascii", "replace").lower()
        if _names_token(shown):
            raise LoginRefusedError(f"the answer has a token in {_shown('header', shown)}")
        if _ASSIGNED.search(value.decode("latin-1")):
            # In a redirect, for instance (RFC 6749 section 4.2.2), the command would follow and read it.
            raise LoginRefusedError(f"the answer has a token in the text of {_shown('header', shown)}")
