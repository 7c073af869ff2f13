"""Every request is signed so that AWS would accept what arrived, or it is refused."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.credentials.values.credential import Header, Outgoing
from support.credentials.sigv4 import (
    TOKEN,
    Arrived,
    an_injection,
    arrival,
    authorization,
    outgoing,
    signature_of,
)
from support.servers.http1 import Received, upstream

REQUESTS = {
    "nothing special": outgoing(),
    "a body": outgoing(b"/", [(b"Content-Type", b"application/json")], b'{"a": 1}', method=b"POST"),
    "colon in the path": outgoing(b"/model/anthropic.claude-v1:0/invoke", [], b"{}", method=b"POST"),
    "encoded colon": outgoing(b"/model/anthropic.claude-v1%3A0/invoke", [], b"{}", method=b"POST"),
    "space in the path": outgoing(b"/a%20b/c%20"),
    "signs in the path": outgoing(b"/a!$&'()*+,;=:@b%25%5B~._-"),
    "UTF-8 in the path": outgoing(b"/%C3%A9/%E2%82%AC"),
    "dots in the path": outgoing(b"/a/../b/./c...d"),
    "empty segments": outgoing(b"//a//b/"),
    "only dots": outgoing(b"/.."),
    "slash at the end": outgoing(b"/a/b/"),
    "two equal names": outgoing(b"/?b=2&a=z&a=y&a&a=Y"),
    "names in upper case": outgoing(b"/?Param2=v&Param1=v&param1=v"),
    "empty values": outgoing(b"/?acl&versionId=&=x&a==b"),
    "empty query": outgoing(b"/?"),
    "empty parameters": outgoing(b"/?&a=1&&b=2&"),
    "raw slash in the query": outgoing(b"/?prefix=a/b&delimiter=/"),
    "encoded slash in the query": outgoing(b"/?prefix=a%2Fb&delimiter=%2f"),
    "spaces in the query": outgoing(b"/?a=b%20c&d=e+f"),
    "signs in the query": outgoing(b"/?a=:@!$'()*,;[]|^`{}\"<>?~._-&%C3%A9=%FF"),
    "names that sort by their encoding": outgoing(b"/?a-b=1&a=2&a%2Fb=3&A=4&a%7Eb=5"),
    "a repeated X-Amz field": outgoing(b"/", [(b"X-Amz-Meta-A", b"b"), (b"x-amz-meta-a", b"a")]),
    "blanks in an X-Amz field": outgoing(b"/", [(b"X-Amz-Meta-A", b"a  b   c")]),
    "an empty X-Amz field": outgoing(b"/", [(b"X-Amz-Meta-A", b"")]),
    "a port": outgoing(authority=b"127.0.0.1:8443"),
    "fields that are not signed": outgoing(
        b"/", [(b"User-Agent", b"x"), (b"Cookie", b"a=b"), (b"Date", b"yesterday"), (b"Te", b"trailers")]
    ),
    "a signature of the child": outgoing(
        b"/",
        [
            (b"Authorization", b"AWS4-HMAC-SHA256 Credential=phantom"),
            (b"AUTHORIZATION", b"Bearer phantom"),
            (b"X-Amz-Date", b"19990101T000000Z"),
            (b"x-amz-content-sha256", b"UNSIGNED-PAYLOAD"),
            (b"X-Amz-Security-Token", b"phantom"),
            (b"X-Amz-Signature", b"phantom"),
        ],
        b"x",
        method=b"PUT",
    ),
    "binary body": outgoing(b"/", [], bytes(range(256)) * 1000, method=b"PUT"),
}


@pytest.mark.parametrize("token", [None, TOKEN], ids=["long-term keys", "session token"])
@pytest.mark.parametrize("service", ["s3", "bedrock", "execute-api"])
@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS.keys())
def test_the_signature_is_the_documented_one_of_what_arrived(
    request_: Outgoing, service: str, token: str | None
) -> None:
    arrived = arrival(request_, an_injection(service, token=token))
    assert authorization(arrived) == signature_of(arrived, service, "us-east-1")
    assert b"phantom" not in b"".join(value for _, value in arrived.fields)
    tokens = [value for name, value in arrived.fields if name == b"x-amz-security-token"]
    assert tokens == ([] if token is None else [token.encode()])
    assert len([name for name, _ in arrived.fields if name == b"x-amz-date"]) == 1


@given(
    path=st.lists(st.sampled_from([b"/", b"a", b"%20", b":", b"+", b"..", b".", b"%C3%A9", b"~", b"%25"])),
    query=st.lists(
        st.sampled_from([b"&", b"=", b"a", b"B", b"%20", b"+", b"/", b"%2F", b"%3D", b"%26", b";"])
    ),
    body=st.binary(),
    service=st.sampled_from(["s3", "sqs"]),
)
def test_every_target_and_body_is_signed_as_documented(
    path: list[bytes], query: list[bytes], body: bytes, service: str
) -> None:
    target = b"/" + b"".join(path) + (b"?" + b"".join(query) if query else b"")
    arrived = arrival(outgoing(target, [], body, method=b"POST"), an_injection(service))
    assert authorization(arrived) == signature_of(arrived, service, "us-east-1")


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_two_bodies_have_two_signatures(body: bytes, other: bytes) -> None:
    arrived = arrival(outgoing(b"/", [], body), an_injection("sqs"))
    expected = signature_of(arrived._replace(body=other), "sqs", "us-east-1")
    assert (authorization(arrived) == expected) == (body == other)


def test_what_an_upstream_reads_off_the_wire_verifies() -> None:
    request = outgoing(
        b"/a%20b//..c:d?x=1&x=/&y",
        [(b"X-Amz-Meta-A", b"one  two"), (b"Content-Type", b"text/plain"), (b"User-Agent", b"x")],
        b"the body",
        method=b"PUT",
    )
    got: list[Arrived] = []

    def handler(received: Received) -> None:
        body = received.read_body()
        got.append(Arrived(received.method.decode(), received.target, received.fields, body))
        received.connection.respond()

    with upstream(handler) as server, socket.create_connection(("127.0.0.1", server.port)) as client:
        client.settimeout(20)
        aimed = request._replace(authority=b"127.0.0.1:%d" % server.port)
        injected = an_injection("s3", token=TOKEN).inject(aimed)
        fields = [(b"Host", aimed.authority), *aimed.headers, *injected.headers, (b"Content-Length", b"8")]
        head = b"".join(b"%b: %b\r\n" % pair for pair in fields)
        client.sendall(b"PUT %b HTTP/1.1\r\n%b\r\nthe body" % (injected.target, head))
        assert client.recv(12) == b"HTTP/1.1 200"
    assert authorization(got[0]) == signature_of(got[0], "s3", "us-east-1")


@pytest.mark.parametrize(
    "query",
    [
        b"X-Amz-Signature=phantom",
        b"x-amz-algorithm=AWS4-HMAC-SHA256",
        b"a=b&X-Amz-Credential=phantom",
        b"X%2DAmz%2DSecurity-Token=phantom",
        b"X-Amz-Date",
        b"AWSAccessKeyId=phantom&Signature=x",
        b"Signature=x",
    ],
)
def test_a_presigned_request_is_refused(query: bytes) -> None:
    with pytest.raises(ValueError, match="signature of its own") as caught:
        an_injection("s3").inject(outgoing(b"/?" + query))
    assert "phantom" not in str(caught.value)
    an_injection("s3").inject(outgoing(b"/?x=" + query.replace(b"&", b"%26")))


@pytest.mark.parametrize("value", [b"caf\xc3\xa9", b"a\tb", b"\xa0", b"a\x85"], ids=repr)
def test_a_signed_field_whose_canonical_form_is_unclear_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="x-amz-meta-a has characters that cannot be signed"):
        an_injection("s3").inject(outgoing(b"/", [(b"X-Amz-Meta-A", value)]))
    an_injection("s3").inject(outgoing(b"/", [(b"X-Meta-A", value)]))


CHUNKED = [
    (b"Content-Encoding", b"aws-chunked"),
    (b"X-Amz-Trailer", b"x-amz-checksum-crc32"),
    (b"X-Amz-Decoded-Content-Length", b"3"),
    (b"X-Amz-Content-Sha256", b"STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
]
UNSIGNED = b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n"
SIGNED = b"3;chunk-signature=00\r\nabc\r\n0;chunk-signature=00\r\n\r\n"


def test_an_upload_in_unsigned_chunks_is_signed_as_such() -> None:
    arrived = arrival(outgoing(b"/k", CHUNKED, UNSIGNED, method=b"PUT"), an_injection("s3"))
    assert (b"x-amz-content-sha256", b"STREAMING-UNSIGNED-PAYLOAD-TRAILER") in arrived.fields
    assert authorization(arrived) == signature_of(arrived, "s3", "us-east-1")


@pytest.mark.parametrize(
    ("service", "headers", "body"),
    [
        pytest.param("s3", CHUNKED, SIGNED, id="signed chunks"),
        pytest.param("s3", [CHUNKED[0]], UNSIGNED, id="no trailer announced"),
        pytest.param("sqs", CHUNKED, UNSIGNED, id="another service"),
        pytest.param("s3", [(b"content-encoding", b"gzip, AWS-Chunked")], SIGNED, id="in a list"),
    ],
)
def test_an_upload_whose_chunks_are_signed_is_refused(
    service: str, headers: list[Header], body: bytes
) -> None:
    with pytest.raises(ValueError, match="cannot be signed again"):
        an_injection(service).inject(outgoing(b"/k", headers, body, method=b"PUT"))
