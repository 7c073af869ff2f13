"""Ask a time-stamping authority to vouch for a note, and verify its response (RFC 3161).

rfc3161-client is imported when it is needed, because it is an optional extra.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Sequence
from datetime import datetime
from http.client import HTTPException
from importlib.util import find_spec
from typing import TYPE_CHECKING

from nono.digests import sha256
from nono.named_tuple import NamedTuple

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from rfc3161_client import TimeStampResponse

RESPONSE_BYTES_MAX = 256 * 1024
_SHA256 = "2.16.840.1.101.3.4.2.1"
_QUERY, _REPLY = "application/timestamp-query", "application/timestamp-reply"


class NotStampedError(Exception):
    """There is no valid time stamp. The message is the reason."""


class UnsortedError(NotStampedError):
    """The certificates of a response are not in DER order."""


class Stamp(NamedTuple):
    """A token that signs a note."""

    at: datetime
    authority: str  # the subject of its certificate, according to the token; "" if it has none
    is_trusted: bool  # the signature is valid, and a given root vouches for the certificate


def is_installed() -> bool:
    return find_spec("rfc3161_client") is not None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects, so that only the named authority is asked."""

    def redirect_request(self, *_: object) -> None:
        return None


def stamp(url: str, note: bytes, timeout_s: float) -> bytes:
    """Return the response of an authority, DER, that stamps this very note. Raises NotStampedError."""
    try:
        return _stamped(url, note, timeout_s, has_certificates=True)
    except UnsortedError:
        # `openssl ts` responds like this with a chain. Ask again without certificates, which need no order; a
        # verifier must then have the authority's certificate.
        return _stamped(url, note, timeout_s, has_certificates=False)


def _stamped(url: str, note: bytes, timeout_s: float, *, has_certificates: bool) -> bytes:
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder, decode_timestamp_response

    builder = TimestampRequestBuilder().data(note).hash_algorithm(HashAlgorithm.SHA256)
    request = builder.cert_request(cert_request=has_certificates).build()
    response = _asked(url, request.as_bytes(), timeout_s)
    try:
        nonce = decode_timestamp_response(response).tst_info.nonce
    except ValueError as error:
        kind = UnsortedError if "InvalidSetOrdering" in str(error) else NotStampedError
        raise kind(f"the authority has not answered with a time stamp: {error}") from error
    if nonce != request.nonce:
        raise NotStampedError("the authority has answered another request")
    verify(response, note, ())
    return response


def _asked(url: str, query: bytes, timeout_s: float) -> bytes:
    headers = {"Content-Type": _QUERY, "Accept": _REPLY}
    request = urllib.request.Request(url, query, headers, method="POST")
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=timeout_s) as answer:
            content: bytes = answer.read(RESPONSE_BYTES_MAX + 1)
    except urllib.error.HTTPError as error:
        error.close()
        raise NotStampedError(f"the authority has answered {error.code} {error.reason}") from error
    except (OSError, ValueError) as error:
        cause = getattr(error, "reason", error)  # of a URLError
        raise NotStampedError(getattr(cause, "strerror", None) or str(cause)) from error
    except HTTPException as error:
        raise NotStampedError(f"the authority does not speak HTTP: {error!r}") from error
    return content


def verify(response: bytes, note: bytes, roots: Sequence[Certificate]) -> Stamp:
    """Verify a response over a note. Raises NotStampedError.

    roots: Trusted certificates. Without any, the content is compared but the signature is not verified.
    """
    from rfc3161_client import PKIStatus, VerificationError, VerifierBuilder, decode_timestamp_response

    try:
        parsed = decode_timestamp_response(response)
        own, info, status = _certificates(parsed), parsed.tst_info, parsed.status
    except ValueError as error:
        raise NotStampedError(f"it is not a time stamp: {error}") from error
    if status not in (PKIStatus.GRANTED, PKIStatus.GRANTED_WITH_MODS):
        raise NotStampedError("the authority has refused it")
    imprint = info.message_imprint
    if (imprint.hash_algorithm.dotted_string, imprint.message) != (_SHA256, sha256(note).digest()):
        raise NotStampedError("it is about something else")
    if roots:
        try:
            builder = VerifierBuilder(roots=list(roots), intermediates=own)
            if not own:
                signer = _signer(parsed, roots)
                if signer is None:
                    raise NotStampedError("it needs the certificate of the authority itself to be checked")
                builder = builder.tsa_certificate(signer)
            builder.build().verify_message(parsed, note)
        except (VerificationError, ValueError) as error:
            raise NotStampedError(_readable(str(error))) from error
    signer = _signer(parsed, (*own, *roots))
    return Stamp(info.gen_time, "" if signer is None else signer.subject.rfc4514_string(), bool(roots))


def _readable(reason: str) -> str:
    """Shorten an OpenSSL error to its own message."""
    _, found, said = reason.partition("Verify error: ")
    return said.partition('"')[0] if found else reason.partition(": ErrorStack")[0]


def _certificates(parsed: TimeStampResponse) -> list[Certificate]:
    from cryptography.x509 import load_der_x509_certificate

    return [load_der_x509_certificate(each) for each in parsed.signed_data.certificates]


def _signer(parsed: TimeStampResponse, certificates: Sequence[Certificate]) -> Certificate | None:
    signers = {(each.issuer, each.serial_number) for each in parsed.signed_data.signer_infos}
    return next((each for each in certificates if (each.issuer, each.serial_number) in signers), None)
