"""Encode DSSE envelopes: what a signature covers, and which keys have signed.

DSSE 1.0 (github.com/secure-systems-lab/dsse, protocol.md). Keys are ECDSA P-256 with SHA-256, with
signatures in DER, and Ed25519. A key is identified by its fingerprint; what an envelope says about its own
signer is ignored.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from nono.digests import sha256
from nono.named_tuple import NamedTuple

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

IN_TOTO = "application/vnd.in-toto+json"
SIGNATURES_MAX = 16
# SubjectPublicKeyInfo of RFC 5480 and RFC 8410, up to the key itself. A library that parses it, and SSH keys
# too, takes 60 ms to import.
_P256 = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
_P256_COMPRESSED = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
_ED25519 = bytes.fromhex("302a300506032b6570032100")
_PEM = "-----{} PUBLIC KEY-----"

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
        text = b64encode(self.der).decode()
        lines = [text[at : at + 64] for at in range(0, len(text), 64)]  # RFC 7468
        return "\n".join([_PEM.format("BEGIN"), *lines, _PEM.format("END"), ""]).encode()


class Signature(NamedTuple):
    """One signature of an envelope."""

    key_id: str  # a hint, chosen by the signer
    signature: bytes


class Envelope(NamedTuple):
    """A message and its signatures. Trust nothing in it before signers() has named a key."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]


def public_key(encoded: bytes) -> PublicKey:
    """Return the key in DER or PEM. Raises ValueError if it is malformed or of another kind."""
    if encoded.lstrip().startswith(b"-----"):
        lines = encoded.decode("ascii", "replace").split()
        if lines[:3] != _PEM.format("BEGIN").split() or lines[-3:] != _PEM.format("END").split():
            raise ValueError("not a public key in PEM")
        encoded = decoded("".join(lines[3:-3]), "the public key")
    if encoded.startswith(_P256_COMPRESSED):
        # Encode again, so that each key has one fingerprint, whichever form its point was written in.
        numbers = _p256(encoded[len(_P256_COMPRESSED) :]).public_numbers()
        encoded = _P256 + b"\4" + numbers.x.to_bytes(32) + numbers.y.to_bytes(32)
    _key(encoded)
    return PublicKey(encoded)


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes to sign.

    They include both lengths, so that a type cannot pass for part of a payload.
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def signed(payload_type: str, payload: bytes, sign: Sign, key_id: str = "") -> Envelope:
    """Return an envelope with one signature."""
    signature = sign(pre_authentication_encoding(payload_type, payload))
    return Envelope(payload_type, payload, (Signature(key_id, signature),))


def signers(envelope: Envelope, payload_type: str, keys: Iterable[PublicKey]) -> frozenset[PublicKey]:
    """Return those of `keys` that signed the envelope, each once; none for another payload type."""
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
    """Parse an envelope. Raises ValueError with the reason."""
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
    if der.startswith(_P256):
        return _p256(der[len(_P256) :])
    if not der.startswith(_ED25519):
        raise ValueError("not a public key of ECDSA P-256 or Ed25519")
    # Imported here and below: most policies and bundles are read without verifying a signature.
    from cryptography.hazmat.primitives.asymmetric import ed25519

    return ed25519.Ed25519PublicKey.from_public_bytes(der[len(_ED25519) :])


def _p256(point: bytes) -> ec.EllipticCurvePublicKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)


def _is_by(key: PublicKey, signature: bytes, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    loaded = _key(key.der)
    try:
        if isinstance(loaded, ec.EllipticCurvePublicKey):
            loaded.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        else:
            loaded.verify(signature, message)
    except InvalidSignature:
        return False
    return True
