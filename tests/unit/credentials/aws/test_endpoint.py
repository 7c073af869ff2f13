"""Which service and region a request is signed for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.credentials.aws.endpoint import Endpoint, endpoint_of, scope_of
from nono.credentials.values.errors import CredentialUnavailable
from nono.policy.schema.route_rules import AwsAuth
from support.credentials.sigv4 import FACTS


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
