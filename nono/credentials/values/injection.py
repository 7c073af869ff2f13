"""Write a credential into a request: into a header, the path or the query."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence

from nono.credentials.values.content import text_problem
from nono.credentials.values.credential import Injected, Injection, Outgoing
from nono.credentials.values.errors import CredentialUnavailable
from nono.errors import CredentialError
from nono.policy.schema.route_rules import Inject
from nono.policy.services import key_slot
from nono.secret import Secret

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110 section 5.6.2
_PATH_SEGMENT = r"[A-Za-z0-9._~!$&'()*+,;=:@-]+"  # RFC 3986 section 3.3, unescaped

# These decide where a message goes and where it ends; RFC 9110 sections 7.2 and 7.6.1, RFC 9112 section 6.
_NEVER_INJECTED = frozenset(
    {"host", "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
    | {"content-length", "expect", "proxy-authorization", "proxy-authenticate"}
)


def injection_of(inject: Inject, secret: Secret) -> Injection:
    """Build the injection that `inject` describes, fully validated.

    Raises CredentialError if header, format, pattern or name is wrong in the configuration,
    CredentialUnavailable if the secret cannot be written there.
    """
    match inject.mode:
        case "header":
            return HeaderInjection(inject.header, inject.format, secret)
        case "basic_auth":
            return HeaderInjection(inject.header, "{}", _basic(_pair(inject.format, secret)))
        case "url_path":
            return PathInjection(inject.path_pattern, inject.path_replacement, secret)
        case "query_param":
            return QueryInjection(inject.query_param, secret)


class HeaderInjection:
    """Writes one header field with the secret in it."""

    __slots__ = ("_format", "_header", "_secret")

    needs_body = False

    def __init__(self, header: str, format: str, secret: Secret) -> None:
        """Validate the arguments. `format` holds exactly one `{}`, which stands for the secret."""
        _check_header(header)
        if format.count("{}") != 1:
            raise CredentialError("credential_format must contain '{}' once, where the credential goes")
        problem = _field_problem(format.replace("{}", "x"))
        if problem is not None:
            raise CredentialError(f"credential_format: {problem}")
        _check_field(header, secret)
        self._header = header
        self._format = format
        self._secret = secret

    @property
    def header_names(self) -> frozenset[bytes]:
        return frozenset((self._header.lower().encode("ascii"),))

    def inject(self, request: Outgoing) -> Injected:
        value = self._format.replace("{}", self._secret.reveal()).encode("latin-1")
        return Injected(request.target, [(self._header.encode("ascii"), value)])


class HeadersInjection:
    """Writes header fields that a credential helper named itself."""

    __slots__ = ("_headers",)

    needs_body = False

    def __init__(self, headers: Sequence[tuple[str, Secret]]) -> None:
        for name, value in headers:
            _check_header(name)
            _check_field(name, value)
        self._headers = headers

    @property
    def header_names(self) -> frozenset[bytes]:
        return frozenset(name.lower().encode("ascii") for name, _ in self._headers)

    def inject(self, request: Outgoing) -> Injected:
        fields = [(name.encode("ascii"), value.reveal().encode("latin-1")) for name, value in self._headers]
        return Injected(request.target, fields)


class PathInjection:
    """Writes the secret into a path segment, replacing the command's placeholder."""

    __slots__ = ("_pattern", "_replacement", "_secret")

    needs_body = False
    header_names: frozenset[bytes] = frozenset()

    def __init__(self, pattern: str, replacement: str, secret: Secret) -> None:
        if pattern.count("{}") != 1 or replacement.count("{}") != 1:
            raise CredentialError("path_pattern and path_replacement must contain '{}' once")
        text = secret.reveal()
        # Percent-encoding would change the key; a slash would change the path.
        if not re.fullmatch(_PATH_SEGMENT, text, re.ASCII) or text in (".", ".."):
            raise CredentialUnavailable(
                "the value has characters that a path cannot contain", hint="store the credential again"
            )
        self._pattern = pattern
        self._replacement = replacement
        self._secret = secret

    def inject(self, request: Outgoing) -> Injected:
        """Replace the placeholder. Raises ValueError if the path has none."""
        # Look for the placeholder itself; the pattern alone may match earlier, in the base path.
        slot = key_slot.find_placeholder(self._pattern, request.target)
        if slot is None:
            raise ValueError("the path has no place for the credential")
        key = self._secret.reveal().encode("ascii")
        return Injected(key_slot.fill_path(request.target, slot, key, self._replacement), [])


class QueryInjection:
    """Writes the secret as the only query parameter of its name."""

    __slots__ = ("_name", "_secret")

    needs_body = False
    header_names: frozenset[bytes] = frozenset()

    def __init__(self, name: str, secret: Secret) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name, re.ASCII):
            raise CredentialError(f"query_param_name {name!r} is not the name of a parameter")
        if not secret.reveal():
            raise CredentialUnavailable("the value is empty", hint="store the credential again")
        self._name = name
        self._secret = secret

    def inject(self, request: Outgoing) -> Injected:
        # Imported here: few keys stand in a query.
        from urllib.parse import quote

        value = quote(self._secret.reveal(), safe="").encode("ascii")
        return Injected(key_slot.with_query(self._name, request.target, value), [])


def _pair(format: str, secret: Secret) -> Secret:
    """Return ``user:password``: `format` around the secret if it is of that form, else the secret itself."""
    return Secret(format.replace("{}", secret.reveal())) if ":" in format else secret


def _basic(secret: Secret) -> Secret:
    """Encode a ``user:password`` secret as Basic credentials (RFC 7617)."""
    if ":" not in secret.reveal():
        raise CredentialUnavailable(
            "the value is not of the form user:password", hint="store the credential again"
        )
    problem = text_problem(secret.reveal())
    if problem is not None:
        raise CredentialUnavailable(problem, hint="store the credential again")
    return Secret("Basic " + b64encode(secret.reveal().encode()).decode("ascii"))


def _check_header(name: str) -> None:
    if not re.fullmatch(_TOKEN, name, re.ASCII):
        raise CredentialError(f"inject_header {name!r} is not the name of a header")
    if name.lower() in _NEVER_INJECTED:
        raise CredentialError(f"inject_header {name!r}: this header steers the connection")


def _check_field(name: str, secret: Secret) -> None:
    problem = _field_problem(secret.reveal())
    if problem is not None:
        raise CredentialUnavailable(f"header {name}: {problem}", hint="store the credential again")


def _field_problem(text: str) -> str | None:
    """Return why `text` cannot be part of a field value (RFC 9110 section 5.5), or None; never quote it."""
    if not text:
        return "the value is empty"
    if (problem := text_problem(text)) is not None:
        return problem
    if text != text.strip():
        return "the value has blanks around it, which a recipient would strip"
    if not all(ord(character) < 256 for character in text):
        return "the value has characters that a header cannot carry"
    return None
