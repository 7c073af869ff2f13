"""Parse the output of a capture command into an injection, or a reason why it is unusable."""

from __future__ import annotations

import json
from operator import itemgetter

from nono.audit.credential_events import CaptureAction
from nono.credentials.values.content import text_problem
from nono.credentials.values.credential import Injection
from nono.credentials.values.injection import HeadersInjection, injection_of
from nono.errors import CredentialError
from nono.named_tuple import NamedTuple
from nono.policy.schema.route_rules import Capture, Inject
from nono.secret import Secret


class Captured(NamedTuple):
    """A captured credential, ready to be injected."""

    injection: Injection
    secrets: tuple[Secret, ...]  # must not come back in a response
    header_names: tuple[str, ...]  # of JSON output


class Unusable(NamedTuple):
    """Output without a credential; neither field quotes it."""

    action: CaptureAction  # its name in the audit log
    problem: str


def check(capture: Capture, inject: Inject) -> None:
    """Raise CredentialError if the configuration is such that no output could ever be injected."""
    if capture.allow_headers is None:
        injection_of(inject, Secret("user:password"))  # fits every mode
        return
    where = f"credential_capture '{capture.name}'"
    if inject.mode not in ("header", "basic_auth"):
        raise CredentialError(f"{where}: JSON output gives headers, and inject mode is {inject.mode}")
    if not capture.allow_headers:
        raise CredentialError(f"{where}: allow_headers must name a header")
    HeadersInjection([(name, Secret("value")) for name in capture.allow_headers])


def read_output(stdout: Secret, capture: Capture, inject: Inject) -> Captured | Unusable:
    """Parse the credential in stdout: one line of text, or ``{"headers": {name: value}}``.

    A provider prints ``{"material": {"type": "secret", "value": text}}``, or a material of type headers.
    """
    text = stdout.reveal().rstrip("\r\n")
    if not text:
        return Unusable("empty_stdout", "it printed nothing")
    if any("\ud800" <= character <= "\udfff" for character in text):
        return Unusable("non_utf8_stdout", "what it printed is not UTF-8 text")
    if capture.provider_config is not None:
        return _material(text, capture, inject)
    if capture.allow_headers is not None:
        match _parsed(text):
            case _Pairs([("headers", headers)]):
                return _headers(headers, capture.allow_headers)
        return _NO_HEADERS
    return _secret(text, inject)


def _material(text: str, capture: Capture, inject: Inject) -> Captured | Unusable:
    match _parsed(text):
        case _Pairs([("material", _Pairs(members))]):
            match sorted(members, key=itemgetter(0)):  # an object is the same in every order
                case [("type", "secret"), ("value", str(value))]:
                    return _secret(value, inject)
                case [("headers", headers), ("type", "headers")]:
                    return _headers(headers, capture.allow_headers or ())
    return Unusable("invalid_json_output", 'it did not print {"material": {"type": ..., ...}}')


def _secret(text: str, inject: Inject) -> Captured | Unusable:
    if (problem := text_problem(text)) is not None:
        return Unusable("collect_failed", problem)
    secret = Secret(text)
    try:
        return Captured(injection_of(inject, secret), (secret,), ())
    except CredentialError as error:
        return Unusable("collect_failed", error.message)


_NO_HEADERS = Unusable("invalid_json_output", 'it did not print {"headers": {"name": "value"}}')


def _headers(printed: object, allowed: tuple[str, ...]) -> Captured | Unusable:
    fields = _fields(printed)
    if fields is None:
        return _NO_HEADERS
    lower = [name.lower() for name, _ in fields]
    # Names come first, and unquoted: if a helper swaps name and value, its secret must not be shown.
    if not {name.lower() for name in allowed}.issuperset(lower):
        return Unusable("invalid_json_output", "it printed a header that allow_headers does not name")
    if len(set(lower)) != len(lower):
        return Unusable("invalid_json_output", "it printed a header twice")
    try:
        injection = HeadersInjection(fields)
    except CredentialError as error:
        return Unusable("invalid_json_output", error.message)
    return Captured(injection, tuple(value for _, value in fields), tuple(lower))


def _fields(printed: object) -> list[tuple[str, Secret]] | None:
    """Return the pairs as printed, repeated ones too; None for every other shape."""
    if not isinstance(printed, _Pairs) or not printed.content:
        return None
    fields = [(name, Secret(value)) for name, value in printed.content if isinstance(value, str)]
    return fields if len(fields) == len(printed.content) else None


def _parsed(text: str) -> object:
    """Parse JSON; None if malformed. The decoder's error carries the text, so it must not propagate."""
    try:
        # Objects stay lists of pairs, because a dict would silently keep the last of two equal names.
        return json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return None


class _Pairs:
    """A JSON object in the order it was printed."""

    __match_args__ = ("content",)

    def __init__(self, content: list[tuple[str, object]]) -> None:
        self.content = content
