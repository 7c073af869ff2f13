"""Sign one request with AWS Signature Version 4, computed by botocore from the bytes on the wire."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote_plus, unquote_to_bytes

from nono.credentials.values.credential import Header, Injected, Outgoing
from nono.credentials.values.errors import RequestUnfit
from nono.named_tuple import NamedTuple
from nono.secret import Secret

# These sign the path as a single percent-encoding of the key; all others encode the path as sent once more.
_S3_LIKE = frozenset({"s3", "s3-object-lambda", "s3-outposts"})

_WRITTEN_HERE = frozenset(
    (
        b"authorization",
        b"x-amz-content-sha256",
        b"x-amz-date",
        b"x-amz-security-token",
        b"x-amz-signature",
    )
)
_VALUE = re.compile(rb"[\x20-\x7e]*")


class Keys(NamedTuple):
    access_key: str  # public: it is a part of every signature
    secret_key: Secret
    token: Secret | None


@dataclass(frozen=True, slots=True)
class SigV4Injection:
    """Signs a request for one service in one region.

    Host, Content-Type, Content-MD5 and every X-Amz field are signed; the rest may be rewritten on the way.
    """

    keys: Keys
    service: str
    region: str

    needs_body = True
    header_names = _WRITTEN_HERE

    def inject(self, request: Outgoing) -> Injected:
        """Sign the request.

        RequestUnfit: it carries a signature already, or something that cannot be signed.
        """
        # Imported here: an optional extra that takes a tenth of a second. It was imported before to find the
        # keys.
        from botocore.auth import S3SigV4Auth, SigV4Auth  # type: ignore[import-untyped]  # it ships no types
        from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]  # the same
        from botocore.credentials import ReadOnlyCredentials  # type: ignore[import-untyped]  # the same

        s3_like = self.service in _S3_LIKE
        path, query = _canonical_target(request.target, s3_like=s3_like)
        body = request.body or b""
        authority = request.authority.decode("ascii")
        signed = AWSRequest(
            method=request.method.decode("ascii"),
            url=f"https://{authority}{path}{'?' if query else ''}{query}",
            data=body,
        )
        signed.headers["Host"] = authority
        for name, value in _signed_fields(request.headers):
            signed.headers[name] = value
        if _is_aws_chunked(request.headers):
            _check_chunks(request.headers, body, s3_like=s3_like)
            signed.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
        token = None if self.keys.token is None else self.keys.token.reveal()
        credentials = ReadOnlyCredentials(self.keys.access_key, self.keys.secret_key.reveal(), token)
        signer = S3SigV4Auth if s3_like else SigV4Auth
        signer(credentials, self.service, self.region).add_auth(signed)
        return Injected(request.target, list(_added_fields(signed.headers.items())))


def _canonical_target(target: bytes, *, s3_like: bool) -> tuple[str, str]:
    """Return the path and query that botocore will make canonical; it trusts its own serialiser.

    The query is decoded and encoded again, because AWS compares the parameters and not the client's spelling
    of them; the same applies to an S3 path. Any other path is signed as an encoding of the exact bytes sent.
    """
    path, _, query = target.partition(b"?")
    pairs = []
    for pair in query.split(b"&"):
        name, mark, value = pair.partition(b"=")
        text = unquote_plus(name.decode("ascii")).lower()
        if text.startswith("x-amz-") or text in ("awsaccesskeyid", "signature"):
            raise RequestUnfit("the query carries a signature of its own, which is not replaced")
        if name or mark:
            pairs.append(f"{_encoded(name)}={_encoded(value)}")
    if s3_like:
        path = quote(unquote_to_bytes(path), safe="/~").encode("ascii")
    return path.decode("ascii"), "&".join(pairs)


def _encoded(part: bytes) -> str:
    return quote(unquote_to_bytes(part.replace(b"+", b" ")), safe="-_.~")


def _signed_fields(headers: Sequence[Header]) -> Iterator[tuple[str, str]]:
    for name, value in headers:
        lowered = name.lower()
        if lowered in _WRITTEN_HERE:
            continue
        if lowered in (b"content-type", b"content-md5") or lowered.startswith(b"x-amz-"):
            # AWS defines blanks and encoding for ASCII only.
            if _VALUE.fullmatch(value) is None:
                name_text = lowered.decode("ascii")
                raise RequestUnfit(f"the header {name_text} has characters that cannot be signed")
            yield lowered.decode("ascii"), value.decode("ascii")


def _is_aws_chunked(headers: Sequence[Header]) -> bool:
    codings = [value for name, value in headers if name.lower() == b"content-encoding"]
    return any(b"aws-chunked" in value.lower() for value in codings)


def _check_chunks(headers: Sequence[Header], body: bytes, *, s3_like: bool) -> None:
    """Raise RequestUnfit unless the chunks are unsigned and followed by a checksum, as SDKs upload over TLS.

    Signed chunks each carry a signature made with the phantom. For unsigned ones the signature of the head is
    the only one (STREAMING-UNSIGNED-PAYLOAD-TRAILER).
    """
    has_trailer = any(name.lower() == b"x-amz-trailer" for name, _ in headers)
    if not s3_like or not has_trailer or b";" in body.partition(b"\r\n")[0]:
        raise RequestUnfit("a body of signed aws-chunked pieces cannot be signed again; send it in one piece")


def _added_fields(signed: Sequence[tuple[str, str]]) -> Iterator[Header]:
    for name, value in signed:
        if name.lower().encode("ascii") in _WRITTEN_HERE:
            yield name.encode("ascii"), value.encode("ascii")
