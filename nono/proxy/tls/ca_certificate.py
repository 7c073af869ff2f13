"""Write the certificate of a session's CA.

cryptography's X.509 support takes 20 ms to import, and each run that intercepts something waits for its CA.
This certificate always has the same form (RFC 5280, in DER): only its number, dates, key and signature
differ.
"""

from __future__ import annotations

import os
import time
from binascii import b2a_base64

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from nono.digests import sha256
from nono.named_tuple import NamedTuple

# NTP sometimes sets the clock of a laptop or a WSL2 guest back, even between creation and use.
BACKDATED_S = 300

_NAME = b"nono-session-ca"
_LINE = 64  # RFC 7468 section 2
_INTEGER, _BIT_STRING, _OCTET_STRING, _OID, _UTF8_STRING = b"\x02", b"\x03", b"\x04", b"\x06", b"\x0c"
_UTC_TIME, _GENERALIZED_TIME, _SEQUENCE, _SET = b"\x17", b"\x18", b"\x30", b"\x31"
_VERSION_3 = bytes.fromhex("a003020102")
_TRUE = bytes.fromhex("0101ff")
_ECDSA_WITH_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
_ON_P256 = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")  # id-ecPublicKey, prime256v1
_COMMON_NAME = bytes.fromhex("550403")
_BASIC_CONSTRAINTS, _KEY_USAGE = bytes.fromhex("551d13"), bytes.fromhex("551d0f")
_SUBJECT_KEY_IDENTIFIER = bytes.fromhex("551d0e")
_SIGNS = bytes.fromhex("0186")  # one unused bit; digitalSignature, keyCertSign, cRLSign
_COORDINATE_BYTES = 32
_FIRST_GENERALIZED = 2050  # RFC 5280 section 4.1.2.5


class MadeCa(NamedTuple):
    """The certificate of a CA in DER, and the private value of its P-256 key."""

    certificate: bytes
    private_value: bytes

    def __repr__(self) -> str:
        return "MadeCa(...)"

    @property
    def certificate_pem(self) -> bytes:
        text = b2a_base64(self.certificate, newline=False)
        lines = [text[place : place + _LINE] for place in range(0, len(text), _LINE)]
        return b"\n".join((b"-----BEGIN CERTIFICATE-----", *lines, b"-----END CERTIFICATE-----", b""))


def make(validity_s: float, now_s: float) -> MadeCa:
    """Make a CA that is already valid. now_s: Seconds since 1970."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _self_signed(key, int(now_s - BACKDATED_S), int(now_s + validity_s))
    return MadeCa(certificate, key.private_numbers().private_value.to_bytes(_COORDINATE_BYTES))


def _self_signed(key: ec.EllipticCurvePrivateKey, not_before_s: int, not_after_s: int) -> bytes:
    name = _der(_SEQUENCE, _oid(_COMMON_NAME), _der(_UTF8_STRING, _NAME))
    names = _der(_SEQUENCE, _der(_SET, name))
    numbers = key.public_key().public_numbers()
    point = b"\x04" + numbers.x.to_bytes(_COORDINATE_BYTES) + numbers.y.to_bytes(_COORDINATE_BYTES)
    extensions = _der(
        _SEQUENCE,
        _extension(_BASIC_CONSTRAINTS, _der(_SEQUENCE, _TRUE), is_critical=True),
        _extension(_KEY_USAGE, _der(_BIT_STRING, _SIGNS), is_critical=True),
        # RFC 7093 section 2, the first way.
        _extension(_SUBJECT_KEY_IDENTIFIER, _der(_OCTET_STRING, sha256(point).digest()[:20])),
    )
    certificate = _der(
        _SEQUENCE,
        _VERSION_3,
        _der(_INTEGER, _serial_number()),
        _ECDSA_WITH_SHA256,
        names,
        _der(_SEQUENCE, _time(not_before_s), _time(not_after_s)),
        names,
        _der(_SEQUENCE, _ON_P256, _bits(point)),
        _der(b"\xa3", extensions),
    )
    signature = key.sign(certificate, ec.ECDSA(hashes.SHA256()))
    return _der(_SEQUENCE, certificate, _ECDSA_WITH_SHA256, _bits(signature))


def _der(tag: bytes, *contents: bytes) -> bytes:
    """Encode one value with a definite length (X.690 section 8.1)."""
    content = b"".join(contents)
    length = len(content)
    if length < 0x80:
        return tag + bytes((length,)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return tag + bytes((0x80 | len(octets),)) + octets + content


def _oid(content: bytes) -> bytes:
    return _der(_OID, content)


def _bits(octets: bytes) -> bytes:
    return _der(_BIT_STRING, b"\0", octets)  # no unused bit


def _extension(oid: bytes, value: bytes, *, is_critical: bool = False) -> bytes:
    return _der(_SEQUENCE, _oid(oid), _TRUE if is_critical else b"", _der(_OCTET_STRING, value))


def _serial_number() -> bytes:
    """Return 126 random bits as a positive integer in the shortest form, which does not begin with 00."""
    first, *others = os.urandom(16)
    return bytes((0x40 | first & 0x3F, *others))


def _time(seconds: int) -> bytes:
    moment = time.gmtime(seconds)
    if moment.tm_year < _FIRST_GENERALIZED:
        return _der(_UTC_TIME, time.strftime("%y%m%d%H%M%SZ", moment).encode())
    return _der(_GENERALIZED_TIME, time.strftime("%Y%m%d%H%M%SZ", moment).encode())
