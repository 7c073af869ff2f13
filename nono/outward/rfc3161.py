"""Asks a time-stamping authority to vouch for a note, and verifies what it answered (RFC 3161).

rfc3161-client is imported when it is needed: it is an extra.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Sequence
from datetime import datetime
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
    """No time stamp, with the reason in words."""


class Stamp(NamedTuple):
    """A token that is signed over a note."""

    at: datetime
    authority: str  # the subject of its certificate, as in the token; "" if it has none
    is_trusted: bool  # its signature is valid, and a root that was given vouches for that certificate


def is_installed() -> bool:
    return find_spec("rfc3161_client") is not None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nothing: the authority that was named is the one that is asked."""

    def redirect_request(self, *_: object) -> None:
        return None


def stamp(url: str, note: bytes, timeout_s: float) -> bytes:
    """Return the response of an authority, DER, that stamps this very note. Raises NotStampedError."""
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder, decode_timestamp_response

    request = TimestampRequestBuilder().data(note).hash_algorithm(HashAlgorithm.SHA256).build()
    query = urllib.request.Request(
        url, request.as_bytes(), {"Content-Type": _QUERY, "Accept": _REPLY}, method="POST"
    )
    try:
        with urllib.request.build_opener(_NoRedirect).open(query, timeout=timeout_s) as answer:
            response: bytes = answer.read(RESPONSE_BYTES_MAX + 1)
    except urllib.error.HTTPError as error:
        error.close()
        raise NotStampedError(f"the authority has answered {error.code} {error.reason}") from error
    except (OSError, ValueError) as error:
        cause = getattr(error, "reason", error)  # of an URLError
        raise NotStampedError(getattr(cause, "strerror", None) or str(cause)) from error
    except Exception as error:  # http.client's own, of a server that does not speak HTTP
        raise NotStampedError(f"no HTTP: {error!r}") from error
    try:
        parsed = decode_timestamp_response(response)
        nonce = parsed.tst_info.nonce
    except ValueError as error:
        raise NotStampedError(f"the authority has not answered with a time stamp: {error}") from error
    if nonce != request.nonce:
        raise NotStampedError("the authority has answered another request")
    verify(response, note, ())
    return response


def verify(response: bytes, note: bytes, roots: Sequence[Certificate]) -> Stamp:
    """Verify a response over a note. Raises NotStampedError.

    roots: Certificates that are trusted. Without any, what was signed is compared, and not the signature.
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
            VerifierBuilder(roots=list(roots), intermediates=own).build().verify_message(parsed, note)
        except (VerificationError, ValueError) as error:
            raise NotStampedError(_readable(str(error))) from error
    return Stamp(info.gen_time, _authority(parsed, own), bool(roots))


def _readable(reason: str) -> str:
    """Shorten an error of OpenSSL to what it says itself."""
    _, found, said = reason.partition("Verify error: ")
    return said.partition('"')[0] if found else reason.partition(": ErrorStack")[0]


def _certificates(parsed: TimeStampResponse) -> list[Certificate]:
    from cryptography.x509 import load_der_x509_certificate

    return [load_der_x509_certificate(each) for each in parsed.signed_data.certificates]


def _authority(parsed: TimeStampResponse, certificates: Sequence[Certificate]) -> str:
    signers = {(each.issuer, each.serial_number) for each in parsed.signed_data.signer_infos}
    for each in certificates:
        if (each.issuer, each.serial_number) in signers:
            return each.subject.rfc4514_string()
    return ""
