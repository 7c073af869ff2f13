"""nono.digests: the same octets as with OpenSSL."""

from __future__ import annotations

import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st

from nono import digests


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_what_it_computes_is_what_openssl_computes(key: bytes, message: bytes) -> None:
    assert digests.hmac_sha256(key, message) == hmac.digest(key, message, "sha256")
    assert digests.sha1(message).digest() == hashlib.sha1(message).digest()
    assert digests.sha256(message).digest() == hashlib.sha256(message).digest()
