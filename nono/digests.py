"""Compute SHA-1, SHA-256 and HMAC without OpenSSL, which takes hashlib 3 ms to load."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # a type checker's own constant, without importing typing
if TYPE_CHECKING:
    from collections.abc import Callable
    from hashlib import _Hash, sha1, sha256
    from hmac import compare_digest

    Digest = Callable[[bytes], _Hash]
else:
    try:
        from _operator import _compare_digest as compare_digest
        from _sha1 import sha1
        from _sha2 import sha256
    except ImportError:  # a Python built without its own digests
        from hashlib import sha1, sha256
        from hmac import compare_digest

__all__ = ["compare_digest", "hmac_sha256", "quick_sha256", "sha1", "sha256"]

_BLOCK_BYTES = 64


def quick_sha256() -> Digest:
    """Return the SHA-256 of OpenSSL once something has loaded that: it takes a third of the time."""
    # Not there yet while a thread is importing it.
    return getattr(sys.modules.get("hashlib"), "sha256", sha256)


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """Return HMAC-SHA-256 (RFC 2104)."""
    padded = (sha256(key).digest() if len(key) > _BLOCK_BYTES else key).ljust(_BLOCK_BYTES, b"\0")
    inner = sha256(bytes(octet ^ 0x36 for octet in padded) + message).digest()
    return sha256(bytes(octet ^ 0x5C for octet in padded) + inner).digest()
