"""nono.proxy.verdict.rewrite: the upstream sees one key, the proxy's; the client sees no session of the
upstream."""

from __future__ import annotations

import itertools

import pytest

from nono.credentials.values.credential import Injected, Outgoing
from nono.policy.hosts.upstream import Upstream
from nono.proxy.http.message import Header, request_head, response_head
from nono.proxy.http.writing import framing_fields
from nono.proxy.verdict.rewrite import RequestWriter, completed, outgoing, response_for_client
from nono.proxy.verdict.rewrite import request_head as written_head
from support.proxy.thread import REAL_KEY, FakeCredential, a_route

ORIGIN = Upstream("https", "api.test", 443)


def rewritten(
    headers: list[Header], credential: FakeCredential | None, origin: Upstream = ORIGIN
) -> list[bytes]:
    head = request_head(b"GET", b"/ignored", "1.1", [(b"Host", b"127.0.0.1:1"), *headers])
    route = None if credential is None else a_route(1, credential=credential)
    request = outgoing(head, b"/v1", origin, route)
    written = written_head(completed(request, credential, searched=False), framing_fields(head.body))
    return written.removesuffix(b"\r\n\r\n").split(b"\r\n")


@pytest.mark.parametrize(
    "copy",
    [
        b"Authorization",
        b"AUTHORIZATION",
        b"x-api-key",
        b"X-Goog-Api-Key",
        b"X-Custom-Key",
        b"Proxy-Authorization",
    ],
)
def test_the_credential_replaces_every_copy_of_its_key_header(copy: bytes) -> None:
    lines = rewritten(
        [(copy, b"child's"), (copy, b"again"), (b"X-Kept", b"1")], FakeCredential("X-Custom-Key")
    )
    assert lines == [
        b"GET /v1 HTTP/1.1",
        b"Host: api.test",
        b"X-Kept: 1",
        b"X-Custom-Key: Bearer " + REAL_KEY.encode(),
    ]


def test_connection_cannot_remove_the_injected_header() -> None:
    lines = rewritten([(b"Connection", b"authorization, x-kept"), (b"X-Kept", b"1")], FakeCredential())
    assert lines[2:] == [b"Authorization: Bearer " + REAL_KEY.encode()]


def test_without_a_credential_the_childs_own_authorization_stays() -> None:
    lines = rewritten([(b"Authorization", b"own"), (b"Proxy-Authorization", b"token")], None)
    assert lines[2:] == [b"Authorization: own"]


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        pytest.param(Upstream("https", "api.test", 443), b"api.test", id="https"),
        pytest.param(Upstream("https", "api.test", 8443), b"api.test:8443", id="other port"),
        pytest.param(Upstream("http", "::1", 80), b"[::1]", id="IPv6"),
    ],
)
def test_host_is_the_upstreams(origin: Upstream, host: bytes) -> None:
    assert rewritten([], None, origin)[1] == b"Host: " + host


def test_this_hop_writes_the_framing_anew() -> None:
    lines = rewritten([(b"content-length", b"007")], None)
    assert lines[2:] == [b"Content-Length: 7"]
    lines = rewritten([(b"transfer-encoding", b"Chunked"), (b"Trailer", b"X")], None)
    assert lines[2:] == [b"Transfer-Encoding: chunked"]


def test_a_credential_that_does_not_fit_a_header_is_not_sent() -> None:
    with pytest.raises(ValueError, match=r"^not a header value$"):
        rewritten([], FakeCredential(content=b"Bearer a\r\nX: 1"))


def relayed(
    status: int, headers: list[Header], *, version: bytes = b"1.1", credentialed: bool = True
) -> bytes:
    head = response_head(status, b"Fine", "1.1", headers, to_method=b"GET")
    return response_for_client(head, to_version=version, closes=False, credentialed=credentialed)[0]


@pytest.mark.parametrize(
    ("status", "headers", "version", "written"),
    [
        pytest.param(200, [(b"Content-Length", b"3")], b"1.1", b"Content-Length: 3\r\n", id="length"),
        pytest.param(200, [], b"1.1", b"Transfer-Encoding: chunked\r\n", id="until close becomes chunked"),
        pytest.param(200, [], b"1.0", b"", id="until close stays for 1.0"),
        pytest.param(204, [(b"Content-Length", b"3")], b"1.1", b"", id="204 has no length"),
        pytest.param(304, [(b"Content-Length", b"3")], b"1.1", b"Content-Length: 3\r\n", id="304 keeps it"),
        pytest.param(200, [(b"Connection", b"X"), (b"X", b"1"), (b"Content-Length", b"0")], b"1.1",
                     b"Content-Length: 0\r\n", id="Connection-listed"),
    ],
)  # fmt: skip
def test_the_response_is_framed_for_the_client(
    status: int, headers: list[Header], version: bytes, written: bytes
) -> None:
    assert relayed(status, headers, version=version) == b"HTTP/1.1 %d Fine\r\n%b\r\n" % (status, written)


def test_an_upstream_session_cookie_is_kept_from_a_credential_route() -> None:
    cookie: list[Header] = [(b"Set-Cookie", b"session=1"), (b"Content-Length", b"0")]
    assert b"Set-Cookie" not in relayed(200, cookie)
    assert b"Set-Cookie: session=1" in relayed(200, cookie, credentialed=False)


def test_only_what_makes_a_response_unsearchable_is_taken_out_of_a_searched_request() -> None:
    typed = (b"Content-Type", b"text/plain; charset=utf-16")
    asked = [(b"Accept", b"text/plain; charset=utf-16"), (b"Range", b"bytes=0-9"), (b"Accept-Charset", b"x")]
    request = Outgoing(b"GET", b"/", b"api.test", [typed, *asked, (b"X-Note", b"identity;q=0")])
    searched = completed(request, None, searched=True)
    assert searched.headers == [typed, (b"Accept", b"text/plain"), (b"X-Note", b"identity;q=0")]
    assert searched.codings == completed(request._replace(headers=[]), None, searched=True).codings
    assert completed(request, None, searched=False).headers == request.headers


def test_a_writer_remembers_no_head_of_another_credential_or_framing() -> None:
    head = request_head(b"POST", b"/", "1.1", [(b"Host", b"a"), (b"Accept-Encoding", b"gzip, odd")])
    request = outgoing(head, b"/v1", ORIGIN, a_route(1))
    first, second = FakeCredential(), FakeCredential(content=b"Bearer another")
    framings: list[list[Header]] = [[], [(b"Content-Length", b"3")], [(b"Content-Length", b"4")]]
    asked = list(itertools.product(framings, (first, second, None), (False, True)))
    for before, after in itertools.product(asked, asked):  # each after each, one thing apart or more
        writer = RequestWriter(request)
        for framing, credential, searched in (before, after):
            whole = completed(request, credential, searched=searched)
            assert whole.codings == (b"gzip" if searched else None)
            expected = written_head(whole, framing)
            assert writer.completed(credential, searched=searched) == whole
            assert writer.head(framing, credential, searched=searched) == expected


def test_a_writer_completes_a_repeated_request_once() -> None:
    writer, credential = RequestWriter(Outgoing(b"GET", b"/", b"a", [])), FakeCredential()
    first = writer.completed(credential, searched=True)
    writer.head([], credential, searched=True)
    assert writer.completed(credential, searched=True) is first


def test_a_writer_signs_each_request_without_keeping_the_signature() -> None:
    class Signature(FakeCredential):
        def inject(self, request: Outgoing) -> Injected:
            return Injected(request.target, [(b"Authorization", b"signature %d" % next(numbers))])

    numbers = itertools.count()
    writer = RequestWriter(Outgoing(b"GET", b"/", b"a", []))
    signature = Signature(needs_body=True)
    written = [writer.head([], signature, searched=False) for _ in range(2)]
    assert [b"signature %d" % index in head for index, head in enumerate(written)] == [True, True]
    signed = [writer.completed(signature, searched=False).added[0][1] for _ in range(2)]
    assert signed == [b"signature 2", b"signature 3"]
    assert "signature" not in repr(writer)


def test_a_completed_request_shows_no_credential() -> None:
    whole = completed(Outgoing(b"GET", b"/", b"a", []), FakeCredential(), searched=False)
    assert REAL_KEY.encode() in b"".join(value for _, value in whole.added)
    assert REAL_KEY not in repr(whole)
