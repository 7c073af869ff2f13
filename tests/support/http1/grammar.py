"""Generate HTTP/1.1 streams for fuzzing: valid ones in which up to three parts are replaced or edited.

A stream consists of tokens, each with a kind, so that an edit puts something hostile exactly where a parser
would be lenient about it.
"""

from __future__ import annotations

from hypothesis import strategies as st

Token = tuple[str, bytes]

_EMBEDDED = b"GET /smuggled HTTP/1.1\r\nHost: s\r\n\r\n"
_FORGED = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"

# What replaces a valid token of the kind. Each is something that some parser has accepted.
HOSTILE: dict[str, tuple[bytes, ...]] = {
    "method": (
        b"get", b"GE\tT", b" GET", b"", b"CONNECT", b"PRI", b"SOURCE", b"M-SEARCH", b"QUERY", b"TRACE",
        b"GET\x00", b"\r\nGET",
    ),
    "target": (
        b"", b"*", b"/a b", b"/\t", b"/\xff", b"/#f", b"http://b/x", b"b:80", b"//b", b"/\\", b"/%00",
        b"/\x7f", b"http://[::1]:1/",
    ),
    "space": (
        b"", b"  ", b"\t", b" \t", b"\x0b", b"\r", b"\xa0",
    ),
    "version": (
        b"HTTP/1.0", b"HTTP/1.2", b"HTTP/0.9", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 ", b"HTTP/1.10",
        b"HTTP/01.1", b"HTTP/1.1\t", b"HTTP/1,1", b"ICE/1.0", b"RTSP/1.0", b"",
    ),
    "eol": (
        b"\n", b"\r", b"\r\r\n", b"\n\r", b"", b" \r\n", b"\r\n ", b"\r\n\t", b"\x00\r\n", b"\x0b\r\n",
    ),
    "end": (
        b"\n", b"\r", b"", b"\r\r\n", b" \r\n", b"\n\r\n", b"\x00\r\n",
    ),
    "name": (
        b"", b"X ", b" X", b"X\t", b"X\x00", b"X\xff", b"X_Y", b"Content-Length", b"Transfer-Encoding",
        b"Transfer_Encoding", b"transfer-encodinG", b"Content-Length\x00", b"Host", b"Connection", b"Expect",
        b"Upgrade", b"Trailer", b"TE", b"Keep-Alive", b"Proxy-Connection", b"Content\rLength",
    ),
    "colon": (
        b"", b" :", b"\t:", b"::", b";", b":\r\n ", b":\n", b":\r", b": \t ",
    ),
    "value": (
        b"", b"\t", b"a\x00b", b"a\rb", b"a\nb", b"a\r\n b", b"a\r\n\tb", b"\x7f", b"\x01", b"\xff\xfe",
        b"a\x0b", b"\x0c", b"a\x85b", b"a \t", b"close", b"keep-alive", b"upgrade", b"100-continue",
        b"chunked", b"websocket", b"Content-Length", b"a" * 300,
    ),
    "length": (
        b"+3", b"-3", b"3, 3", b"3,3", b"3 3", b"3\t", b"\x0b3", b"0x3", b"3;", b"3.0", b"", b"03", b"0003",
        b"1_0", b"18446744073709551615", b"18446744073709551616", b"99999999999999999999",
        b"3\r\nContent-Length: 5", b"3\r\nContent-Length: 3", b"3\r\nTransfer-Encoding: chunked", b"3\x003",
        b"\xd9\xa3",
    ),
    "coding": (
        b"Chunked", b"CHUNKED", b"chunked ", b"chunked\t", b"\tchunked", b"\x0bchunked", b"chunked\x0b",
        b"chunked,", b",chunked", b"chunked, chunked", b"chunked,chunked", b"identity, chunked",
        b"gzip, chunked", b"chunked, identity", b"identity", b"chunkedx", b"xchunked", b"chunke", b"",
        b'"chunked"', b"chunked;q=1", b"chun\x00ked", b"chunked\r\nTransfer-Encoding: identity",
        b"chunked\r\nContent-Length: 3", b"chunked\r\n\tidentity", b"\r\n chunked",
    ),
    "size": (
        b"0x3", b"+3", b"-3", b"3 ", b" 3", b"3\t", b"", b"03", b"000000000000000000003", b"g",
        b"ffffffffffffffff", b"10000000000000003", b"fffffffffffffffff", b"3_0", b"7fffffffffffffff",
        b"3\x00", b"00",
    ),
    "extension": (
        b";", b";a", b"; a=b", b" ;a=b", b"\t;a", b';a="b"', b';a="\\""', b';a="\r\n"', b";a\r", b";a\n",
        b";a=b;c=d", b";\x00", b';a="b', b";a==b", b";" * 20, b" a", b";a=\xff", b"\n",
    ),
    "chunk": (
        b"", b"a", b"abcd", b"abc\r\n", b"\r\n",
    ),
    "body": (
        _EMBEDDED, _FORGED, b"\r\n", b"", b"0\r\n\r\n",
    ),
    "status": (
        b"101", b"100", b"103", b"199", b"204", b"304", b"205", b"999", b"099", b"000", b"20", b"2000",
        b"+200", b"0200", b"2 0", b"2OO", b"", b"200\x00",
    ),
    "reason": (
        b"", b"O\rK", b"O\nK", b"O\x00K", b"\xff", b"OK\r\nX: 1", b" OK", b"O\tK", b"\x7f", b"O\x0bK",
    ),
    "before": (
        b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\x00", b"\xef\xbb\xbf", b"junk\r\n",
    ),
    "after": (
        b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"x", b"0\r\n\r\n", _EMBEDDED, _FORGED, b"\x00", b" ",
    ),
}  # fmt: skip

_METHODS = (b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH")
_TARGETS = (b"/", b"/a", b"/a/b?c=d&e", b"/%41;p", b"/a?//b", b"/~'()*", b"/a?x=/../")
_FIELDS: tuple[tuple[bytes, bytes], ...] = (
    (b"X-A", b"1"),
    (b"x-b", b"two words"),
    (b"Accept", b"*/*"),
    (b"X-A", b""),
    (b"Content-Type", b"text/plain"),
    (b"Cookie", b"a=b; c=d"),
    (b"X-B", b"\xc3\xa9"),
    (b"X-C", b'"quoted, \\"list"'),
    (b"Connection", b"keep-alive"),
    (b"Connection", b"x-a"),
    (b"TE", b"trailers"),
    (b"Expect", b"100-continue"),
    (b"Connection", b"Upgrade"),
    (b"Upgrade", b"h2c"),
    (b"Connection", b"close"),
)  # fmt: skip
_TRAILERS: tuple[tuple[bytes, bytes], ...] = (
    (b"X-Sum", b"1"),
    (b"Content-Length", b"3"),
    (b"Transfer-Encoding", b"chunked"),
    (b"Host", b"b"),
    (b"Authorization", b"x"),
)
_STATUSES = (
    (b"200", b"OK"),
    (b"200", b""),
    (b"404", b"Not Found"),
    (b"204", b"No Content"),
    (b"304", b"Not Modified"),
    (b"301", b"Moved"),
)
_ODD = (
    b" ",
    b"\t",
    b"\r",
    b"\n",
    b"\r\n",
    b"\x00",
    b"\x0b",
    b"\x7f",
    b"\xff",
    b":",
    b";",
    b",",
    b'"',
    b"0",
    b"a",
)
_BODIES = (b"", b"abc", b"x", _EMBEDDED, _FORGED, b"0\r\n\r\n", b"a\x00\xff\r\n")


def _field(name: bytes, value: bytes, kind: str = "value") -> list[Token]:
    return [("name", name), ("colon", b": "), (kind, value), ("eol", b"\r\n")]


@st.composite
def _fields(draw: st.DrawFn, names: tuple[tuple[bytes, bytes], ...] = _FIELDS) -> list[Token]:
    chosen = draw(st.lists(st.sampled_from(names), max_size=3))
    return [token for name, value in chosen for token in _field(name, value)]


@st.composite
def _framed(draw: st.DrawFn, kinds: tuple[str, ...]) -> tuple[list[Token], list[Token]]:
    """Draw the field that announces a body, and the body with its trailers."""
    kind = draw(st.sampled_from(kinds))
    if kind == "none":
        return [], []
    if kind == "close":
        return [], [("body", draw(st.sampled_from(_BODIES)))]
    if kind == "length":
        body = draw(st.sampled_from(_BODIES))
        return _field(b"Content-Length", b"%d" % len(body), "length"), [("body", body)]
    tokens: list[Token] = []
    for piece in draw(st.lists(st.sampled_from(_BODIES[1:]), max_size=3)):
        tokens += [("size", b"%x" % len(piece)), ("extension", b""), ("eol", b"\r\n")]
        tokens += [("chunk", piece), ("eol", b"\r\n")]
    tokens += [("size", b"0"), ("extension", b""), ("eol", b"\r\n")]
    if draw(st.booleans()):
        tokens += draw(_fields(_TRAILERS))
    return _field(b"Transfer-Encoding", b"chunked", "coding"), [*tokens, ("end", b"\r\n")]


@st.composite
def _request(draw: st.DrawFn, prefix: bytes, always: tuple[tuple[bytes, bytes], ...]) -> list[Token]:
    announced, body = draw(_framed(("none", "length", "chunked", "chunked")))
    method = draw(st.sampled_from(_METHODS))
    return [
        ("before", b""),
        ("method", method),
        ("space", b" "),
        ("target", prefix + draw(st.sampled_from(_TARGETS))),
        ("space", b" "),
        ("version", b"HTTP/1.1"),
        ("eol", b"\r\n"),
        *[token for name, value in always for token in _field(name, value)],
        *draw(_fields()),
        *announced,
        ("end", b"\r\n"),
        *body,
        ("after", b""),
    ]


@st.composite
def _response(draw: st.DrawFn) -> list[Token]:
    announced, body = draw(_framed(("none", "length", "length", "chunked", "chunked", "close")))
    interim = [(b"103", b"Early Hints"), (b"100", b"Continue")] if draw(st.integers(0, 7)) == 7 else []
    tokens: list[Token] = []
    for status, reason in interim:
        tokens += [*_status_line(status, reason), *draw(_fields()), ("end", b"\r\n")]
    status, reason = draw(st.sampled_from(_STATUSES))
    tokens += [*_status_line(status, reason), *draw(_fields()), *announced, ("end", b"\r\n")]
    return [("before", b""), *tokens, *body, ("after", b"")]


def _status_line(status: bytes, reason: bytes) -> list[Token]:
    return [
        ("version", b"HTTP/1.1"),
        ("space", b" "),
        ("status", status),
        ("space", b" "),
        ("reason", reason),
        ("eol", b"\r\n"),
    ]


@st.composite
def _with_faults(draw: st.DrawFn, tokens: list[Token]) -> bytes:
    """Return the bytes of the tokens after a number of edits; with no edit they stay valid."""
    tokens = [*tokens]
    for _ in range(draw(st.sampled_from((0, 1, 1, 1, 2, 2, 3)))):
        at = draw(st.integers(0, len(tokens) - 1))
        kind, text = tokens[at]
        match draw(st.integers(0, 9)):
            case 0:
                tokens[at] = (kind, text + draw(st.sampled_from(_ODD)))
            case 1:
                tokens[at] = (kind, draw(st.sampled_from(_ODD)) + text)
            case 2:
                tokens.insert(at, tokens[at])
            case 3 if len(tokens) > 1:
                del tokens[at]
            case 4:
                other = draw(st.integers(0, len(tokens) - 1))
                tokens[at], tokens[other] = tokens[other], tokens[at]
            case _:
                tokens[at] = (kind, draw(st.sampled_from(HOSTILE[kind])))
    return b"".join(text for _, text in tokens)


@st.composite
def request_streams(
    draw: st.DrawFn, prefix: bytes = b"", always: tuple[tuple[bytes, bytes], ...] = ((b"Host", b"a"),)
) -> bytes:
    """Draw up to three requests on one connection, rarely truncated.

    prefix: Precedes every target.
    always: The fields that every request begins with.
    """
    requests = draw(st.lists(_request(prefix, always), min_size=1, max_size=3))
    tokens = [token for one in requests for token in one]
    wire = draw(_with_faults(tokens))
    return wire[: draw(st.integers(0, len(wire)))] if draw(st.integers(0, 9)) == 9 else wire


@st.composite
def response_streams(draw: st.DrawFn) -> bytes:
    """Draw all bytes an upstream sends for one request until it closes: a response, perhaps more."""
    wire = draw(_with_faults(draw(_response())))
    return wire[: draw(st.integers(0, len(wire)))] if draw(st.integers(0, 9)) == 9 else wire


@st.composite
def cuts(draw: st.DrawFn, wire: bytes) -> list[bytes]:
    """Draw wire in pieces, none of them empty."""
    places = sorted(draw(st.sets(st.integers(1, max(len(wire) - 1, 1)), max_size=6)))
    bounds = zip([0, *places], [*places, len(wire)], strict=True)
    return [piece for start, end in bounds if (piece := wire[start:end])]
