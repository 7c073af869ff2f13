"""What a head becomes on its way through: the request for the upstream, the response for the client."""

from __future__ import annotations

from collections.abc import Sequence

from nono.proxy.message import (
    BodyKind,
    Header,
    RequestHead,
    ResponseHead,
    checked_value,
    end_to_end,
    framing_fields,
    serialise,
)
from nono.proxy.phantom_check import KEY_HEADERS
from nono.proxy.route import Credential, Origin

_WRITTEN_HERE = frozenset((b"content-length", b"host"))
# A session cookie would outlive the request and authenticate without the credential (attack T15).
_CREDENTIAL_ROUTE_RESPONSE = frozenset((b"set-cookie", b"set-cookie2"))


def request_for_upstream(
    head: RequestHead, target: bytes, origin: Origin, credential: Credential | None
) -> bytes:
    """The head as the upstream receives it; target is canonical and in origin form.

    With a credential every copy of a key header goes first and the credential is written last, after the
    hop-by-hop fields are gone, so that ``Connection: authorization`` removes the child's copy and not ours.
    OSError or ValueError from the credential when it cannot be had or does not fit a header line.
    """
    without = _WRITTEN_HERE
    injected: list[Header] = []
    if credential is not None:
        name = credential.header.encode("ascii")
        without |= KEY_HEADERS | {name.lower()}
        injected = [(name, checked_value(credential.value()))]
    fields = [(b"Host", origin.authority)]
    fields += end_to_end(head.headers, without=without)
    fields += framing_fields(head.body)
    return serialise(b"%b %b HTTP/1.1" % (head.method, target), fields + injected)


def response_for_client(
    head: ResponseHead, *, to_version: bytes, closes: bool, credentialed: bool
) -> tuple[bytes, bool]:
    """The head for the client, and whether its body is chunked.

    closes: the connection ends with this response. A client of HTTP/1.0 gets an unknown length as
    "until close", which the caller must then keep.
    """
    without = _CREDENTIAL_ROUTE_RESPONSE if credentialed else frozenset[bytes]()
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
