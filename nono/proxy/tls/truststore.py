"""Write a Java truststore in the format JKS, which every Java reads and which is hardly more than a list.

The alternative, PKCS #12, needs a library that takes 40 ms of a start to import and fill.
"""

from __future__ import annotations

import struct
from binascii import a2b_base64
from collections.abc import Iterable, Iterator

from nono.digests import sha1

PASSWORD = "changeit"  # Java's default; the content is public

# sun.security.provider.JavaKeyStore, engineStore(): numbers are big-endian, texts follow their length.
_HEAD = struct.Struct(">III")
_MAGIC, _VERSION, _TRUSTED_CERTIFICATE = 0xFEEDFEED, 2, 2
_KIND = b"X.509"
_MADE_MS = 0  # creation date, which nothing reads
_WHITENER = b"Mighty Aphrodite"


def truststore_of(pem_blocks: Iterable[bytes]) -> bytes:
    """Return a truststore with one alias for each certificate. Skips blocks that are not certificates."""
    entries = [_entry(f"nono-{number}".encode(), der) for number, der in enumerate(_certificates(pem_blocks))]
    content = b"".join((_HEAD.pack(_MAGIC, _VERSION, len(entries)), *entries))
    return content + sha1(PASSWORD.encode("utf-16-be") + _WHITENER + content).digest()


def _entry(alias: bytes, der: bytes) -> bytes:
    return b"".join(
        (
            struct.pack(">I", _TRUSTED_CERTIFICATE),
            _text(alias),
            struct.pack(">Q", _MADE_MS),
            _text(_KIND),
            struct.pack(">I", len(der)),
            der,
        )
    )


def _text(octets: bytes) -> bytes:
    return struct.pack(">H", len(octets)) + octets


def _certificates(pem_blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield each certificate in DER, once. Java refuses a whole store for one unreadable certificate."""
    seen = set[bytes]()
    for block in pem_blocks:
        try:
            der = a2b_base64(b"".join(block.strip().split(b"\n")[1:-1]), strict_mode=True)
        except ValueError:
            continue
        if der not in seen and _is_certificate(der):
            seen.add(der)
            yield der


def _is_certificate(der: bytes) -> bool:
    """Return True for SEQUENCE, SEQUENCE, BIT STRING and nothing else (RFC 5280 section 4.1).

    OpenSSL's TRUSTED CERTIFICATE has more data after that.
    """
    outer = _value(der, 0)
    if outer is None or der[0] != 0x30 or outer[1] != len(der):
        return False
    place = outer[0]
    for tag in (0x30, 0x30, 0x03):
        inner = _value(der, place)
        if inner is None or der[place] != tag:
            return False
        place = inner[1]
    return place == len(der)


def _value(der: bytes, place: int) -> tuple[int, int] | None:
    """Return the bounds of the content of the value at `place`; None if it does not fit."""
    begin = place + 2
    if begin > len(der):
        return None
    length = der[place + 1]
    if length >= 0x80:
        count = length & 0x7F
        length = int.from_bytes(der[begin : begin + count])
        begin += count
    end = begin + length
    return (begin, end) if end <= len(der) else None
