"""Read and write sigstore bundles (v0.3): an envelope and its signer's identity in one file."""

from __future__ import annotations

import json

from nono.named_tuple import NamedTuple
from nono.trust import dsse
from nono.trust.json_text import parse_object

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
BUNDLE_BYTES_MAX = 1024 * 1024


class Bundle(NamedTuple):
    """A bundle, read but not verified."""

    envelope: dsse.Envelope
    hint: str | None  # names a public key; None: the bundle carries a certificate instead of naming a key
    text: bytes  # as it was read, for the verification of a certificate


def encoded(envelope: dsse.Envelope, hint: str) -> bytes:
    """Return the text of a bundle signed with a key."""
    fields = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": hint}},
        "dsseEnvelope": dsse.to_json(envelope),
    }
    return json.dumps(fields, indent=2).encode() + b"\n"


def parse(text: bytes) -> Bundle:
    """Parse a bundle. Raises ValueError with the reason."""
    if len(text) > BUNDLE_BYTES_MAX:
        raise ValueError(f"the bundle is larger than {BUNDLE_BYTES_MAX} bytes")
    fields = parse_object(text, "the bundle")
    match fields:
        case {
            "mediaType": str(media_type),
            "verificationMaterial": dict(material),
            "dsseEnvelope": dict(row),
        }:
            pass
        case _:
            raise ValueError("the bundle needs mediaType, verificationMaterial and dsseEnvelope")
    if media_type != MEDIA_TYPE:
        raise ValueError(f"the bundle is of type '{media_type}', not '{MEDIA_TYPE}'")
    envelope = dsse.from_json(row)
    if len(envelope.signatures) != 1:
        # The format requires exactly one. With more, readers differ on which one counts.
        raise ValueError(f"the envelope of a bundle has one signature, not {len(envelope.signatures)}")
    match material:
        case {"publicKey": {"hint": str(hint)}}:
            return Bundle(envelope, hint, text)
        case {"certificate": dict()} | {"x509CertificateChain": dict()}:
            return Bundle(envelope, None, text)
    raise ValueError("the bundle says neither by which key nor by which certificate it was signed")
