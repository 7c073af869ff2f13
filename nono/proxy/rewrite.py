"""What a head becomes on its way through: the request for the upstream, the response for the client."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nono.credentials.credential import Injection, Outgoing
from nono.proxy.message import (
    BodyKind,
    Header,
    RequestHead,
    ResponseHead,
    checked_target,
    checked_value,
    end_to_end,
    folded,
    framing_fields,
    serialise,
)
from nono.proxy.route import Origin, Route

# A secret cut in two by ranges would be found in neither part.
NOT_SEARCHABLE = frozenset((b"accept-encoding", b"range", b"if-range"))
_WRITTEN_HERE = frozenset((b"content-length", b"host"))
# A session cookie would outlive the request and authenticate without the credential (attack T15).
WITHHELD = frozenset((b"set-cookie", b"set-cookie2"))


def outgoing(head: RequestHead, target: bytes, origin: Origin, route: Route | None) -> Outgoing:
    """The request as the upstream will receive it, without its credential; target is in origin form.

    On a route every copy of a key header goes, so that none of the child's own is sent beside ours.
    """
    without = _WRITTEN_HERE
    if route is not None:
        without |= frozenset(map(folded, route.key_headers))
    return Outgoing(head.method, target, origin.authority, end_to_end(head.headers, without=without))


def request_head(
    request: Outgoing,
    framing: Iterable[Header],
    injection: Injection | None,
    accept_encoding: bytes | None = None,
) -> bytes:
    """The bytes of the head, with the credential written last.

    After the hop-by-hop fields are gone, so that ``Connection: authorization`` removes the child's copy and
    not ours. OSError, ValueError or CredentialError from the credential when it does not fit.
    """
    target, headers, added = request.target, request.headers, list[Header]()
    if injection is not None:
        target, headers, added = injected(request, injection)
    if accept_encoding is not None:
        headers = [field for field in headers if field[0].lower() not in NOT_SEARCHABLE]
        added.append((b"Accept-Encoding", accept_encoding))
    fields = [(b"Host", request.authority), *headers, *framing, *added]
    return serialise(b"%b %b HTTP/1.1" % (request.method, target), fields)


def injected(request: Outgoing, injection: Injection) -> tuple[bytes, list[Header], list[Header]]:
    """The target, the request's own fields and the credential's. Raises as request_head."""
    names = frozenset(map(folded, injection.header_names))
    headers = [field for field in request.headers if folded(field[0]) not in names]
    target, fields = injection.inject(request._replace(headers=headers))
    return checked_target(target), headers, [(name, checked_value(value)) for name, value in fields]


def response_for_client(
    head: ResponseHead, *, to_version: bytes, closes: bool, credentialed: bool
) -> tuple[bytes, bool]:
    """The head for the client, and whether its body is chunked.

    closes: the connection ends with this response. A client of HTTP/1.0 gets an unknown length as
    "until close", which the caller must then keep.
    """
    without = WITHHELD if credentialed else frozenset[bytes]()
    chunked = head.body.kind in (BodyKind.CHUNKED, BodyKind.UNTIL_CLOSE) and to_version == b"1.1"
    # Without a body the length of HEAD and 304 describes what was not sent, and stays.
    keeps_length = head.body.kind is BodyKind.NONE and head.status >= 200 and head.status != 204
    if not keeps_length:
        without |= {b"content-length"}
    fields = end_to_end(head.headers, without=without)
    fields += _client_framing(head, chunked=chunked)
    if closes:
        fields.append((b"Connection", b"close"))
    return serialise(b"HTTP/1.1 %d %b" % (head.status, head.reason), fields), chunked


def _client_framing(head: ResponseHead, *, chunked: bool) -> Sequence[Header]:
    if chunked:
        return [(b"Transfer-Encoding", b"chunked")]
    return framing_fields(head.body) if head.body.kind is BodyKind.LENGTH else []
