"""Signatures that AWS would accept for what arrived, and keys that botocore finds, kept out of sight."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import json
import logging
import re
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.credentials.aws import credential as aws
from nono.credentials.aws.credential import AwsCredential, scope_of
from nono.credentials.aws.endpoint import Endpoint, endpoint_of
from nono.credentials.aws.signature import Keys, SigV4Injection
from nono.credentials.values.credential import Header, Outgoing, RequestFacts
from nono.credentials.values.errors import CredentialUnavailable
from nono.policy.schema.route_rules import AwsAuth
from nono.secret import Secret
from support.fake_keyring import CANARY
from support.servers.http1 import Received, upstream

ACCESS_KEY = "AKIDEXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "session-token/with+signs=="
NOON = datetime.datetime(2015, 8, 30, 12, 36, 0)
FACTS = RequestFacts("bedrock-runtime.eu-west-1.amazonaws.com", 443, "POST", "/model/x/invoke", "bedrock")

# -- the calculation as AWS documents it, made from what arrived


class Arrived(NamedTuple):
    method: str
    target: bytes
    fields: Sequence[Header]  # lower-case names, in the order of arrival
    body: bytes


def encoded(part: bytes) -> str:
    """UriEncode of the documentation."""
    unreserved = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
    return "".join(chr(byte) if byte in unreserved else f"%{byte:02X}" for byte in part)


def decoded(part: bytes) -> bytes:
    return re.sub(rb"%([0-9A-Fa-f]{2})", lambda found: bytes.fromhex(found[1].decode()), part)


def canonical_path(path: bytes, service: str) -> str:
    if service == "s3":
        return "/".join(encoded(decoded(segment)) for segment in path.split(b"/"))
    kept: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            kept = kept[:-1]
        elif segment not in (b"", b"."):
            kept.append(segment)
    slash = "/" if path.endswith(b"/") and kept else ""
    return "/" + "/".join(encoded(segment) for segment in kept) + slash


def canonical_query(query: bytes) -> str:
    pairs = []
    for pair in query.split(b"&"):
        name, mark, value = pair.replace(b"+", b"%20").partition(b"=")
        if name or mark:
            pairs.append((encoded(decoded(name)), encoded(decoded(value))))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def signature_of(arrived: Arrived, service: str, region: str, secret_key: str = SECRET_KEY) -> str:
    """The Authorization field that what arrived should have come with."""
    table: dict[str, list[str]] = {}
    for name, value in arrived.fields:
        table.setdefault(name.decode(), []).append(re.sub(" +", " ", value.decode().strip()))
    credential, names = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=(\S+), SignedHeaders=(\S+), Signature=[0-9a-f]{64}",
        table["authorization"][0],
    ).groups()  # type: ignore[union-attr]  # the test fails here when it does not match
    assert {"host", *(name for name in table if name.startswith("x-amz-"))} <= set(names.split(";"))
    path, _, query = arrived.target.partition(b"?")
    payload = hashlib.sha256(arrived.body).hexdigest()
    if b"aws-chunked" in dict(arrived.fields).get(b"content-encoding", b""):
        payload = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    assert table.get("x-amz-content-sha256", [payload]) == [payload]
    lines = [
        arrived.method,
        canonical_path(path, service),
        canonical_query(query),
        *(f"{name}:{','.join(table[name])}" for name in names.split(";")),
        "",
        names,
        payload,
    ]
    (timestamp,) = table["x-amz-date"]
    scope = f"{timestamp[:8]}/{region}/{service}/aws4_request"
    hashed = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    key = b"AWS4" + secret_key.encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    text = f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{hashed}"
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    assert credential == f"{ACCESS_KEY}/{scope}"
    return f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"


def an_injection(service: str, region: str = "us-east-1", token: str | None = None) -> SigV4Injection:
    keys = Keys(ACCESS_KEY, Secret(SECRET_KEY), None if token is None else Secret(token))
    return SigV4Injection(keys, service, region)


def outgoing(
    target: bytes = b"/",
    headers: Sequence[Header] = (),
    body: bytes | None = None,
    *,
    method: bytes = b"GET",
    authority: bytes = b"example.amazonaws.com",
) -> Outgoing:
    return Outgoing(method, target, authority, list(headers), body)


def arrival(request: Outgoing, injection: SigV4Injection) -> Arrived:
    """request as the upstream gets it: signed, and without the child's own fields of the same names."""
    kept = [(name, value) for name, value in request.headers if name.lower() not in injection.header_names]
    clean = request._replace(headers=kept)
    injected = injection.inject(clean)
    assert injected.target == request.target
    fields = [(b"host", request.authority), *kept, *injected.headers]
    lowered = [(name.lower(), value) for name, value in fields]
    return Arrived(request.method.decode(), injected.target, lowered, request.body or b"")


def authorization(arrived: Arrived) -> str:
    (value,) = [value for name, value in arrived.fields if name == b"authorization"]
    return value.decode()


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


# -- botocore's own signer, and the examples that AWS publishes


@pytest.fixture
def frozen_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime.datetime], None]:
    def freeze(moment: datetime.datetime) -> None:
        monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: moment)

    return freeze


@pytest.mark.parametrize(
    ("service", "method", "target", "headers", "body"),
    [
        pytest.param("s3", "GET", "/bucket/a%20b/c%3Ad%2Be/..f", {}, b"", id="S3 key"),
        pytest.param("s3", "PUT", "/k//e..y", {"x-amz-acl": "private"}, b"content", id="S3 upload"),
        pytest.param("s3", "GET", "/?list-type=2&prefix=a%2Fb", {}, b"", id="S3 listing"),
        pytest.param(
            "bedrock", "POST", "/model/a.b-v1%3A0/invoke", {"Content-Type": "a/b"}, b"{}", id="model"
        ),
        pytest.param("dynamodb", "POST", "/", {"X-Amz-Target": "D.Get"}, b"{}", id="JSON protocol"),
    ],
)
def test_an_sdk_that_held_the_keys_would_have_signed_the_same(
    frozen_clock: Callable[[datetime.datetime], None],
    service: str,
    method: str,
    target: str,
    headers: dict[str, str],
    body: bytes,
) -> None:
    from botocore.auth import S3SigV4Auth, SigV4Auth  # type: ignore[import-untyped]  # it ships no types
    from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]  # the same
    from botocore.credentials import Credentials  # type: ignore[import-untyped]  # the same

    frozen_clock(NOON)
    theirs = AWSRequest(method, f"https://example.amazonaws.com{target}", headers, body)
    signer = S3SigV4Auth if service == "s3" else SigV4Auth
    signer(Credentials(ACCESS_KEY, SECRET_KEY, TOKEN), service, "us-east-1").add_auth(theirs)
    fields = [(name.encode(), value.encode()) for name, value in headers.items()]
    request = outgoing(target.encode(), fields, body, method=method.encode())
    assert (
        authorization(arrival(request, an_injection(service, token=TOKEN))) == theirs.headers["Authorization"]
    )


FORM = [(b"Content-Type", b"application/x-www-form-urlencoded")]
STS_TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTfl"
    "fKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvl"
    "Rd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rv"
    "x3iSIlTJabIQwj2ICCR/oLxBA=="
)


@pytest.mark.parametrize(
    ("request_", "token", "signature"),
    [
        pytest.param(
            outgoing(),
            None,
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            id="get-vanilla",
        ),
        pytest.param(
            outgoing(b"/?Param2=value2&Param1=value1"),
            None,
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            id="get-vanilla-query-order-key-case",
        ),
        pytest.param(
            outgoing(method=b"POST"),
            None,
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            id="post-vanilla",
        ),
        pytest.param(
            outgoing(b"/", FORM, b"Param1=value1", method=b"POST"),
            None,
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            id="post-x-www-form-urlencoded",
        ),
        pytest.param(
            outgoing(method=b"POST"),
            STS_TOKEN,
            "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
            id="post-sts-header-before",
        ),
    ],
)
def test_the_signatures_of_the_published_suite_come_out(
    frozen_clock: Callable[[datetime.datetime], None], request_: Outgoing, token: str | None, signature: str
) -> None:
    frozen_clock(NOON)
    arrived = arrival(request_, an_injection("service", token=token))
    assert authorization(arrived).endswith(f"Signature={signature}")


@pytest.mark.parametrize(
    ("target", "signature"),
    [
        pytest.param(
            b"/?lifecycle",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            id="GET Bucket Lifecycle",
        ),
        pytest.param(
            b"/?max-keys=2&prefix=J",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            id="Get Bucket",
        ),
    ],
)
def test_the_signatures_of_the_s3_reference_come_out(
    frozen_clock: Callable[[datetime.datetime], None], target: bytes, signature: str
) -> None:
    frozen_clock(datetime.datetime(2013, 5, 24))
    keys = Keys("AKIAIOSFODNN7EXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), None)
    request = outgoing(target, authority=b"examplebucket.s3.amazonaws.com")
    arrived = arrival(request, SigV4Injection(keys, "s3", "us-east-1"))
    assert authorization(arrived).endswith(f"Signature={signature}")


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


# -- what is not signed


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
    with pytest.raises(ValueError, match="cannot be signed anew"):
        an_injection(service).inject(outgoing(b"/k", headers, body, method=b"PUT"))


# -- what is signed for


@pytest.mark.parametrize(
    ("host", "endpoint"),
    [
        ("bedrock-runtime.us-east-1.amazonaws.com", Endpoint("bedrock", "us-east-1")),
        ("bedrock-agent-runtime.eu-west-1.amazonaws.com", Endpoint("bedrock", "eu-west-1")),
        ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", Endpoint("bedrock", "us-gov-west-1")),
        ("email.eu-central-1.amazonaws.com", Endpoint("ses", "eu-central-1")),
        ("sts.amazonaws.com", Endpoint("sts", None)),
        ("iam.amazonaws.com", Endpoint("iam", None)),
        ("s3.amazonaws.com", Endpoint("s3", None)),
        ("s3.eu-west-1.amazonaws.com", Endpoint("s3", "eu-west-1")),
        ("s3-us-west-2.amazonaws.com", Endpoint("s3", "us-west-2")),
        ("bucket.s3.eu-west-1.amazonaws.com", Endpoint("s3", "eu-west-1")),
        ("a.b.s3.dualstack.eu-west-1.amazonaws.com", Endpoint("s3", "eu-west-1")),
        ("bucket.s3-fips.us-east-1.amazonaws.com", Endpoint("s3", "us-east-1")),
        ("bucket.s3.amazonaws.com", Endpoint("s3", None)),
        ("bucket.s3-accelerate.amazonaws.com", Endpoint("s3", None)),
        ("*.s3.eu-west-1.amazonaws.com", Endpoint("s3", "eu-west-1")),
        ("dynamodb.us-east-1.s3.eu-west-1.amazonaws.com", Endpoint("s3", "eu-west-1")),
        ("dynamodb.us-east-1.s3.amazonaws.com", Endpoint("s3", None)),
        ("a1b2.execute-api.ap-southeast-2.amazonaws.com", Endpoint("execute-api", "ap-southeast-2")),
        ("s3.cn-north-1.amazonaws.com.cn", Endpoint("s3", "cn-north-1")),
        ("lambda.us-east-1.api.aws", Endpoint("lambda", "us-east-1")),
        ("x.dynamodb.us-east-1.amazonaws.com", Endpoint(None, "us-east-1")),
        ("kinesis.us-east-1.amazonaws.com", Endpoint(None, "us-east-1")),
        ("s3.us-east-1.us-west-2.amazonaws.com", Endpoint(None, "us-west-2")),
        ("us-east-1.amazonaws.com", Endpoint(None, None)),
        ("amazonaws.com", Endpoint(None, None)),
        ("s3.us-east-1.evil-amazonaws.com", Endpoint(None, None)),
        ("s3.us-east-1.amazonaws.com.evil.test", Endpoint(None, None)),
        ("s3.US-EAST-1x.amazonaws.com", Endpoint(None, None)),
        ("127.0.0.1", Endpoint(None, None)),
    ],
)
def test_a_host_says_what_is_signed_for_or_nothing(host: str, endpoint: Endpoint) -> None:
    assert endpoint_of(host) == endpoint


@given(
    st.from_regex(r"[a-z0-9.*-]{0,40}", fullmatch=True), st.sampled_from(["", ".amazonaws.com", ".api.aws"])
)
def test_every_host_gets_an_answer(prefix: str, suffix: str) -> None:
    endpoint_of(prefix + suffix)


@pytest.mark.parametrize(
    ("auth", "host", "scope"),
    [
        pytest.param(AwsAuth(), FACTS.host, ("bedrock", "eu-west-1"), id="from the host"),
        pytest.param(AwsAuth(region="us-east-1"), FACTS.host, ("bedrock", "us-east-1"), id="region given"),
        pytest.param(AwsAuth(service="x"), FACTS.host, ("x", "eu-west-1"), id="service given"),
        pytest.param(AwsAuth(service="s3", region="eu-west-1"), "minio.test", ("s3", "eu-west-1"), id="both"),
    ],
)
def test_what_the_profile_says_wins_over_the_host(auth: AwsAuth, host: str, scope: tuple[str, str]) -> None:
    assert scope_of(auth, host) == scope


@pytest.mark.parametrize(
    ("auth", "host", "missing"),
    [
        (AwsAuth(), "sts.amazonaws.com", "region"),
        (AwsAuth(), "minio.test", "service"),
        (AwsAuth(service="s3"), "minio.test", "region"),
        (AwsAuth(service="s3/x", region="eu-west-1"), "minio.test", "service"),
        (AwsAuth(service="s3", region="eu-west-1, Signature=x"), "minio.test", "region"),
    ],
)
def test_what_nobody_says_is_named_with_the_field_to_set(auth: AwsAuth, host: str, missing: str) -> None:
    with pytest.raises(CredentialUnavailable, match=missing) as caught:
        scope_of(auth, host)
    assert caught.value.hint == f"set aws_auth.{missing}"


# -- the keys


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of profiles; nothing else of this machine is asked for keys."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / "config"


def run(work: Callable[[], Coroutine[object, object, None]]) -> None:
    anyio.run(work, backend_options={"use_uvloop": True})


def program(config: Path, text: str, profile: str = "work") -> None:
    """A profile whose keys a program prints."""
    script = config.parent / "process"
    script.write_text(f"import sys\nprint('x', file=open({str(config.parent / 'ran')!r}, 'a'))\n{text}\n")
    config.write_text(f"[profile {profile}]\ncredential_process = {sys.executable} {script}\n")


def printing(**members: object) -> str:
    keys = {"Version": 1, "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY, **members}
    return f"print({json.dumps(keys)!r})"


def times_run(config: Path) -> int:
    return len((config.parent / "ran").read_text().splitlines())


async def sign(credential: AwsCredential) -> Arrived:
    injection = await credential.acquire(FACTS)
    assert isinstance(injection, SigV4Injection)
    return arrival(outgoing(b"/model/a:0/invoke", [], b"{}", method=b"POST"), injection)


def test_keys_of_the_environment_sign(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)

    async def main() -> None:
        credential = AwsCredential(AwsAuth())
        assert credential.at_hand(FACTS) is None
        arrived = await sign(credential)
        assert authorization(arrived) == signature_of(arrived, "bedrock", "eu-west-1")
        assert (b"x-amz-security-token", TOKEN.encode()) in arrived.fields
        assert credential.at_hand(FACTS) is not None
        tripwire = credential.tripwire()
        assert tripwire is not None
        assert tripwire.mask_text(SECRET_KEY.encode()) is not None
        assert tripwire.mask_text(f"{ACCESS_KEY} {TOKEN}".encode()) is None

    run(main)


def test_keys_are_not_used_for_a_host_that_names_no_service(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below a wildcard the child chooses the host; what at_hand raised ended its connection unrecorded."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)

    async def main() -> None:
        credential = AwsCredential(AwsAuth())
        await sign(credential)
        elsewhere = FACTS._replace(host="other.amazonaws.com")
        assert credential.at_hand(elsewhere) is None
        with pytest.raises(CredentialUnavailable, match="service"):
            await credential.acquire(elsewhere)

    run(main)


def test_the_named_profile_is_used_and_no_other(config: Path) -> None:
    (config.parent / "credentials").write_text(
        f"[default]\naws_access_key_id = AKIDOTHER\naws_secret_access_key = other\n"
        f"[work]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
    )

    async def main() -> None:
        arrived = await sign(AwsCredential(AwsAuth(profile="work")))
        assert authorization(arrived) == signature_of(arrived, "bedrock", "eu-west-1")
        assert "AKIDOTHER" in authorization(await sign(AwsCredential(AwsAuth())))

    run(main)


def test_fifty_requests_at_once_ask_for_keys_once(config: Path) -> None:
    program(config, printing())

    async def main() -> None:
        credential = AwsCredential(AwsAuth(profile="work"))
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(sign, credential)

    run(main)
    assert times_run(config) == 1


def test_a_source_is_asked_again_and_renews_what_is_about_to_end(config: Path) -> None:
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=5)
    program(config, printing(Expiration=soon.isoformat(), SessionToken=TOKEN))
    now = 0.0

    async def main() -> None:
        nonlocal now
        credential = AwsCredential(AwsAuth(profile="work"), clock=lambda: now)
        await sign(credential)
        before = times_run(config)
        await sign(credential)
        assert times_run(config) == before
        now = 61.0
        assert credential.at_hand(FACTS) is None
        await sign(credential)
        assert times_run(config) == before + 1

    run(main)


def test_after_a_refusal_the_file_is_read_again(config: Path) -> None:
    def write(key: str) -> None:
        (config.parent / "credentials").write_text(
            f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {SECRET_KEY}\n"
        )

    async def main() -> None:
        write("AKIDOLD")
        credential = AwsCredential(AwsAuth())
        assert "AKIDOLD" in authorization(await sign(credential))
        write("AKIDNEW")
        assert "AKIDOLD" in authorization(await sign(credential))
        credential.rejected(FACTS)
        assert "AKIDNEW" in authorization(await sign(credential))

    run(main)


@pytest.mark.parametrize(
    ("profile", "text", "message"),
    [
        pytest.param(None, "", "AWS default credentials: found no keys", id="no keys anywhere"),
        pytest.param("none", "", "AWS profile 'none': could not be read (ProfileNotFound)", id="no profile"),
        pytest.param(
            "work",
            f"sys.exit({CANARY!r})",
            "AWS profile 'work': could not be read (CredentialRetrievalError)",
            id="program fails and says why",
        ),
        pytest.param("work", f"print({CANARY!r})", "could not be read (JSONDecodeError)", id="no JSON"),
        pytest.param(
            "work", printing(SecretAccessKey=f"{CANARY}\n"), "no AWS keys", id="line end in the key"
        ),
        pytest.param("work", printing(SecretAccessKey=""), "no AWS keys", id="empty key"),
        pytest.param("work", printing(AccessKeyId="AKID, Signature=x"), "no AWS keys", id="comma and blank"),
        pytest.param(
            "work", printing(SessionToken=f"{CANARY}\r\nX: y"), "no AWS keys", id="line end in the token"
        ),
        pytest.param("work", printing(SessionToken=f"{CANARY}é"), "no AWS keys", id="token not ASCII"),
    ],
)
def test_a_source_without_usable_keys_is_unavailable_in_words_of_nono(
    config: Path,
    profile: str | None,
    text: str,
    message: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    program(config, text)

    async def main() -> None:
        credential = AwsCredential(AwsAuth(profile=profile))
        for _ in range(2):
            with pytest.raises(CredentialUnavailable) as caught:
                await credential.acquire(FACTS)
            error = caught.value
            assert message in error.message
            assert error.hint is not None
            shown = "".join(traceback.format_exception(error)) + f"{error!r} {error.message} {error.hint}"
            chained: BaseException | None = error.__context__
            while chained is not None:
                shown += repr(chained) + repr(vars(chained))
                chained = chained.__context__
            captured = capfd.readouterr()
            assert CANARY not in shown + caplog.text + captured.out + captured.err

    run(main)


def test_signing_logs_nothing_of_the_keys(
    config: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY + "-key")
    monkeypatch.setenv("AWS_SESSION_TOKEN", CANARY)
    caplog.set_level(logging.DEBUG)

    async def main() -> None:
        credential = AwsCredential(AwsAuth())
        injection = await credential.acquire(FACTS)
        injection.inject(outgoing())
        assert CANARY not in caplog.text + repr(injection) + repr(vars(credential))

    run(main)


def test_without_botocore_the_package_to_install_is_named(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)
    monkeypatch.setitem(sys.modules, "botocore.session", None)

    async def main() -> None:
        with pytest.raises(CredentialUnavailable, match="botocore") as caught:
            await AwsCredential(AwsAuth()).acquire(FACTS)
        assert caught.value.hint == "pip install 'nono[aws]'"

    run(main)


@dataclass
class Frozen:
    access_key: str = ACCESS_KEY
    secret_key: str = field(default=SECRET_KEY, repr=False)
    token: str | None = None


class Stuck:
    """A source that answers when it is released."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.released = threading.Event()
        self.asked = 0

    def get_frozen_credentials(self) -> Frozen:
        self.asked += 1
        self.entered.set()
        self.released.wait(20)
        return Frozen()


def test_a_source_that_hangs_holds_one_thread_only(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "LOAD_TIMEOUT_S", 0.05)
    now = 0.0
    stuck = Stuck()

    async def main() -> None:
        nonlocal now
        credential = AwsCredential(AwsAuth(), clock=lambda: now)
        monkeypatch.setattr(credential, "_source", stuck)
        for _ in range(5):
            with pytest.raises(CredentialUnavailable, match="no answer within"):
                await credential.acquire(FACTS)
            now += 100
            assert await anyio.to_thread.run_sync(stuck.entered.wait, 20)
        assert stuck.asked == 1
        stuck.released.set()
        monkeypatch.setattr(aws, "LOAD_TIMEOUT_S", 20)
        assert isinstance(await credential.acquire(FACTS), SigV4Injection)

    try:
        run(main)
    finally:
        stuck.released.set()


def test_a_request_that_goes_away_leaves_the_keys_to_the_next(config: Path) -> None:
    stuck = Stuck()

    async def main() -> None:
        credential = AwsCredential(AwsAuth())
        credential._source = stuck
        async with anyio.create_task_group() as group:
            group.start_soon(credential.acquire, FACTS)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        stuck.released.set()
        assert isinstance(await credential.acquire(FACTS), SigV4Injection)

    run(main)
