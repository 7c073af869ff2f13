"""Derive the AWS service and region to sign for from a host name."""

from __future__ import annotations

import re

from nono.credentials.values.errors import CredentialUnavailable
from nono.named_tuple import NamedTuple
from nono.policy.schema.route_rules import AWS_SUFFIXES, AwsAuth

_SCOPE = re.compile(r"[a-z0-9-]+", re.ASCII)
_REGION = re.compile(r"[a-z]{2,3}-(?:[a-z]+-)?[a-z]+-[0-9]+", re.ASCII)

# The name in the credential scope of a signature, by the first label of an endpoint.
_SIGNING_NAMES = {
    "bedrock": "bedrock",
    "bedrock-agent": "bedrock",
    "bedrock-agent-runtime": "bedrock",
    "bedrock-data-automation": "bedrock",
    "bedrock-data-automation-runtime": "bedrock",
    "bedrock-runtime": "bedrock",
    "dynamodb": "dynamodb",
    "email": "ses",
    "execute-api": "execute-api",
    "iam": "iam",
    "lambda": "lambda",
    "logs": "logs",
    "s3": "s3",
    "s3-accelerate": "s3",
    "ses": "ses",
    "sns": "sns",
    "sqs": "sqs",
    "sts": "sts",
}
# Services whose host names begin with something the customer chose: a bucket, an API.
_PREFIXED = frozenset({"execute-api", "s3", "s3-accelerate"})


class Endpoint(NamedTuple):
    service: str | None  # the signing name
    region: str | None


def scope_of(auth: AwsAuth, host: str) -> tuple[str, str]:
    """Return the service and region to sign for at `host`; settings in `auth` take precedence.

    host: canonical, or ``*.suffix`` for a route that covers many.
    Raises CredentialUnavailable if either is unknown.
    """
    said = endpoint_of(host)
    service, region = auth.service or said.service, auth.region or said.region
    for value, name in ((service, "service"), (region, "region")):
        if value is None or not _SCOPE.fullmatch(value):
            raise CredentialUnavailable(f"the host {host} names no AWS {name}", hint=f"set aws_auth.{name}")
    assert service is not None
    assert region is not None
    return service, region


def endpoint_of(host: str) -> Endpoint:
    """Parse a host name, canonical or ``*.suffix``; a part that it does not contain is None.

    The suffix follows ``service.region`` or ``service``, with ``-fips`` and ``dualstack`` variants; for S3
    and API Gateway anything may precede the service.
    """
    suffix = next((suffix for suffix in AWS_SUFFIXES if host.endswith(suffix)), None)
    if suffix is None:
        return Endpoint(None, None)
    labels = host.removesuffix(suffix).split(".")
    region = labels.pop() if len(labels) > 1 and _REGION.fullmatch(labels[-1]) else None
    if region is not None and len(labels) > 1 and labels[-1] == "dualstack":
        labels.pop()
    label = labels.pop().removesuffix("-fips")
    if region is None and label.startswith("s3-") and _REGION.fullmatch(label[3:]):
        label, region = "s3", label[3:]  # the dash of the oldest S3 regions
    if labels and label not in _PREFIXED:
        return Endpoint(None, region)
    return Endpoint(_SIGNING_NAMES.get(label), region)
