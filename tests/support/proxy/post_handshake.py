"""One end of TLS 1.3 that writes its own records, such as floods without data (RFC 8446 section 4.6)."""

from __future__ import annotations

import hashlib
import hmac
import socket
import ssl
import struct
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_HANDSHAKE, _DATA = 22, 23


def _expand(secret: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand-Label (RFC 8446 section 7.1) of up to one block."""
    info = struct.pack("!HB", length, 6 + len(label)) + b"tls13 " + label + b"\0"
    return hmac.new(secret, info + b"\1", hashlib.sha384).digest()[:length]


class Records:
    """Encrypts records with TLS_AES_256_GCM_SHA384, which OpenSSL prefers, from a traffic secret on."""

    def __init__(self, secret: bytes) -> None:
        self._begin(secret)

    def _begin(self, secret: bytes) -> None:
        self._secret = secret
        self._key, self._iv = AESGCM(_expand(secret, b"key", 32)), _expand(secret, b"iv", 12)
        self._sent = 0

    def _record(self, kind: int, content: bytes) -> bytes:
        head = struct.pack("!BHH", _DATA, 0x0303, len(content) + 17)
        nonce = int.from_bytes(self._iv) ^ self._sent
        self._sent += 1
        return head + self._key.encrypt(nonce.to_bytes(12), content + bytes([kind]), head)

    def data(self, content: bytes) -> bytes:
        return self._record(_DATA, content)

    def key_update(self, *, asks: bool = False) -> bytes:
        record = self._record(_HANDSHAKE, b"\x18\0\0\1" + bytes([asks]))
        self._begin(_expand(self._secret, b"traffic upd", 48))
        return record

    def tickets(self, count: int) -> bytes:
        """Return one record with `count` session tickets of one byte."""
        one = struct.pack("!IIBBHBH", 7200, 1, 1, 1, 1, 0, 0)
        return self._record(_HANDSHAKE, (b"\4" + len(one).to_bytes(3) + one) * count)


def shake_hands(sock: socket.socket, context: ssl.SSLContext, keys: Path, name: str | None = None) -> Records:
    """Perform the handshake on `sock`, as a client of the server `name`, or as the server.

    Returns what writes the records that follow. keys: where OpenSSL writes the secrets of the connection.
    """
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.keylog_filename = str(keys)
    if name is None:
        context.num_tickets = 0  # they would be numbered before the records made here
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=name is None, server_hostname=name)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            sock.sendall(outgoing.read())
            incoming.write(sock.recv(65536))
    sock.sendall(outgoing.read())
    label = "CLIENT_TRAFFIC_SECRET_0" if name else "SERVER_TRAFFIC_SECRET_0"
    (secret,) = (line.split()[2] for line in keys.read_text().splitlines() if line.startswith(label))
    return Records(bytes.fromhex(secret))
