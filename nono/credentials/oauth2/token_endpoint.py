"""Build the form that is posted to an OAuth 2.0 token endpoint, and parse the reply."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote_plus, urlencode

from nono.credentials.values.credential import Header
from nono.policy.schema.constraints import AuthMethod
from nono.secret import Secret

DEFAULT_LIFETIME_S = 3600.0
SHORT_LIFETIME_S = 30.0
MAX_LIFETIME_S = 24 * 3600.0

_ACCESS_TOKEN = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?", re.ASCII)  # RFC 6749 appendix A.12
_DIGITS = re.compile(r"[0-9]{1,9}", re.ASCII)

# RFC 6749 section 5.2. No other part of an error is repeated, because its description could quote the
# request.
_ERRORS = frozenset(
    {"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client"}
    | {"unsupported_grant_type", "invalid_scope"}
)


class TokenReply(Protocol):
    """A reply with its content codings undone."""

    @property
    def status(self) -> int: ...
    @property
    def body(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Granted:
    token: Secret  # fit for a header: visible ASCII
    lifetime_s: float  # counted from the request, because the reply does not say from when


@dataclass(frozen=True, slots=True)
class NotGranted:
    reason: str  # never contains text that the endpoint could have chosen


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """The client credentials grant (RFC 6749 section 4.4.2)."""

    client_id: Secret
    client_secret: Secret
    scope: str = ""
    auth_method: AuthMethod = "client_secret_post"

    def headers(self) -> list[Header]:
        fields = [
            (b"Content-Type", b"application/x-www-form-urlencoded"),
            (b"Accept", b"application/json"),
        ]
        if self.auth_method == "client_secret_basic":
            # RFC 6749 section 2.3.1: both are form-encoded before they are joined.
            pair = f"{quote_plus(self.client_id.reveal())}:{quote_plus(self.client_secret.reveal())}"
            fields.append((b"Authorization", b"Basic " + b64encode(pair.encode("ascii"))))
        return fields

    def form(self) -> bytes:
        pairs = [("grant_type", "client_credentials")]
        if self.auth_method == "client_secret_post":
            pairs.append(("client_id", self.client_id.reveal()))
            pairs.append(("client_secret", self.client_secret.reveal()))
        if self.scope:
            pairs.append(("scope", self.scope))
        return urlencode(pairs).encode("ascii")


def read_reply(reply: TokenReply) -> Granted | NotGranted:
    """Parse the reply into a grant or the reason for none (RFC 6749 sections 5.1 and 5.2)."""
    answer = _json_object(reply.body)
    if not 200 <= reply.status <= 299:
        error = None if answer is None else answer.get("error")
        known = f" ({error})" if isinstance(error, str) and error in _ERRORS else ""
        return NotGranted(f"it answered {reply.status}{known}")
    if answer is None:
        return NotGranted("its answer is not a JSON object")
    token = answer.get("access_token")
    if not isinstance(token, str):
        return NotGranted("its answer holds no access_token")
    if not _ACCESS_TOKEN.fullmatch(token):
        return NotGranted("its access_token has characters that a token may not have")
    # The type is required, yet some endpoints omit it. Tokens of any other type are used differently.
    kind = answer.get("token_type", "bearer")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        return NotGranted("its token is not of the type Bearer")
    return Granted(Secret(token), _lifetime_s(answer.get("expires_in", DEFAULT_LIFETIME_S)))


def _lifetime_s(expires_in: object) -> float:
    """Return the lifetime in seconds.

    A value that is not a positive number means unknown, and gets a short one.
    """
    if isinstance(expires_in, str) and _DIGITS.fullmatch(expires_in):
        expires_in = int(expires_in)  # some endpoints write the number as a string
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float):
        return SHORT_LIFETIME_S
    if not expires_in > 0:  # NaN among them
        return SHORT_LIFETIME_S
    return float(min(expires_in, MAX_LIFETIME_S))


def _json_object(body: bytes) -> dict[str, object] | None:
    # None rather than an exception, because a JSONDecodeError carries the text, and with it the token.
    try:
        answer = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None
