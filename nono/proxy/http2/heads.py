"""Convert HTTP/2 heads to and from the checked values used for HTTP/1.1.

RFC 9113 section 8 defines them. Fields that are legal in HTTP/2 but change meaning when written as HTTP/1.1
are refused, because this proxy or a server behind it may do that conversion.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import quote

from nono.proxy.http import message, refusal
from nono.proxy.http.message import Body, BodyKind, Header, MessageError, RequestHead, ResponseHead
from nono.proxy.http.passing import end_to_end, trailers
from nono.proxy.http.refusal import Refusal
from nono.proxy.http2.protocol.compression import SecretField
from nono.proxy.verdict.rewrite import WITHHELD, Completed

# RFC 9113 section 8.2.2: a message that holds one of them is malformed.
_OF_A_CONNECTION = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"http2-settings")
)
_UNKNOWN_LENGTH = Body(BodyKind.CHUNKED)
# "HTTP to gRPC Status Code Mapping" in the gRPC documentation.
_GRPC_STATUS = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
_GRPC_UNKNOWN = 2
# "gRPC over HTTP2": a Status-Message percent-encodes everything but printable ASCII without the percent sign.
_GRPC_MESSAGE_SAFE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


def request_head(fields: Sequence[Header], *, ended: bool) -> RequestHead:
    """Check a request head. Raises MessageError with the reason and the status to answer.

    `ended` means that no body follows. ``:authority`` becomes the Host field, and split cookie fields are
    joined. A CONNECT, also an extended one (RFC 8441), has its ``:authority`` as target.
    """
    # Section 8.2.1. Stripped later, " 5" would be a length here and none where the frames are counted.
    if any(value != value.strip() for _, value in fields):
        raise MessageError("the value of a header field begins or ends with a blank")
    pseudo, regular = _split(fields)
    method = pseudo.pop(b":method", b"")
    authority = pseudo.pop(b":authority", None)
    scheme, path = pseudo.pop(b":scheme", None), pseudo.pop(b":path", b"")
    protocol = pseudo.pop(b":protocol", None)
    if pseudo or (protocol is not None and method != b"CONNECT"):
        raise MessageError("a pseudo-header field that is not known")
    headers = [(b"host", _host(authority, regular)), *_joined(_regular(regular))]
    if method == b"CONNECT":
        return message.request_head(method, headers[0][1], "1.1", headers)
    if scheme != b"https":
        raise MessageError("the :scheme is not https")
    head = message.request_head(method, path, "1.1", headers)
    if names := unindexed(fields):
        head = head._replace(unindexed=names)
    if ended and head.body.length:
        raise MessageError("a body was announced, and none follows")
    if not ended and head.body.kind is BodyKind.NONE:
        return head._replace(body=_UNKNOWN_LENGTH)
    return head


def response_head(fields: Sequence[Header], *, to_method: bytes) -> ResponseHead:
    """Check a response head, interim ones included. Raises MessageError if it must not be relayed."""
    pseudo, regular = _split(fields)
    status = pseudo.pop(b":status", b"")
    if pseudo or len(status) != 3 or not status.isdigit():
        raise MessageError("not one three-digit :status")
    head = message.response_head(int(status), b"", "1.1", _regular(regular), to_method=to_method)
    return head._replace(unindexed=names) if (names := unindexed(fields)) else head


def request_fields(
    written: Completed, scheme: str, framing: Iterable[Header], unindexed: frozenset[bytes]
) -> list[Header]:
    """Return the fields to send. The credential enters no compression table (RFC 7541 section 7.1.3).

    unindexed: The names of other fields that enter none.
    """
    request, target, headers, added, codings = written
    secret = [SecretField((name.lower(), value)) for name, value in added]
    asked = [] if codings is None else [(b"accept-encoding", codings)]
    pseudo: list[Header] = [
        (b":method", request.method),
        (b":scheme", scheme.encode("ascii")),
        (b":authority", request.authority),
        # A path that holds the credential is as secret as a header.
        (b":path", target) if target == request.target else SecretField((b":path", target)),
    ]
    return [*kept_out([*pseudo, *lowered([*headers, *framing])], unindexed), *secret, *asked]


def response_fields(head: ResponseHead, *, credentialed: bool) -> list[Header]:
    """Return the client's fields for a response, interim or final, from an HTTP/1.1 or HTTP/2 upstream."""
    without = WITHHELD if credentialed or head.is_interim else frozenset[bytes]()
    if head.is_interim or head.status == 204 or head.body.kind in (BodyKind.CHUNKED, BodyKind.UNTIL_CLOSE):
        without |= {b"content-length"}
    fields = [(b":status", b"%d" % head.status), *lowered(end_to_end(head.headers, without=without))]
    return kept_out(fields, head.unindexed)


def trailer_fields(fields: Sequence[Header]) -> list[Header]:
    """Return the trailer fields that may be relayed. Raises MessageError if malformed."""
    return kept_out(lowered(trailers(_regular(fields))), unindexed(fields))


def refusal_fields(answer: Refusal, request: RequestHead | None) -> tuple[list[Header], bytes]:
    """Convert a refusal to fields and a body, equivalent to its HTTP/1.1 answer.

    `request` is None if it was malformed. A gRPC call gets a gRPC status instead.
    """
    if request is not None and any(map(_is_grpc, request.values(b"content-type"))):
        return _grpc_refusal(answer), b""
    without_body = request is not None and request.method == b"HEAD"
    head, _, body = refusal.response(answer, without_body=without_body).partition(b"\r\n\r\n")
    status_line, *lines = head.split(b"\r\n")
    pairs = [line.partition(b": ") for line in lines]
    fields = [(name.lower(), value) for name, _, value in pairs if name.lower() not in _OF_A_CONNECTION]
    return [(b":status", status_line.split(b" ")[1]), *fields], body


def _is_grpc(content_type: bytes) -> bool:
    kind = content_type.lower()
    return kind.startswith(b"application/grpc") and kind[16:17] in (b"", b"+", b";")


def _grpc_refusal(answer: Refusal) -> list[Header]:
    """Build a Trailers-Only response ("gRPC over HTTP2"); a JSON body would be a broken message to clients.

    With a JSON body, a client would believe the status or the body depending on how they arrive.
    """
    explained = answer.error if answer.hint is None else f"{answer.error} ({answer.hint})"
    said = quote(refusal.one_line(explained), safe=_GRPC_MESSAGE_SAFE).encode("ascii")
    status = _GRPC_STATUS.get(answer.status, _GRPC_UNKNOWN)
    return [
        (b":status", b"200"),
        (b"content-type", b"application/grpc"),
        (b"grpc-status", b"%d" % status),
        (b"grpc-message", said),
    ]


def unindexed(fields: Iterable[Header]) -> frozenset[bytes]:
    """Return the names of the fields whose sender forbids to index them."""
    return frozenset([field[0] for field in fields if isinstance(field, SecretField)])


def kept_out(fields: list[Header], names: frozenset[bytes]) -> list[Header]:
    """Keep the fields with these names out of every compression table (RFC 7541 section 6.2.3)."""
    return [SecretField(field) if field[0] in names else field for field in fields] if names else fields


def lowered(fields: Iterable[Header]) -> list[Header]:
    """Return the fields with lower-case names, as HTTP/2 requires."""
    return [(name.lower(), value) for name, value in fields]


def _split(fields: Sequence[Header]) -> tuple[dict[bytes, bytes], Sequence[Header]]:
    """Split off the leading pseudo-header fields. Raises MessageError if one occurs twice."""
    pseudo: dict[bytes, bytes] = {}
    for index, (name, value) in enumerate(fields):
        if not name.startswith(b":"):
            return pseudo, fields[index:]
        if name in pseudo:
            raise MessageError("a pseudo-header field is there twice")
        pseudo[name] = value
    return pseudo, ()


def _regular(fields: Sequence[Header]) -> list[Header]:
    for name, value in fields:
        if name != name.lower():
            raise MessageError("the name of a header field is not in lower case")
        if name in _OF_A_CONNECTION or (name == b"te" and value != b"trailers"):
            raise MessageError(f"HTTP/2 has no {name.decode('ascii')} field of that kind")
    return [(bytes(name), bytes(value)) for name, value in fields if name != b"host"]


def _host(authority: bytes | None, fields: Sequence[Header]) -> bytes:
    """Return the Host value. RFC 9113 section 8.3.1: ``:authority`` and Host must agree if both are sent."""
    named = [value for name, value in fields if name == b"host"]
    if authority is not None:
        named.append(authority)
    if not named or any(value.lower() != named[-1].lower() for value in named):
        raise MessageError("there must be one :authority, and no Host field that differs")
    return bytes(named[-1])


def _joined(fields: list[Header]) -> list[Header]:
    """Join split cookie fields (RFC 9113 section 8.2.3): HTTP/1.1 has one Cookie field."""
    crumbs = [value for name, value in fields if name == b"cookie"]
    if len(crumbs) < 2:
        return fields
    others = [field for field in fields if field[0] != b"cookie"]
    return [*others, (b"cookie", b"; ".join(crumbs))]
