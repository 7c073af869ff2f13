"""Encode the head of a log as a COSE_Sign1 message (RFC 9052) whose payload is the head's note."""

from __future__ import annotations

from collections.abc import Callable

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key

from nono.outward.head import Head
from nono.trust.dsse import PublicKey

_ALGORITHM, _CONTENT_TYPE, _KEY_ID = 1, 3, 4  # header parameters (RFC 9052 section 3.1)
_ES256, _EDDSA = -7, -8  # RFC 9053 section 2
_SIGN1_TAG = 18
_P256_BYTES = 32


def sign1(head: Head, key: PublicKey, sign: Callable[[bytes], bytes]) -> bytes:
    """Return the tagged message. sign: Signs with the private half of `key`; ECDSA signatures in DER."""
    is_edwards = isinstance(load_der_public_key(key.der), Ed25519PublicKey)
    header = {_ALGORITHM: _EDDSA if is_edwards else _ES256, _CONTENT_TYPE: "text/plain"}
    protected, payload = cbor2.dumps(header, canonical=True), head.note()
    signature = sign(cbor2.dumps(["Signature1", protected, b"", payload]))
    if not is_edwards:
        # COSE concatenates both integers (RFC 9053 section 2.1).
        signature = b"".join(each.to_bytes(_P256_BYTES, "big") for each in decode_dss_signature(signature))
    unprotected = {_KEY_ID: bytes.fromhex(key.fingerprint)}
    message: bytes = cbor2.dumps(cbor2.CBORTag(_SIGN1_TAG, [protected, unprotected, payload, signature]))
    return message
