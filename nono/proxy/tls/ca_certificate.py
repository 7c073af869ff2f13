"""Write the certificate of a session's CA.

cryptography's X.509 support takes 11 ms to import, and each run that intercepts something waits for its CA.
This certificate always has the same form (RFC 5280, in DER): only its number, dates, key and signature
differ.
"""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from nono.digests import sha256
from nono.named_tuple import NamedTuple
from nono.proxy.tls import der

# NTP sometimes sets the clock of a laptop or a WSL2 guest back, even between creation and use.
BACKDATED_S = 300
CERTIFICATE = "CERTIFICATE"  # the label in PEM

_NAME = der.common_name(b"nono-session-ca")
_BASIC_CONSTRAINTS, _KEY_USAGE = bytes.fromhex("551d13"), bytes.fromhex("551d0f")
_SUBJECT_KEY_IDENTIFIER = bytes.fromhex("551d0e")
_SIGNS = bytes.fromhex("0186")  # one unused bit; digitalSignature, keyCertSign, cRLSign


class _EcdsaWithSha256(ec.ECDSA):
    """ECDSA with SHA-256, with random numbers as usual.

    The constructor of its base imports all ciphers, for 4 ms, to know if numbers could be derived instead.
    """

    def __init__(self) -> None:
        """Leave the base as it is: what it keeps is read through the properties below."""

    @property
    def algorithm(self) -> hashes.SHA256:
        return hashes.SHA256()

    @property
    def deterministic_signing(self) -> bool:
        return False


class Issuer(NamedTuple):
    """What the leaves of a CA repeat of its certificate."""

    name: bytes  # the subject, in DER
    key_identifier: bytes
    not_before_s: int  # seconds since 1970, as below
    not_after_s: int


class MadeCa(NamedTuple):
    """The certificate of a CA in DER, the private value of its P-256 key, and when the CA is valid."""

    certificate: bytes
    private_value: bytes
    not_before_s: int
    not_after_s: int

    def __repr__(self) -> str:
        return "MadeCa(...)"

    @property
    def certificate_pem(self) -> bytes:
        return der.pem(CERTIFICATE, self.certificate)

    @property
    def key(self) -> ec.EllipticCurvePrivateKey:
        return ec.derive_private_key(int.from_bytes(self.private_value), ec.SECP256R1())

    def issuer(self, key: ec.EllipticCurvePrivateKey) -> Issuer:
        """Describe the CA to the leaves that `key`, its own, signs."""
        return Issuer(_NAME, key_identifier(point_of(key)), self.not_before_s, self.not_after_s)


def make(validity_s: float, now_s: float) -> MadeCa:
    """Make a CA that is already valid. now_s: Seconds since 1970."""
    key = ec.generate_private_key(ec.SECP256R1())
    not_before_s, not_after_s = int(now_s - BACKDATED_S), int(now_s + validity_s)
    certificate = _self_signed(key, not_before_s, not_after_s)
    return MadeCa(certificate, private_value_of(key), not_before_s, not_after_s)


def private_value_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_numbers().private_value.to_bytes(der.COORDINATE_BYTES)


def point_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the public point of `key`, uncompressed."""
    numbers = key.public_key().public_numbers()
    return b"\x04" + numbers.x.to_bytes(der.COORDINATE_BYTES) + numbers.y.to_bytes(der.COORDINATE_BYTES)


def key_identifier(point: bytes) -> bytes:
    """Return the identifier of a public key (RFC 7093 section 2, the first way)."""
    return sha256(point).digest()[:20]


def identifies_subject(point: bytes) -> bytes:
    """Return the extension that identifies the certified key."""
    return der.extension(_SUBJECT_KEY_IDENTIFIER, der.der(der.OCTET_STRING, key_identifier(point)))


def constrained(usage: bytes, *, is_ca: bool) -> bytes:
    """Return the two critical extensions that say what the certified key may do.

    usage: The bits of keyUsage, after the number of those that are unused.
    """
    basic = der.extension(
        _BASIC_CONSTRAINTS, der.der(der.SEQUENCE, der.TRUE if is_ca else b""), is_critical=True
    )
    return basic + der.extension(_KEY_USAGE, der.der(der.BIT_STRING, usage), is_critical=True)


def signed(
    key: ec.EllipticCurvePrivateKey,
    *,
    issuer: bytes,
    subject: bytes,
    validity: bytes,
    point: bytes,
    extensions: bytes,
) -> bytes:
    """Return a certificate for the public key `point`, with a random number, signed with `key`."""
    certificate = der.der(
        der.SEQUENCE,
        der.VERSION_3,
        der.serial_number(),
        der.ECDSA_WITH_SHA256,
        issuer,
        validity,
        subject,
        der.der(der.SEQUENCE, der.ON_P256, der.bits(point)),
        der.der(b"\xa3", der.der(der.SEQUENCE, extensions)),
    )
    signature = key.sign(certificate, _EcdsaWithSha256())
    return der.der(der.SEQUENCE, certificate, der.ECDSA_WITH_SHA256, der.bits(signature))


def _self_signed(key: ec.EllipticCurvePrivateKey, not_before_s: int, not_after_s: int) -> bytes:
    point = point_of(key)
    return signed(
        key,
        issuer=_NAME,
        subject=_NAME,
        validity=der.validity(not_before_s, not_after_s),
        point=point,
        extensions=constrained(_SIGNS, is_ca=True) + identifies_subject(point),
    )
