"""nono.proxy.http.message: which heads are accepted, and what is written in their place."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.proxy.http.message import (
    MAX_HEADERS,
    MAX_LINE_BYTES,
    Body,
    BodyKind,
    Header,
    MessageError,
    is_surely_read,
    request_head,
    response_head,
)
from nono.proxy.http.passing import end_to_end, trailers
from nono.proxy.http.writing import checked_target, checked_value, chunk, last_chunk, serialise

HOST: Header = (b"Host", b"a")


def head_of(*headers: Header, method: bytes = b"POST", version: str = "1.1") -> Body:
    return request_head(method, b"/", version, [HOST, *headers]).body


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        pytest.param([], Body(BodyKind.NONE), id="none"),
        pytest.param([(b"Content-Length", b"0")], Body(BodyKind.LENGTH, 0), id="zero"),
        pytest.param([(b"content-length", b" 12\t")], Body(BodyKind.LENGTH, 12), id="blanks around"),
        pytest.param([(b"Transfer-Encoding", b"Chunked")], Body(BodyKind.CHUNKED), id="chunked"),
    ],
)
def test_an_unambiguous_framing_is_accepted(headers: list[Header], body: Body) -> None:
    assert head_of(*headers) == body


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([(b"Content-Length", b"1"), (b"Transfer-Encoding", b"chunked")], id="CL and TE"),
        pytest.param([(b"Content-Length", b"1"), (b"Content-Length", b"1")], id="CL twice, same"),
        pytest.param([(b"Content-Length", b"1"), (b"Content-Length", b"2")], id="CL twice, different"),
        pytest.param([(b"Content-Length", b"1, 1")], id="CL list"),
        pytest.param([(b"Content-Length", b"+1")], id="CL sign"),
        pytest.param([(b"Content-Length", b"-1")], id="CL negative"),
        pytest.param([(b"Content-Length", b"0x1")], id="CL hex"),
        pytest.param([(b"Content-Length", b"1_0")], id="CL underscore"),
        pytest.param([(b"Content-Length", b"")], id="CL empty"),
        pytest.param([(b"Content-Length", b"9" * 19)], id="CL huge"),
        pytest.param([(b"Transfer-Encoding", b"identity")], id="TE identity"),
        pytest.param([(b"Transfer-Encoding", b"gzip, chunked")], id="TE gzip"),
        pytest.param([(b"Transfer-Encoding", b"chunked, identity")], id="TE chunked first"),
        pytest.param([(b"Transfer-Encoding", b"chunked")] * 2, id="TE twice"),
        pytest.param([(b"Transfer-Encoding", b"\x0bchunked")], id="TE vertical tab"),
        pytest.param([(b"Transfer-Encoding", b"xchunked")], id="TE look-alike"),
        pytest.param([(b"X ", b"1")], id="space before colon"),
        pytest.param([(b"", b"1")], id="no name"),
        pytest.param([(b"X\xff", b"1")], id="name not ASCII"),
        pytest.param([(b"X", b"a\r\nb")], id="CRLF in value"),
        pytest.param([(b"X", b"a\nb")], id="LF in value"),
        pytest.param([(b"X", b"a\x00b")], id="NUL in value"),
        pytest.param([(b"X", b"a\x7fb")], id="DEL in value"),
        pytest.param([(b"Host", b"b")], id="second Host"),
        pytest.param([(b"Connection", b": close")], id="Connection with no token"),
        pytest.param([(b"Connection", b"keep-alive, a b")], id="Connection with a blank"),
    ],
)
def test_a_head_that_two_parsers_could_read_differently_is_refused(headers: list[Header]) -> None:
    with pytest.raises(MessageError) as refused:
        head_of(*headers)
    assert refused.value.status == 400


def test_http_1_0_has_no_transfer_encoding() -> None:
    assert head_of((b"Content-Length", b"1"), version="1.0").length == 1
    with pytest.raises(MessageError):
        head_of((b"Transfer-Encoding", b"chunked"), version="1.0")


@pytest.mark.parametrize(
    ("method", "target", "version", "status"),
    [
        pytest.param(b"GET", b"/", "0.9", 505, id="HTTP/0.9"),
        pytest.param(b"GET", b"/", "2.0", 505, id="HTTP/2"),
        pytest.param(b"PRI", b"*", "1.1", 400, id="HTTP/2 preface"),
        pytest.param(b"SETUP", b"/", "1.0", 400, id="RTSP method"),
        pytest.param(b"G T", b"/", "1.1", 400, id="method with blank"),
        pytest.param(b"*", b"/", "1.1", 400, id="what a rule reads as every method"),
        pytest.param(b"GET", b"/a b", "1.1", 400, id="target with blank"),
        pytest.param(b"GET", b"/\xff", "1.1", 400, id="target not ASCII"),
        pytest.param(b"GET", b"/" * (MAX_LINE_BYTES + 1), "1.1", 414, id="target too long"),
        pytest.param(b"GET", b"", "1.1", 400, id="no target"),
    ],
)
def test_a_request_line_outside_http_1_is_refused(
    method: bytes, target: bytes, version: str, status: int
) -> None:
    assert request_head(b"GET", b"/", "1.1", [HOST]).target == b"/"
    with pytest.raises(MessageError) as refused:
        request_head(method, target, version, [HOST])
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("within", "beyond", "status"),
    [
        pytest.param([(b"X", b"1")] * (MAX_HEADERS - 1), [(b"X", b"1")] * MAX_HEADERS, 431, id="fields"),
        pytest.param(
            [(b"X", b"1" * (MAX_LINE_BYTES - 1))], [(b"X", b"1" * MAX_LINE_BYTES)], 431, id="line length"
        ),
        pytest.param([(b"X", b"1" * 8000)] * 8, [(b"X", b"1" * 8000)] * 9, 431, id="head size"),
        pytest.param([(b"Expect", b"100-Continue")], [(b"Expect", b"payment")], 417, id="expectation"),
    ],
)
def test_a_head_beyond_a_limit_is_refused(within: list[Header], beyond: list[Header], status: int) -> None:
    head_of(*within)
    with pytest.raises(MessageError) as refused:
        head_of(*beyond)
    assert refused.value.status == status


def test_http_1_1_needs_a_host() -> None:
    with pytest.raises(MessageError):
        request_head(b"GET", b"/", "1.1", [])
    assert request_head(b"GET", b"/", "1.0", []).headers == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [(b"Content-Length", b"1"), (b"Transfer-Encoding", b"chunked")],
)
def test_connect_takes_no_body(name: bytes, value: bytes) -> None:
    head_of((b"Content-Length", b"0"), method=b"CONNECT")
    with pytest.raises(MessageError):
        head_of((name, value), method=b"CONNECT")


@pytest.mark.parametrize(
    ("headers", "version", "persists"),
    [
        pytest.param([], "1.1", True, id="1.1"),
        pytest.param([(b"Connection", b"foo, Close")], "1.1", False, id="close in a list"),
        pytest.param([(b"Connection", b", keep-alive ,")], "1.1", True, id="with empty members"),
        pytest.param([(b"Proxy-Connection", b"close")], "1.1", False, id="Proxy-Connection"),
        pytest.param([], "1.0", False, id="1.0"),
    ],
)
def test_a_connection_persists_in_1_1_without_close(
    headers: list[Header], version: str, persists: bool
) -> None:
    assert request_head(b"GET", b"/", version, [HOST, *headers]).keep_alive is persists


@pytest.mark.parametrize(
    "header",
    [
        pytest.param((b"Upgrade", b"websocket"), id="Upgrade"),
        pytest.param((b"Connection", b"keep-alive, Upgrade"), id="Connection"),
        pytest.param((b"HTTP2-Settings", b"AAMAAABk"), id="h2c"),
    ],
)
def test_any_trace_of_an_upgrade_is_seen(header: Header) -> None:
    assert request_head(b"GET", b"/", "1.1", [HOST, header]).wants_upgrade
    assert not request_head(b"GET", b"/", "1.1", [HOST]).wants_upgrade


@pytest.mark.parametrize(
    ("status", "method", "headers", "kind"),
    [
        pytest.param(200, b"GET", [(b"Content-Length", b"3")], BodyKind.LENGTH, id="length"),
        pytest.param(200, b"GET", [], BodyKind.UNTIL_CLOSE, id="until close"),
        pytest.param(200, b"HEAD", [(b"Content-Length", b"3")], BodyKind.NONE, id="HEAD"),
        pytest.param(204, b"GET", [(b"Content-Length", b"3")], BodyKind.NONE, id="204"),
        pytest.param(304, b"GET", [(b"Content-Length", b"3")], BodyKind.NONE, id="304"),
        pytest.param(100, b"GET", [], BodyKind.NONE, id="100"),
    ],
)
def test_the_response_body_follows_from_status_and_method(
    status: int, method: bytes, headers: list[Header], kind: BodyKind
) -> None:
    assert response_head(status, b"X", "1.1", headers, to_method=method).body.kind is kind


@pytest.mark.parametrize(
    ("status", "reason", "headers"),
    [
        pytest.param(999, b"X", [], id="status beyond 599"),
        pytest.param(200, b"a\rb", [], id="CR in the reason"),
        pytest.param(200, b"X", [(b"Content-Length", b"1")] * 2, id="CL twice"),
        pytest.param(200, b"X", [(b"Transfer-Encoding", b"gzip")], id="TE gzip"),
    ],
)
def test_a_response_that_could_be_read_in_two_ways_is_not_relayed(
    status: int, reason: bytes, headers: list[Header]
) -> None:
    response_head(200, b"X", "1.1", headers[:1] if len(headers) == 2 else [], to_method=b"GET")
    with pytest.raises(MessageError):
        response_head(status, reason, "1.1", headers, to_method=b"GET")


def test_only_end_to_end_fields_are_kept() -> None:
    fields: list[Header] = [
        (b"Connection", b"X-Secret, close"),
        (b"x-secret", b"1"),
        (b"Keep-Alive", b"1"),
        (b"TE", b"trailers"),
        (b"Proxy-Authorization", b"1"),
        (b"Upgrade", b"1"),
        (b"X-Kept", b"1"),
    ]
    assert end_to_end(fields) == [(b"X-Kept", b"1")]


def test_connection_cannot_name_the_fields_that_route_a_message() -> None:
    fields: list[Header] = [(b"Connection", b"host, content-length"), (b"Host", b"a"), (b"X", b"1")]
    assert (b"Host", b"a") in end_to_end(fields)


@pytest.mark.parametrize("name", [b"Content-Length", b"Authorization", b"Host", b"Transfer-Encoding"])
def test_a_trailer_cannot_carry_what_a_head_decides(name: bytes) -> None:
    assert trailers([(name, b"1"), (b"X-Checksum", b"1")]) == [(b"X-Checksum", b"1")]


@pytest.mark.parametrize(
    "value",
    [b"a\r\nX: 1", b"a\nb", b"a\x00", b"", b" a", b"a "],
    ids=["CRLF", "LF", "NUL", "empty", "before", "after"],
)
def test_a_value_that_would_break_its_line_is_not_injected(value: bytes) -> None:
    assert checked_value(b"Bearer abc") == b"Bearer abc"
    with pytest.raises(ValueError, match=r"^not a header value$"):  # the value could be a secret
        checked_value(value)


@given(st.lists(st.tuples(st.binary(max_size=12), st.binary(max_size=24)), max_size=6))
def test_what_is_written_has_exactly_the_fields_that_were_accepted(fields: list[Header]) -> None:
    try:
        head = request_head(b"GET", b"/", "1.1", [HOST, *fields])
    except MessageError:
        return
    written = serialise(b"GET / HTTP/1.1", head.headers)
    lines = written.removesuffix(b"\r\n\r\n").split(b"\r\n")
    assert len(lines) == 1 + len(head.headers)
    assert re.search(rb"[\x00\r\n]", b"".join(lines)) is None


def test_chunks_have_their_length_in_hexadecimal() -> None:
    assert chunk(b"a" * 17) == b"11\r\n" + b"a" * 17 + b"\r\n"
    assert last_chunk() == b"0\r\n\r\n"
    assert last_chunk([(b"X", b"1")]) == b"0\r\nX: 1\r\n\r\n"


@pytest.mark.parametrize(
    ("method", "body", "drains", "expected"),
    [
        (b"GET", Body(BodyKind.NONE), False, True),
        (b"GET", Body(BodyKind.LENGTH, 0), False, True),
        (b"GET", Body(BodyKind.LENGTH, 1), True, False),
        (b"DELETE", Body(BodyKind.CHUNKED), True, False),
        (b"POST", Body(BodyKind.LENGTH, 1), True, True),
        (b"POST", Body(BodyKind.LENGTH, 1), False, False),
        (b"POST", Body(BodyKind.CHUNKED), False, False),
    ],
)
def test_a_body_is_surely_read_if_it_is_empty_or_its_method_means_it_to_be(
    method: bytes, body: Body, drains: bool, expected: bool
) -> None:
    assert is_surely_read(method, body, drains=drains) is expected


def test_a_target_with_a_credential_in_it_still_fits_a_request_line() -> None:
    for target in (b"/v1?key=a%20b", b"/" + b"x" * (2 * MAX_LINE_BYTES - 1)):
        assert checked_target(target) == target
    for target in (b"", b"/a b", b"/a\r\nX: y", b"/a\0", b"/a\x7f", b"/" + b"x" * 2 * MAX_LINE_BYTES):
        with pytest.raises(ValueError, match="not a request target"):
            checked_target(target)
