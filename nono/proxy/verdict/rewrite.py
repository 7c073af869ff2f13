"""What a head becomes on its way through: the request for the upstream, the response for the client."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nono.credentials.values.credential import Injection, Outgoing
from nono.named_tuple import NamedTuple
from nono.proxy.http.content_coding import accept_encoding
from nono.proxy.http.message import (
    BodyKind,
    Header,
    RequestHead,
    ResponseHead,
    checked_target,
    checked_value,
    end_to_end,
    folded,
    framing_fields,
    lines,
    serialise,
)
from nono.proxy.verdict.routes import Origin, Route

# A secret cut in two by ranges would be found in neither part.
_NOT_SEARCHABLE = frozenset((b"accept-encoding", b"range", b"if-range"))
_WRITTEN_HERE = frozenset((b"content-length", b"host"))
# A session cookie would outlive the request and authenticate without the credential (attack T15).
WITHHELD = frozenset((b"set-cookie", b"set-cookie2"))
_NOT_FOR_THE_CLIENT = {  # by whether a credential went along, and whether the length stays
    (True, True): WITHHELD,
    (True, False): WITHHELD | {b"content-length"},
    (False, True): frozenset[bytes](),
    (False, False): frozenset((b"content-length",)),
}


def outgoing(head: RequestHead, target: bytes, origin: Origin, route: Route | None) -> Outgoing:
    """The request as the upstream will receive it, without its credential; target is in origin form.

    On a route every copy of a key header goes, so that none of the child's own is sent beside ours.
    """
    without = _WRITTEN_HERE
    if route is not None:
        without |= frozenset(map(folded, route.key_headers))
    return Outgoing(head.method, target, origin.authority, end_to_end(head.headers, without=without))


class Completed(NamedTuple):
    """A request with its credential, for either version of HTTP to write."""

    request: Outgoing  # without it
    target: bytes
    headers: list[Header]  # the request's own
    added: list[Header]  # the credential's
    codings: bytes | None  # the Accept-Encoding to send instead of the client's own; None: its own is fine


def completed(request: Outgoing, injection: Injection | None, *, searched: bool) -> Completed:
    """Write the credential in, after all else has been decided.

    After the hop-by-hop fields are gone, so that ``Connection: authorization`` removes the child's copy and
    not ours. OSError, ValueError or CredentialError from the credential when it does not fit.
    searched: the response has to come in a coding that can be undone here.
    """
    target, headers, added = injected(request, injection)
    if not searched:
        return Completed(request, target, headers, added, None)
    kept = [field for field in headers if field[0].lower() not in _NOT_SEARCHABLE]
    return Completed(request, target, kept, added, _codings_to_ask_for(request))


def request_head(written: Completed, framing: Iterable[Header]) -> bytes:
    """The bytes of the head for HTTP/1.1."""
    return _framed(_unframed(written), framing)


class _Unframed(NamedTuple):
    """A head, but for the fields between its two halves that announce the body."""

    before: bytes
    after: bytes


def _unframed(written: Completed) -> _Unframed:
    request, target, headers, added, codings = written
    if codings is not None:
        added = [*added, (b"Accept-Encoding", codings)]
    start_line = b"%b %b HTTP/1.1\r\n" % (request.method, target)
    before = lines([(b"Host", request.authority), *headers])
    return _Unframed(start_line + before, lines(added) + b"\r\n")


def _framed(head: _Unframed, framing: Iterable[Header]) -> bytes:
    return head.before + lines(framing) + head.after


class RequestWriter:
    """Writes the head of one request, and keeps the last: a client that repeats itself gets it at once.

    What it keeps holds the credential, for as long as the credential itself is held.
    """

    __slots__ = ("_injection", "_request", "_searched", "_written")

    def __init__(self, request: Outgoing) -> None:
        self._request = request
        self._injection: Injection | None = None
        self._searched = False
        self._written: _Unframed | None = None

    def __repr__(self) -> str:
        return "RequestWriter(...)"

    def head(self, framing: Iterable[Header], injection: Injection | None, *, searched: bool) -> bytes:
        """As request_head, of what completed returns. Raises as that."""
        if self._written is not None and injection is self._injection and searched is self._searched:
            return _framed(self._written, framing)
        written = _unframed(completed(self._request, injection, searched=searched))
        if injection is None or not injection.needs_body:  # a signature is good for one request
            self._injection, self._searched, self._written = injection, searched, written
        return _framed(written, framing)


def _codings_to_ask_for(request: Outgoing) -> bytes:
    return accept_encoding([value for name, value in request.headers if name.lower() == b"accept-encoding"])


def injected(request: Outgoing, injection: Injection | None) -> tuple[bytes, list[Header], list[Header]]:
    """The target, the request's own fields and the credential's. Raises as completed."""
    if injection is None:
        return request.target, request.headers, []
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
    chunked = head.body.kind in (BodyKind.CHUNKED, BodyKind.UNTIL_CLOSE) and to_version == b"1.1"
    # Without a body the length of HEAD and 304 describes what was not sent, and stays.
    keeps_length = head.body.kind is BodyKind.NONE and head.status >= 200 and head.status != 204
    fields = end_to_end(head.headers, without=_NOT_FOR_THE_CLIENT[credentialed, keeps_length])
    fields += _client_framing(head, chunked=chunked)
    if closes:
        fields.append((b"Connection", b"close"))
    return serialise(b"HTTP/1.1 %d %b" % (head.status, head.reason), fields), chunked


def _client_framing(head: ResponseHead, *, chunked: bool) -> Sequence[Header]:
    if chunked:
        return [(b"Transfer-Encoding", b"chunked")]
    return framing_fields(head.body) if head.body.kind is BodyKind.LENGTH else []
