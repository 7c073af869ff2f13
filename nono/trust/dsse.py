"""DSSE envelopes: what a signature covers, and which keys have signed.

DSSE 1.0 (github.com/secure-systems-lab/dsse, protocol.md). Keys are ECDSA P-256 with SHA-256, whose
signatures are DER, and Ed25519. A key is known by its fingerprint: what an envelope says of its own signer
counts for nothing.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from nono.digests import sha256
from nono.named_tuple import NamedTuple

IN_TOTO = "application/vnd.in-toto+json"
SIGNATURES_MAX = 16

Sign = Callable[[bytes], bytes]  # signs a message with a private key


class PublicKey(NamedTuple):
    """A public key, by its SubjectPublicKeyInfo (RFC 5280) in DER."""

    der: bytes

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the key, in hex."""
        return sha256(self.der).hexdigest()

    @property
    def pem(self) -> bytes:
        return _key(self.der).public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


class Signature(NamedTuple):
    """One signature of an envelope."""

    key_id: str  # a hint, and the signer's own word
    signature: bytes


class Envelope(NamedTuple):
    """A message and its signatures. Nothing in it is true before signers() has named a key."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]


def public_key(encoded: bytes) -> PublicKey:
    """Return the key in DER or PEM. Raises ValueError if it is malformed or of another kind."""
    if encoded.lstrip().startswith(b"-----"):
        try:
            loaded = serialization.load_pem_public_key(encoded)
        except Exception as error:  # several of cryptography's own, and ValueError
            raise ValueError("not a public key in PEM") from error
        encoded = loaded.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    # Encoded anew: one key has one fingerprint, however its point was written.
    return PublicKey(
        _key(encoded).public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """Return what is signed: both lengths are in it, so that no type can be read as part of a payload."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def signed(payload_type: str, payload: bytes, sign: Sign, key_id: str = "") -> Envelope:
    """Return an envelope with one signature."""
    signature = sign(pre_authentication_encoding(payload_type, payload))
    return Envelope(payload_type, payload, (Signature(key_id, signature),))


def signers(envelope: Envelope, payload_type: str, keys: Iterable[PublicKey]) -> frozenset[PublicKey]:
    """Return those of `keys` that have signed the envelope, each once; empty for another payload type."""
    if envelope.payload_type != payload_type:
        return frozenset()
    message = pre_authentication_encoding(payload_type, envelope.payload)
    return frozenset(
        key for key in keys if any(_is_by(key, each.signature, message) for each in envelope.signatures)
    )


def to_json(envelope: Envelope) -> dict[str, object]:
    return {
        "payload": b64encode(envelope.payload).decode(),
        "payloadType": envelope.payload_type,
        "signatures": [
            {"sig": b64encode(each.signature).decode(), "keyid": each.key_id} for each in envelope.signatures
        ],
    }


def from_json(fields: object) -> Envelope:
    """Read an envelope. Raises ValueError saying what is wrong with it."""
    match fields:
        case {"payload": str(payload), "payloadType": str(payload_type), "signatures": list(rows)}:
            pass
        case _:
            raise ValueError("a DSSE envelope needs payload, payloadType and signatures")
    if not 0 < len(rows) <= SIGNATURES_MAX:
        raise ValueError(f"a DSSE envelope has 1 to {SIGNATURES_MAX} signatures, not {len(rows)}")
    return Envelope(payload_type, decoded(payload, "payload"), tuple(map(_signature, rows)))


def decoded(text: str, what: str) -> bytes:
    """Decode standard base64 (RFC 4648 section 4). Raises ValueError, which begins with `what`."""
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise ValueError(f"{what} is not base64") from None


def _signature(row: object) -> Signature:
    match row:
        case {"sig": str(text), "keyid": str(key_id)}:
            return Signature(key_id, decoded(text, "a signature"))
        case {"sig": str(text), **others} if "keyid" not in others:
            return Signature("", decoded(text, "a signature"))
    raise ValueError("a signature of a DSSE envelope needs sig, and a keyid that is text")


def _key(der: bytes) -> ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey:
    try:
        key = serialization.load_der_public_key(der)
    except Exception as error:  # as above
        raise ValueError("not a public key") from error
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise ValueError("neither an ECDSA P-256 nor an Ed25519 key")


def _is_by(key: PublicKey, signature: bytes, message: bytes) -> bool:
    loaded = _key(key.der)
    try:
        if isinstance(loaded, ed25519.Ed25519PublicKey):
            loaded.verify(signature, message)
        else:
            loaded.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
