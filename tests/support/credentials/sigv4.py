"""Calculate Signature Version 4, as AWS documents it, from what arrived."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import NamedTuple

from nono.credentials.aws.signature import Keys, SigV4Injection
from nono.credentials.values.credential import Header, Outgoing, RequestFacts
from nono.secret import Secret

ACCESS_KEY = "AKIDEXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "session-token/with+signs=="
FACTS = RequestFacts("bedrock-runtime.eu-west-1.amazonaws.com", 443, "POST", "/model/x/invoke", "bedrock")


class Arrived(NamedTuple):
    method: str
    target: bytes
    fields: Sequence[Header]  # lower-case names, in the order in which they arrived
    body: bytes


def encoded(part: bytes) -> str:
    """Encode as the documentation's UriEncode does."""
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


def signature_of(arrived: Arrived, service: str, region: str) -> str:
    """Return the Authorization field that the request should have arrived with."""
    table: dict[str, list[str]] = {}
    for name, value in arrived.fields:
        table.setdefault(name.decode(), []).append(re.sub(" +", " ", value.decode().strip()))
    credential, names = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=(\S+), SignedHeaders=(\S+), Signature=[0-9a-f]{64}",
        table["authorization"][0],
    ).groups()  # type: ignore[union-attr]  # the test fails here if it does not match
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
    key = b"AWS4" + SECRET_KEY.encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    text = f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{hashed}"
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    assert credential == f"{ACCESS_KEY}/{scope}"
    return f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"


def an_injection(service: str, *, token: str | None = None) -> SigV4Injection:
    keys = Keys(ACCESS_KEY, Secret(SECRET_KEY), None if token is None else Secret(token))
    return SigV4Injection(keys, service, "us-east-1")


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
    """Return the request as it reaches the upstream: signed, without the child's fields of the same names."""
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
