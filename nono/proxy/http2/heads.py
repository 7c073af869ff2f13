"""Heads of HTTP/2 as the same checked values that HTTP/1.1 has, and written as HTTP/2 fields.

RFC 9113 section 8. What would be legal in a field but means something else once it is written as HTTP/1.1
is refused here: this proxy, and what is behind it, may be the place where that happens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import quote

from hpack import NeverIndexedHeaderTuple

from nono.proxy.http import message, refusal
from nono.proxy.http.message import (
    Body,
    BodyKind,
    Header,
    MessageError,
    RequestHead,
    ResponseHead,
    end_to_end,
)
from nono.proxy.http.refusal import Refusal
from nono.proxy.verdict.rewrite import WITHHELD, Completed

# RFC 9113 section 8.2.2: a message that holds one of them is malformed.
_OF_A_CONNECTION = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"http2-settings")
)
_UNKNOWN_LENGTH = Body(BodyKind.CHUNKED)
# "HTTP to gRPC Status Code Mapping" of the gRPC documentation.
_GRPC_STATUS = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
_GRPC_UNKNOWN = 2
# "gRPC over HTTP2": everything printable but the percent sign stands for itself in a Status-Message.
_GRPC_MESSAGE_SAFE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


def request_head(fields: Sequence[Header], *, ended: bool) -> RequestHead:
    """The checked head of a request. MessageError says why not, with the status to answer.

    ended: no body follows. An ``:authority`` becomes the Host field, the crumbs of a cookie are joined; a
    CONNECT of either kind (RFC 8441 for the extended one) has its ``:authority`` as target.
    """
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
    if ended and head.body.length:
        raise MessageError("a body was announced, and none follows")
    if not ended and head.body.kind is BodyKind.NONE:
        return head._replace(body=_UNKNOWN_LENGTH)
    return head


def response_head(fields: Sequence[Header], *, to_method: bytes) -> ResponseHead:
    """The checked head of a response, interim ones included. MessageError when it must not be relayed."""
    pseudo, regular = _split(fields)
    status = pseudo.pop(b":status", b"")
    if pseudo or len(status) != 3 or not status.isdigit():
        raise MessageError("not one three-digit :status")
    return message.response_head(int(status), b"", "1.1", _regular(regular), to_method=to_method)


def request_fields(written: Completed, scheme: str, framing: Iterable[Header]) -> list[Header]:
    """The fields to send, with the credential last; it enters no compression table (RFC 7541 7.1.3)."""
    request, target, headers, added, codings = written
    secret = [NeverIndexedHeaderTuple(name.lower(), value) for name, value in added]
    asked = [] if codings is None else [(b"accept-encoding", codings)]
    pseudo: list[Header] = [
        (b":method", request.method),
        (b":scheme", scheme.encode("ascii")),
        (b":authority", request.authority),
        # Where the path holds the credential, it is as secret as a header.
        (b":path", target) if target == request.target else NeverIndexedHeaderTuple(b":path", target),
    ]
    return [*pseudo, *lowered([*headers, *framing]), *secret, *asked]


def response_fields(head: ResponseHead, *, credentialed: bool) -> list[Header]:
    """The fields for the client of a response, interim ones included, from an upstream of either version."""
    without = WITHHELD if credentialed or head.is_interim else frozenset[bytes]()
    if head.is_interim or head.status == 204 or head.body.kind in (BodyKind.CHUNKED, BodyKind.UNTIL_CLOSE):
        without |= {b"content-length"}
    return [(b":status", b"%d" % head.status), *lowered(end_to_end(head.headers, without=without))]


def trailer_fields(fields: Sequence[Header]) -> list[Header]:
    """The trailer fields that may be relayed. MessageError when ill-formed."""
    return lowered(message.trailers(_regular(fields)))


def refusal_fields(answer: Refusal, request: RequestHead | None) -> tuple[list[Header], bytes]:
    """A refusal as fields and body: what HTTP/1.1 would be answered, in the other version.

    request: None when it could not be read. A call of gRPC gets its own kind of answer.
    """
    if request is not None and any(map(_is_grpc, request.values(b"content-type"))):
        return _grpc_refusal(answer), b""
    without_body = request is not None and request.method == b"HEAD"
    head, _, body = refusal.response(answer, without_body=without_body).partition(b"\r\n\r\n")
    status_line, *lines = head.split(b"\r\n")
    pairs = [line.partition(b": ") for line in lines]
    fields = [(name.lower(), value) for name, _, value in pairs if name != b"Connection"]
    return [(b":status", status_line.split(b" ")[1]), *fields], body


def _is_grpc(content_type: bytes) -> bool:
    kind = content_type.lower()
    return kind.startswith(b"application/grpc") and kind[16:17] in (b"", b"+", b";")


def _grpc_refusal(answer: Refusal) -> list[Header]:
    """Trailers only, as "gRPC over HTTP2" has it: a JSON body in their place is a broken message to clients.

    Which of its two halves such a client believes, the status or the body, depends on how they arrive.
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


def lowered(fields: Iterable[Header]) -> list[Header]:
    """fields with names in lower case, as HTTP/2 writes them."""
    return [(name.lower(), value) for name, value in fields]


def _split(fields: Sequence[Header]) -> tuple[dict[bytes, bytes], Sequence[Header]]:
    """Pseudo-header fields, which stand in front and are there once each, and the others."""
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
    """RFC 9113 section 8.3.1: ``:authority`` and Host name the same, where both are there."""
    named = [value for name, value in fields if name == b"host"]
    if authority is not None:
        named.append(authority)
    if not named or any(value.lower() != named[-1].lower() for value in named):
        raise MessageError("there must be one :authority, and no Host field that differs")
    return bytes(named[-1])


def _joined(fields: list[Header]) -> list[Header]:
    """RFC 9113 section 8.2.3: HTTP/1.1 has one Cookie field."""
    crumbs = [value for name, value in fields if name == b"cookie"]
    if len(crumbs) < 2:
        return fields
    others = [field for field in fields if field[0] != b"cookie"]
    return [*others, (b"cookie", b"; ".join(crumbs))]
