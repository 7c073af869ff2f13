"""Rewrite heads: the request for the upstream, with its credential, and the response for the client."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nono.credentials.values.credential import Injection, Outgoing
from nono.named_tuple import NamedTuple
from nono.policy.hosts.upstream import Upstream
from nono.proxy.http.accept_encoding import accept_encoding
from nono.proxy.http.charset import without_charsets
from nono.proxy.http.message import BodyKind, Header, RequestHead, ResponseHead
from nono.proxy.http.passing import end_to_end, folded
from nono.proxy.http.websocket import without_protocol_keys
from nono.proxy.http.writing import checked_target, checked_value, framing_fields, lines, serialise
from nono.proxy.verdict.routes import Route

# A secret split by ranges or deltas (RFC 3229) would be in no part, and a search in another charset, or in
# the compressed messages of gRPC or Connect, finds nothing.
_NOT_SEARCHABLE = frozenset(
    b"accept-encoding accept-charset range if-range request-range x-ms-range a-im".split()
)
# Without one, a service of Connect compresses for a client that compresses its own messages.
_OF_MESSAGES = frozenset((b"grpc-accept-encoding", b"connect-accept-encoding"))
_WRITTEN_HERE = frozenset((b"content-length", b"host"))
# A session cookie would outlive the request and authenticate without the credential
# (docs/attack-matrix.md, T15).
WITHHELD = frozenset((b"set-cookie", b"set-cookie2"))
_NOT_FOR_THE_CLIENT = {  # key: (request had a credential, Content-Length stays)
    (True, True): WITHHELD,
    (True, False): WITHHELD | {b"content-length"},
    (False, True): frozenset[bytes](),
    (False, False): frozenset((b"content-length",)),
}


def outgoing(head: RequestHead, target: bytes, origin: Upstream, route: Route | None) -> Outgoing:
    """Return the request for the upstream, without its credential. `target` is in origin form.

    On a route every key header is removed, so that none of the command's own is sent beside the credential.
    """
    without = _WRITTEN_HERE
    if route is not None:
        without |= frozenset(map(folded, route.key_headers))
    headers = end_to_end(head.headers, without=without)
    if route is not None and head.wants_upgrade:
        headers = without_protocol_keys(headers)
    return Outgoing(head.method, target, origin.authority, headers)


class Completed(NamedTuple):
    """A request with its credential, to be written as HTTP/1.1 or HTTP/2."""

    request: Outgoing  # without the credential
    target: bytes
    headers: list[Header]  # the request's own
    added: list[Header]  # the credential's
    codings: bytes | None  # the Accept-Encoding to send; None: keep the client's

    def __repr__(self) -> str:
        return "Completed(...)"  # never the credential


def completed(request: Outgoing, injection: Injection | None, *, searched: bool) -> Completed:
    """Write the credential into the request, as the last step.

    The hop-by-hop fields are already gone, so ``Connection: authorization`` removes the command's copy, not
    ours. `searched` means that the response must arrive in a coding that can be decoded here. Raises OSError,
    ValueError or CredentialError from the credential if it does not fit.
    """
    target, headers, added = injected(request, injection)
    if not searched:
        return Completed(request, target, headers, added, None)
    return Completed(request, target, searchable(headers), added, _codings_to_ask_for(request))


def searchable(headers: Iterable[Header]) -> list[Header]:
    """Return the fields of a request without those that ask for a response that cannot be searched."""
    return [
        (name, _searchable(plain, value))
        for name, value in headers
        if (plain := folded(name)) not in _NOT_SEARCHABLE
    ]


def _searchable(plain: bytes, value: bytes) -> bytes:
    if plain in _OF_MESSAGES:
        return b"identity"
    return without_charsets(value) if plain == b"accept" else value


def request_head(written: Completed, framing: Iterable[Header]) -> bytes:
    """Serialise the head for HTTP/1.1."""
    return _framed(_unframed(written), framing)


class _Unframed(NamedTuple):
    """A serialised head without the framing fields, which go between the two halves."""

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
    """Completes and serialises one request, and keeps the last result for clients that repeat themselves.

    The result holds the credential, and keeps it no longer than the credential itself is kept.
    """

    __slots__ = ("_completed", "_injection", "_request", "_searched", "_written")

    def __init__(self, request: Outgoing) -> None:
        self._request = request
        self._injection: Injection | None = None
        self._searched = False
        self._completed: Completed | None = None
        self._written: _Unframed | None = None

    def __repr__(self) -> str:
        return "RequestWriter(...)"

    def head(self, framing: Iterable[Header], injection: Injection | None, *, searched: bool) -> bytes:
        """Return request_head(completed(...), framing). Raises as `completed`."""
        if self._written is not None and injection is self._injection and searched is self._searched:
            return _framed(self._written, framing)
        whole = self.completed(injection, searched=searched)
        written = _unframed(whole)
        if whole is self._completed:
            self._written = written
        return _framed(written, framing)

    def completed(self, injection: Injection | None, *, searched: bool) -> Completed:
        """Return completed(...). Raises as that does."""
        if self._completed is not None and injection is self._injection and searched is self._searched:
            return self._completed
        whole = completed(self._request, injection, searched=searched)
        if injection is None or not injection.needs_body:  # a signature is valid for one request
            self._injection, self._searched, self._completed = injection, searched, whole
            self._written = None
        return whole


def _codings_to_ask_for(request: Outgoing) -> bytes:
    return accept_encoding([value for name, value in request.headers if name.lower() == b"accept-encoding"])


def injected(request: Outgoing, injection: Injection | None) -> tuple[bytes, list[Header], list[Header]]:
    """Return the target, the request's own fields and the credential's. Raises as `completed`."""
    if injection is None:
        return request.target, request.headers, []
    names = frozenset(map(folded, injection.header_names))
    headers = [field for field in request.headers if folded(field[0]) not in names]
    target, fields = injection.inject(request._replace(headers=headers))
    return checked_target(target), headers, [(name, checked_value(value)) for name, value in fields]


def response_for_client(
    head: ResponseHead, *, to_version: bytes, closes: bool, credentialed: bool
) -> tuple[bytes, bool]:
    """Return the serialised head for the client, and True if its body is chunked.

    head: the head from the upstream.
    to_version: the client's HTTP version. An HTTP/1.0 client gets a body of unknown length until close, so
        the caller must then close.
    closes: the connection ends with this response.
    credentialed: the request carried a credential, so cookies are withheld.
    """
    chunked = head.body.kind in (BodyKind.CHUNKED, BodyKind.UNTIL_CLOSE) and to_version == b"1.1"
    # The Content-Length of HEAD and 304 describes a body that is not sent, and stays.
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
