"""Sign with a private key, whose text stays a Secret until then."""

from __future__ import annotations

from base64 import b64decode, b64encode

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from nono.credentials.values.errors import CredentialUnavailable
from nono.secret import Secret
from nono.trust.dsse import PublicKey

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class SigningKey:
    """An ECDSA P-256 or Ed25519 key, ready to sign."""

    def __init__(self, private: PrivateKey) -> None:
        self._private = private
        self.public = PublicKey(
            private.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )

    def sign(self, message: bytes) -> bytes:
        """Return the signature: Ed25519 (RFC 8032), or ECDSA with SHA-256 in DER."""
        if isinstance(self._private, ed25519.Ed25519PrivateKey):
            return self._private.sign(message)
        return self._private.sign(message, ec.ECDSA(hashes.SHA256()))

    def secret(self) -> Secret:
        """Return the key in its stored form: PKCS #8 in DER, in base64."""
        der = self._private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Secret(b64encode(der).decode())

    def __repr__(self) -> str:
        return f"SigningKey({self.public.fingerprint})"


def new_key() -> SigningKey:
    return SigningKey(ec.generate_private_key(ec.SECP256R1()))


def signing_key(secret: Secret, shown: str) -> SigningKey:
    """Read a key, PKCS #8 in DER and base64. `shown`: The key's name in messages.

    Raises CredentialUnavailable if it is malformed or of another kind. No message quotes it.
    """
    try:
        private = serialization.load_der_private_key(b64decode(secret.reveal(), validate=True), None)
    except Exception:  # of several kinds, whose text may quote bytes of the key
        private = None
    if isinstance(private, ed25519.Ed25519PrivateKey) or (
        isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, ec.SECP256R1)
    ):
        return SigningKey(private)
    raise CredentialUnavailable(
        f"{shown}: not an ECDSA P-256 or Ed25519 key (PKCS #8, DER, base64, on one line)",
        hint="nono trust keygen makes one",
    )
