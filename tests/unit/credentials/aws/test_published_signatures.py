"""The signatures of botocore and of AWS's published examples come out."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import pytest

from nono.credentials.aws.signature import Keys, SigV4Injection
from nono.credentials.values.credential import Outgoing
from nono.secret import Secret
from support.credentials.sigv4 import (
    ACCESS_KEY,
    SECRET_KEY,
    TOKEN,
    an_injection,
    arrival,
    authorization,
    outgoing,
)

NOON = datetime.datetime(2015, 8, 30, 12, 36, 0)


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
