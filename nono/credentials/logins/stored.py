"""The tokens and logins that are stored, and the document that holds them."""

from __future__ import annotations

from collections.abc import Mapping

from nono.credentials.logins.phantom import MARK
from nono.named_tuple import NamedTuple
from nono.secret import Secret

TTL_S = 90 * 86400
MAX_TOKENS = 4096  # beyond that the oldest are dropped
MAX_TEXT_BYTES = 8 * 1024 * 1024  # of all tokens together; again the oldest are dropped
_CLOCK_SLACK_S = 86400  # a token created further in the future was stored under a wrong clock


class StoredToken(NamedTuple):
    """The token behind one phantom."""

    real: Secret
    consumers: frozenset[str]  # who may redeem it: `oauth.<provider>`, `proxy.<route>`
    origins: frozenset[str]  # may receive it; empty in files of other versions: only consumers decide
    created_s: int  # since the epoch; of a login, when it was last renewed
    login: str = ""  # the login it belongs to; empty in files of other versions
    field: str = ""  # the field of the provider's response: names joined by dots

    def has_expired(self, now_s: float) -> bool:
        return not -_CLOCK_SLACK_S < now_s - self.created_s < TTL_S


Tokens = dict[str, StoredToken]  # by nonce


class StoredLogin(NamedTuple):
    """The last response of a token endpoint, which answers every run that asks before it expires."""

    answer: str  # JSON, with phantoms
    renewed_s: int  # since the epoch, as is expires_s
    expires_s: int | None  # when the access token expires; None: the provider did not say


Logins = dict[str, StoredLogin]  # by the name in StoredToken.login


class Stored(NamedTuple):
    """Everything in the file."""

    tokens: Tokens
    logins: Logins


def pruned(stored: Stored) -> Stored:
    """Return the content without logins that have lost their last token."""
    alive = {token.login for token in stored.tokens.values()}
    return stored._replace(logins={name: each for name, each in stored.logins.items() if name in alive})


def youngest(tokens: Tokens) -> Tokens:
    """Return the newest tokens up to the limit, oldest first, which is the file's order."""
    ordered = sorted(tokens.items(), key=lambda each: each[1].created_s)[-MAX_TOKENS:]
    size, first = 0, len(ordered)
    for _, token in reversed(ordered):
        size += len(token.real.reveal())
        if size > MAX_TEXT_BYTES:
            break
        first -= 1
    return dict(ordered[first:])


def document_of(stored: Stored) -> dict[str, object]:
    """Return the JSON object that the file holds."""
    entries = {
        nonce: {
            "real": token.real.reveal(),
            "admitted_consumers": sorted(token.consumers),
            "admitted_origins": sorted(token.origins),
            "created_at_secs": token.created_s,
            **({"login": token.login, "field": token.field} if token.login else {}),
        }
        for nonce, token in stored.tokens.items()
    }
    logins = {
        name: {
            "answer": login.answer,
            "renewed_at_secs": login.renewed_s,
            "expires_at_secs": login.expires_s,
        }
        for name, login in stored.logins.items()
    }
    return {"version": 1, "tokens": entries, **({"logins": logins} if logins else {})}


def parsed(document: Mapping[str, object]) -> Stored | None:
    """Parse the JSON object that the file holds; None if it is malformed."""
    match document:
        case {"version": 1, "tokens": dict(entries), **others}:
            found = {nonce: _token(entry) for nonce, entry in entries.items() if MARK.fullmatch(nonce)}
            logins = others.get("logins", {})
        case _:
            return None
    tokens = {nonce: token for nonce, token in found.items() if token is not None}
    if len(tokens) != len(entries) or not isinstance(logins, dict):
        return None
    read = {name: _login(entry) for name, entry in logins.items()}
    return Stored(tokens, {name: login for name, login in read.items() if login is not None})


def _token(entry: object) -> StoredToken | None:
    match entry:
        case {
            "real": str(real),
            "admitted_consumers": list(consumers),
            "created_at_secs": int(created_s),
            **others,
        }:
            origins = others.get("admitted_origins", [])
            if not isinstance(origins, list) or not _are_texts([*consumers, *origins]):
                return None
            token = StoredToken(Secret(real), frozenset(consumers), frozenset(origins), created_s)
            match others:
                case {"login": str(login), "field": str(field)}:
                    return token._replace(login=login, field=field)
            return token
    return None


def _are_texts(values: list[object]) -> bool:
    return all(isinstance(each, str) for each in values)


def _login(entry: object) -> StoredLogin | None:
    match entry:
        case {
            "answer": str(answer),
            "renewed_at_secs": int(renewed_s),
            "expires_at_secs": int() | None as expires_s,
        }:
            return StoredLogin(answer, renewed_s, expires_s)
    return None
