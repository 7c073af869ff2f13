"""nono.proxy.http.accept_encoding: what the client accepts and nono decodes, with the client's weights."""

from __future__ import annotations

import pytest

from nono.proxy.http.accept_encoding import accept_encoding


@pytest.mark.parametrize(
    ("client", "sent"),
    [
        ([], b"identity"),
        ([b""], b"identity"),
        ([b"gzip, deflate, br, zstd"], b"gzip, deflate, br, zstd"),
        ([b"GZip;Q=0.5 , x-unknown,br; q=1.0"], b"gzip;q=0.5, br;q=1.0"),
        ([b"gzip", b"br"], b"gzip, br"),
        ([b"compress, dcz"], b"identity"),
        ([b"gzip;q=0"], b"gzip;q=0"),
        ([b"*"], b"gzip, deflate, br, zstd"),
        ([b"gzip;q=0, *;q=0.1"], b"gzip;q=0, deflate;q=0.1, br;q=0.1, zstd;q=0.1"),
        ([b"identity, *;q=0"], b"identity, gzip;q=0, deflate;q=0, br;q=0, zstd;q=0"),
        ([b"gzip;q=2, br;level=3, \xff"], b"identity"),
    ],
)
def test_upstream_is_offered_what_both_the_client_and_nono_decode(client: list[bytes], sent: bytes) -> None:
    assert accept_encoding(client) == sent
