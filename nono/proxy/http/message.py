"""Check HTTP/1.1 message heads.

RFC 9112 defines syntax and framing. llhttp has parsed the bytes already; anything it accepts that another
parser may read differently is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import Enum
from functools import lru_cache

from nono.named_tuple import NamedTuple

Header = tuple[bytes, bytes]  # name as sent, value without surrounding blanks

MAX_HEAD_BYTES = 64 * 1024
MAX_LINE_BYTES = 8 * 1024
MAX_HEADERS = 100

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TOKENS = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?: [!#$%&'*+\-.^_`|~0-9A-Za-z]+)*")
VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_VALUES = re.compile(rb"[\t\n\x20-\x7e\x80-\xff]*")
TARGET = re.compile(rb"[\x21-\x7e]+")
_LENGTH_DIGITS = 18
_VERSIONS = {"1.1": b"1.1", "1.0": b"1.0"}

# RTSP, SIP and ICE methods that llhttp also accepts, the first word of the HTTP/2 preface, and what a rule
# that is made of a request would read as every method.
_FOREIGN_METHODS = frozenset(
    (
        b"* ANNOUNCE DESCRIBE FLUSH GET_PARAMETER PAUSE PLAY PRI "
        b"RECORD REDIRECT SETUP SET_PARAMETER SOURCE TEARDOWN"
    ).split()
)


class MessageError(ValueError):
    """The message is malformed. `status` is the answer to an HTTP client."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status

    @property
    def of_response(self) -> str:
        """Why a response of the upstream is not passed on."""
        return f"the upstream's response is not well-formed: {self.reason}"


class WithheldError(MessageError):
    """The message is well-formed, and must not be passed on."""

    @property
    def of_response(self) -> str:
        return f"the upstream's response is withheld: {self.reason}"


class BodyKind(Enum):
    """The framing that ends a body (RFC 9112 section 6.3)."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    UNTIL_CLOSE = "until close"


class Body(NamedTuple):
    kind: BodyKind
    length: int = 0  # bytes, for LENGTH only


NO_BODY = Body(BodyKind.NONE)
_EMPTY_BODY = Body(BodyKind.LENGTH, 0)
_CHUNKED_BODY = Body(BodyKind.CHUNKED)
_BODY_UNTIL_CLOSE = Body(BodyKind.UNTIL_CLOSE)


class RequestHead(NamedTuple):
    """A well-formed request head: at most one Host, one framing, names that are tokens."""

    method: bytes
    target: bytes  # visible ASCII, in the form the client used
    version: bytes  # b"1.1" or b"1.0"
    headers: tuple[Header, ...]
    body: Body
    keep_alive: bool
    expects_continue: bool
    wants_upgrade: bool
    unindexed: frozenset[bytes] = frozenset()  # names, in lower case, that HTTP/2 must not index

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of all fields called `name` (lower case), in order."""
        return [value for field, value in self.headers if field.lower() == name]


class ResponseHead(NamedTuple):
    status: int
    reason: bytes
    version: bytes
    headers: tuple[Header, ...]
    body: Body
    keep_alive: bool
    unindexed: frozenset[bytes] = frozenset()  # names, in lower case, that HTTP/2 must not index

    @property
    def is_interim(self) -> bool:
        """True for 1xx: another head follows for the same request."""
        return self.status < 200


class _Names(NamedTuple):
    """The field names of a head. Most heads differ only in values, so these are cached."""

    lower: tuple[bytes, ...]
    steering: tuple[tuple[int, bytes], ...]  # fields of _STEERING with their positions


def _names(joined: bytes) -> _Names:
    """Parse names joined by blanks. Raises MessageError if one is not a token."""
    if _TOKENS.fullmatch(joined) is None:
        raise MessageError("the name of a header field is not well-formed")
    lower = tuple(joined.lower().split(b" "))
    return _Names(lower, tuple([(at, name) for at, name in enumerate(lower) if name in _STEERING]))


_NO_NAMES = _Names((), ())
MAX_KEPT_NAMES = 64
KEPT_NAMES_BYTES = 1024  # of one head; children and upstreams may send any number of others
_kept_names = lru_cache(MAX_KEPT_NAMES)(_names)


def checked_fields(headers: Sequence[Header]) -> tuple[tuple[Header, ...], _Names]:
    """Return the fields without surrounding blanks, and their names. Raises MessageError."""
    if len(headers) > MAX_HEADERS:
        raise MessageError(f"more than {MAX_HEADERS} header fields", 431)
    if not headers:
        return (), _NO_NAMES
    fields = tuple([(name, value.strip(b" \t")) for name, value in headers])
    # Match all names and all values at once: two searches in C instead of two per field. The separators
    # cannot occur inside a name or value, so counting them is enough.
    names = b" ".join([name for name, _ in fields])
    values = b"\n".join([value for _, value in fields])
    read = (_kept_names if len(names) <= KEPT_NAMES_BYTES else _names)(names)
    if len(read.lower) != len(fields):
        raise MessageError("the name of a header field is not well-formed")
    if _VALUES.fullmatch(values) is None or values.count(b"\n") != len(fields) - 1:
        raise MessageError("the value of a header field is not well-formed")
    total = len(names) + len(values) + 4 * len(fields)
    if total > MAX_HEAD_BYTES:
        raise MessageError(f"the head is larger than {MAX_HEAD_BYTES} bytes", 431)
    if total > MAX_LINE_BYTES and any(len(name) + len(value) > MAX_LINE_BYTES for name, value in headers):
        raise MessageError(f"a header line is longer than {MAX_LINE_BYTES} bytes", 431)
    return fields, read


_STEERING = frozenset(
    (
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"http2-settings",
        b"proxy-connection",
        b"transfer-encoding",
        b"upgrade",
    )
)


def list_members(values: Iterable[bytes]) -> set[bytes]:
    """Return the lower-case members of a comma-separated field."""
    return {member.strip(b" \t").lower() for value in values for member in value.split(b",")}


class _Steering:
    """The fields that determine framing and connection handling, collected in one pass."""

    __slots__ = ("connection", "encodings", "expectations", "hosts", "lengths", "upgrade")

    def __init__(self, fields: tuple[Header, ...], names: _Names) -> None:
        self.lengths: list[bytes] = []
        self.encodings: list[bytes] = []
        self.connection: list[bytes] = []
        self.expectations: list[bytes] = []
        self.hosts = 0
        self.upgrade = False
        for at, name in names.steering:
            self._add(name, fields[at][1])

    def _add(self, name: bytes, value: bytes) -> None:
        match name:
            case b"content-length":
                self.lengths.append(value)
            case b"transfer-encoding":
                self.encodings.append(value)
            case b"connection" | b"proxy-connection":
                self.connection.append(value)
            case b"host":
                self.hosts += 1
            case b"expect":
                self.expectations.append(value)
            case _:
                self.upgrade = True


def _framing(seen: _Steering, version: bytes, absent: Body) -> Body:
    """Return the framing. Raises MessageError if it is ambiguous (RFC 9112 section 6.3, read strictly)."""
    if seen.encodings:
        if seen.lengths:
            raise MessageError("Transfer-Encoding together with Content-Length")
        if version == b"1.0":
            raise MessageError("Transfer-Encoding in an HTTP/1.0 message")
        # A coding before chunked could only be relayed by decoding it; a second field is an attack.
        if len(seen.encodings) != 1 or seen.encodings[0].lower() != b"chunked":
            raise MessageError("Transfer-Encoding is not exactly 'chunked'")
        return _CHUNKED_BODY
    if not seen.lengths:
        return absent
    length = seen.lengths[0]
    if len(seen.lengths) != 1 or not length.isdigit() or len(length) > _LENGTH_DIGITS:
        raise MessageError("Content-Length is not one decimal number")
    return Body(BodyKind.LENGTH, int(length))


def _persists(seen: _Steering, version: bytes) -> bool:
    if version != b"1.1":
        return False
    named = seen.connection  # nearly always nothing, or keep-alive
    return not named or named == _KEEP_ALIVE or b"close" not in list_members(named)


_KEEP_ALIVE = [b"keep-alive"]


def request_head(method: bytes, target: bytes, version: str, headers: Sequence[Header]) -> RequestHead:
    """Check a request head. Raises MessageError with the reason and the status to answer.

    method, target: as the parser delivered them.
    version: "1.1" or "1.0".
    headers: as the parser delivered them, framing and connection fields included.
    """
    raw_version = _VERSIONS.get(version)
    if raw_version is None:
        raise MessageError("not an HTTP/1.0 or HTTP/1.1 request", 505)
    # Methods are case-sensitive (RFC 9110 section 9.1), but many servers ignore case: a lower-case TRACE or
    # HEAD would not be treated as one here. Only HTTP/2 lets lower case through to this point.
    if _TOKEN.fullmatch(method) is None or method in _FOREIGN_METHODS or method != method.upper():
        raise MessageError("not an HTTP method")
    if len(target) > MAX_LINE_BYTES:
        raise MessageError(f"the request target is longer than {MAX_LINE_BYTES} bytes", 414)
    if TARGET.fullmatch(target) is None:
        raise MessageError("the request target holds a character that is not visible ASCII")
    fields, names = checked_fields(headers)
    seen = _Steering(fields, names)
    if seen.hosts > 1 or (seen.hosts == 0 and raw_version == b"1.1"):
        raise MessageError("there must be exactly one Host field")
    body = _framing(seen, raw_version, NO_BODY)
    # Erlang's httpc, with which Hex and rebar3 fetch, states a length of 0.
    if method == b"CONNECT" and body not in (NO_BODY, _EMPTY_BODY):
        raise MessageError("CONNECT has no body")
    options = list_members(seen.connection) - {b""}
    if any(_TOKEN.fullmatch(option) is None for option in options):
        # nginx searches for the substring: it reads ": close" as close and drops pipelined requests.
        raise MessageError("Connection names something that is not a token")
    wants_upgrade = seen.upgrade or b"upgrade" in options
    if wants_upgrade and body != NO_BODY and body != _EMPTY_BODY:
        # llhttp does not parse it as a body: announced but never sent, it would swallow the next request.
        raise MessageError("a request for another protocol has no body")
    if seen.expectations and [value.lower() for value in seen.expectations] != [b"100-continue"]:
        raise MessageError("the only expectation understood is 100-continue", 417)
    return RequestHead(
        method=method,
        target=target,
        version=raw_version,
        headers=fields,
        body=body,
        keep_alive=_persists(seen, raw_version),
        expects_continue=bool(seen.expectations) and raw_version == b"1.1",
        wants_upgrade=wants_upgrade,
    )


def response_head(
    status: int, reason: bytes, version: str, headers: Sequence[Header], *, to_method: bytes
) -> ResponseHead:
    """Check the head of a response to a `to_method` request. Raises MessageError: do not relay it."""
    raw_version = _VERSIONS.get(version)
    if raw_version is None or not 100 <= status <= 599:
        raise MessageError("not an HTTP/1.x response")
    if VALUE.fullmatch(reason) is None or len(reason) > MAX_LINE_BYTES:
        raise MessageError("the reason phrase holds a control character")
    fields, names = checked_fields(headers)
    seen = _Steering(fields, names)
    body = _framing(seen, raw_version, _BODY_UNTIL_CLOSE)
    if status < 200 and body not in (_BODY_UNTIL_CLOSE, _EMPTY_BODY):
        # Interim responses have no body (RFC 9112 section 6.3), but llhttp reads one after a status it does
        # not know (104, 199), and a client would parse its content as a head.
        raise MessageError("a body of an interim response")
    if to_method == b"HEAD" or status < 200 or status in (204, 304):
        body = NO_BODY
    persists = _persists(seen, raw_version) and body.kind is not BodyKind.UNTIL_CLOSE
    return ResponseHead(status, reason, raw_version, fields, body, persists)


# RFC 9110 sections 9.3.1, 9.3.2, 9.3.5 and 9.3.7: a body has no meaning for these methods, and some servers
# do not read it; its bytes would then precede the next request.
_BODY_MAY_STAY_UNREAD = frozenset((b"GET", b"HEAD", b"DELETE", b"OPTIONS"))


def is_surely_read(method: bytes, body: Body, *, drains: bool) -> bool:
    """Return True if an upstream that answered has certainly read the whole body, or closes the connection.

    Nothing in HTTP/1.1 shows that: servers that leave the body in the connection also send a response, a 100
    (Continue) and keep the connection open. So a body counts as read only if it was empty, or if the upstream
    is known to read the bodies of such methods (`drains`).
    """
    is_empty = body.kind is BodyKind.NONE or body == _EMPTY_BODY
    return is_empty or (drains and method not in _BODY_MAY_STAY_UNREAD)
