"""Encrypt the content of the embedded store, and derive a key from a passphrase."""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from collections.abc import Mapping

from nono.named_tuple import NamedTuple
from nono.secret import Secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

KEY_BYTES = 32  # AES-256-GCM, NIST SP 800-38D
_NONCE_BYTES = 12
_SALT_BYTES = 16
_SAID = "nono {}, version 2"  # authenticated, so that no other file can be mistaken for this one
# RFC 9106 section 4, the second recommended choice: 64 MiB and three passes; a third of a second.
_ITERATIONS, _LANES, _MEMORY_KIB = 3, 4, 64 * 1024

type Purpose = Literal["credentials", "logins"]  # two stores may share a key


class Lock(NamedTuple):
    """What protects the key of a store: `kind` is "systemd-creds" or "passphrase"."""

    kind: str
    value: str  # the key as systemd-creds sealed it, or the salt, in base64


def new_key() -> Secret:
    return Secret(os.urandom(KEY_BYTES).hex())


def new_salt() -> str:
    return b64encode(os.urandom(_SALT_BYTES)).decode()


def key_from(passphrase: Secret, salt: str) -> Secret:
    """Derive a key with Argon2id (RFC 9106)."""
    # Imported here and below: few runs use a store with a passphrase.
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    kdf = Argon2id(
        salt=b64decode(salt), length=KEY_BYTES, iterations=_ITERATIONS, lanes=_LANES, memory_cost=_MEMORY_KIB
    )
    return Secret(kdf.derive(passphrase.reveal().encode("utf-8", "surrogateescape")).hex())


def sealed(content: bytes, key: Secret, lock: Lock, purpose: Purpose) -> bytes:
    """Return the content of a store's file: `content` encrypted with `key`."""
    import json

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE_BYTES)
    box = AESGCM(bytes.fromhex(key.reveal())).encrypt(nonce, content, _SAID.format(purpose).encode())
    document = {"version": 2, "lock": lock._asdict(), "box": b64encode(nonce + box).decode()}
    return json.dumps(document, indent=2).encode()


def lock_of(document: Mapping[str, object]) -> Lock | None:
    """Return the lock of a store's file; None if it has none."""
    match document:
        case {"version": 2, "lock": {"kind": str(kind), "value": str(value)}, "box": str()}:
            return Lock(kind, value)
    return None


def opened(document: Mapping[str, object], key: Secret, purpose: Purpose) -> bytes | None:
    """Return the content of a store; None if the key is wrong or the file was changed."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        box = b64decode(str(document["box"]), validate=True)
        said = _SAID.format(purpose).encode()
        return AESGCM(bytes.fromhex(key.reveal())).decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], said)
    except (InvalidTag, ValueError):
        return None
