"""Write the parts of X.509 certificates and keys on P-256 in DER (X.690)."""

from __future__ import annotations

import os
import time
from binascii import b2a_base64

INTEGER, BIT_STRING, OCTET_STRING, OID, UTF8_STRING = b"\x02", b"\x03", b"\x04", b"\x06", b"\x0c"
UTC_TIME, GENERALIZED_TIME, SEQUENCE, SET = b"\x17", b"\x18", b"\x30", b"\x31"
TRUE = bytes.fromhex("0101ff")
VERSION_3 = bytes.fromhex("a003020102")
ECDSA_WITH_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
ON_P256 = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")  # id-ecPublicKey, prime256v1
COORDINATE_BYTES = 32  # of a point on P-256, and of a private value

_COMMON_NAME = bytes.fromhex("550403")
_FIRST_GENERALIZED = 2050  # RFC 5280 section 4.1.2.5
_LINE = 64  # RFC 7468 section 2


def der(tag: bytes, *contents: bytes) -> bytes:
    """Encode one value with a definite length (X.690 section 8.1)."""
    content = b"".join(contents)
    length = len(content)
    if length < 0x80:
        return tag + bytes((length,)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return tag + bytes((0x80 | len(octets),)) + octets + content


def bits(octets: bytes) -> bytes:
    return der(BIT_STRING, b"\0", octets)  # no unused bit


def common_name(name: bytes) -> bytes:
    """Encode a distinguished name that is one common name."""
    return der(SEQUENCE, der(SET, der(SEQUENCE, der(OID, _COMMON_NAME), der(UTF8_STRING, name))))


def extension(oid: bytes, value: bytes, *, is_critical: bool = False) -> bytes:
    return der(SEQUENCE, der(OID, oid), TRUE if is_critical else b"", der(OCTET_STRING, value))


def validity(not_before_s: int, not_after_s: int) -> bytes:
    return der(SEQUENCE, _time(not_before_s), _time(not_after_s))


def serial_number() -> bytes:
    """Return 126 random bits as a positive integer in the shortest form, which does not begin with 00."""
    first, *others = os.urandom(16)
    return der(INTEGER, bytes((0x40 | first & 0x3F, *others)))


def pem(label: str, content: bytes) -> bytes:
    text = b2a_base64(content, newline=False)
    lines = [text[place : place + _LINE] for place in range(0, len(text), _LINE)]
    return b"\n".join((f"-----BEGIN {label}-----".encode(), *lines, f"-----END {label}-----".encode(), b""))


def _time(seconds: int) -> bytes:
    moment = time.gmtime(seconds)
    if moment.tm_year < _FIRST_GENERALIZED:
        return der(UTC_TIME, time.strftime("%y%m%d%H%M%SZ", moment).encode())
    return der(GENERALIZED_TIME, time.strftime("%Y%m%d%H%M%SZ", moment).encode())
