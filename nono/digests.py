"""SHA-1 and SHA-256 without OpenSSL, which hashlib loads first: 2.5 ms of a start."""

from __future__ import annotations

TYPE_CHECKING = False  # a type checker's own constant, without importing typing
if TYPE_CHECKING:
    from hashlib import sha1, sha256
else:
    try:
        from _sha1 import sha1
        from _sha2 import sha256
    except ImportError:  # a Python built without its own digests
        from hashlib import sha1, sha256

__all__ = ["sha1", "sha256"]
