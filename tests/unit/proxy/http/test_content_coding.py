"""Coded bodies are decoded however they are cut, in bounded steps, and ill-formed ones are refused."""

from __future__ import annotations

import ctypes
import gzip
import random
import resource
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.proxy.exchange.held import HeldBytes
from nono.proxy.http.coded_streams import MAX_OUTPUT_BYTES, ContentCodingError
from nono.proxy.http.content_coding import BROTLI_TABLES_BYTES, DecoderMemoryError, decoder

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def _bare_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


CODINGS: dict[str, tuple[bytes, Callable[[bytes], bytes]]] = {
    "gzip": (b"gzip", gzip.compress),
    "x-gzip": (b"X-GZIP", gzip.compress),
    "deflate": (b"deflate", zlib.compress),
    "deflate without the zlib format": (b"deflate", _bare_deflate),
    "br": (b" br ", brotli.compress),
    "zstd": (b"zstd", zstd.compress),
}
_coded = pytest.mark.parametrize(("name", "encode"), CODINGS.values(), ids=CODINGS)
BODY = b'{"choices": [{"delta": {"content": "hello"}}]}\n' * 300


def _decode(name: bytes, *pieces: bytes) -> bytes:
    coding = decoder(name)
    assert coding is not None
    output = b"".join(b"".join(coding.feed(piece)) for piece in pieces)
    coding.finish()
    return output


@_coded
def test_a_coded_body_is_decoded(name: bytes, encode: Callable[[bytes], bytes]) -> None:
    assert _decode(name, encode(BODY)) == BODY


@_coded
def test_a_coded_body_without_content_is_empty(name: bytes, encode: Callable[[bytes], bytes]) -> None:
    assert _decode(name, encode(b"")) == b""
    assert _decode(name) == b""


@_coded
@given(body=st.binary(max_size=2000), cuts=st.lists(st.integers(0, 2000), max_size=6))
def test_cuts_do_not_matter(
    name: bytes, encode: Callable[[bytes], bytes], body: bytes, cuts: list[int]
) -> None:
    encoded = encode(body)
    edges = [0, *sorted(cut for cut in cuts if cut <= len(encoded)), len(encoded)]
    assert _decode(name, *[encoded[start:end] for start, end in pairwise(edges)]) == body


@_coded
def test_every_octet_alone_is_enough(name: bytes, encode: Callable[[bytes], bytes]) -> None:
    encoded = encode(BODY[:500])
    assert _decode(name, *[bytes([octet]) for octet in encoded]) == BODY[:500]


@_coded
def test_a_body_that_was_cut_off_is_refused(name: bytes, encode: Callable[[bytes], bytes]) -> None:
    encoded = encode(BODY)
    for end in (1, len(encoded) // 2, len(encoded) - 1):
        with pytest.raises(ContentCodingError, match="cut off"):
            _decode(name, encoded[:end])


@_coded
@pytest.mark.parametrize("together", [True, False], ids=["in one piece", "in a piece of its own"])
def test_garbage_after_the_end_is_refused(
    name: bytes, encode: Callable[[bytes], bytes], together: bool
) -> None:
    pieces = [encode(BODY) + b"garbage"] if together else [encode(BODY), b"garbage"]
    with pytest.raises(ContentCodingError):
        _decode(name, *pieces)


@_coded
def test_a_body_in_no_coding_at_all_is_refused(name: bytes, encode: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ContentCodingError):
        _decode(name, b"\xff\xfe<html>not coded</html>")


@_coded
@given(noise=st.binary(max_size=300), start=st.integers(0, 400), body=st.binary(max_size=400))
def test_noise_is_either_decoded_or_refused(
    name: bytes, encode: Callable[[bytes], bytes], noise: bytes, start: int, body: bytes
) -> None:
    with suppress(ContentCodingError):
        _decode(name, encode(body)[:start] + noise)


@pytest.mark.parametrize(
    ("name", "encode"), [(b"deflate", zlib.compress), (b"br", brotli.compress)], ids=["deflate", "br"]
)
def test_a_coding_without_members_ends_with_its_first(name: bytes, encode: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ContentCodingError):
        _decode(name, encode(b"one ") + encode(b"two"))


@pytest.mark.parametrize("encode", [gzip.compress, zstd.compress], ids=["gzip", "zstd"])
def test_members_in_a_row_are_one_body(encode: Callable[[bytes], bytes]) -> None:
    name = b"gzip" if encode is gzip.compress else b"zstd"
    encoded = encode(b"one ") + encode(b"") + encode(b"two")
    assert _decode(name, encoded) == b"one two"
    assert _decode(name, *[bytes([octet]) for octet in encoded]) == b"one two"


@pytest.mark.parametrize("encode", [gzip.compress, zstd.compress], ids=["gzip", "zstd"])
def test_a_body_of_empty_members_is_refused_before_it_costs_much(encode: Callable[[bytes], bytes]) -> None:
    name = b"gzip" if encode is gzip.compress else b"zstd"
    with pytest.raises(ContentCodingError, match="empty members"):
        _decode(name, encode(b"") * 10_000)


@_coded
def test_a_bomb_comes_out_in_bounded_steps_and_memory(name: bytes, encode: Callable[[bytes], bytes]) -> None:
    size = 16 * 1024 * 1024
    bomb = encode(bytes(size))
    coding = decoder(name)
    assert coding is not None
    decoded = largest = 0
    tracemalloc.start()
    try:
        for output in coding.feed(bomb):
            decoded += len(output)
            largest = max(largest, len(output))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    coding.finish()
    assert decoded == size
    assert largest <= MAX_OUTPUT_BYTES
    assert peak < 4 * MAX_OUTPUT_BYTES


def test_incompressible_bodies_come_in_bounded_steps_too() -> None:
    body = random.Random(3).randbytes(3 * MAX_OUTPUT_BYTES)
    for name, encode in [*CODINGS.values(), (b"identity", bytes)]:
        coding = decoder(name)
        assert coding is not None
        pieces = list(coding.feed(encode(body)))
        assert b"".join(pieces) == body
        assert max(map(len, pieces)) <= MAX_OUTPUT_BYTES


def test_a_zstd_window_that_would_take_more_than_8_mib_is_refused() -> None:
    for window_log, allowed in ((23, True), (24, False)):
        compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: window_log})
        # Without the size of the content in its head the frame needs its whole window.
        encoded = compressor.compress(b"x" * 100) + compressor.flush()
        if allowed:
            assert _decode(b"zstd", encoded) == b"x" * 100
        else:
            with pytest.raises(ContentCodingError):
                _decode(b"zstd", encoded)


def _brotli_start(window_log: int) -> bytes:
    compressor = brotli.Compressor(quality=5, lgwin=window_log)  # below 2 the library takes a larger window
    return bytes(compressor.process(BODY) + compressor.flush())


@pytest.mark.parametrize("window_log", range(10, 25))
def test_a_brotli_body_takes_the_window_that_it_announces_and_its_tables(window_log: int) -> None:
    window = (1 << window_log) + BROTLI_TABLES_BYTES
    for free in (window, window - 1):
        budget = HeldBytes(free)
        coding = decoder(b"br", budget)
        assert coding is not None
        if free == window:
            assert b"".join(coding.feed(_brotli_start(window_log))) == BODY
            assert budget.free == 0
        else:
            with pytest.raises(DecoderMemoryError):
                list(coding.feed(_brotli_start(window_log)))
        coding.close()
        assert budget.free == free


class _Bits:
    """Writes a Brotli stream (RFC 7932), the lowest bit of each octet first."""

    def __init__(self) -> None:
        self._value = self._size = 0

    def put(self, value: int, size: int) -> None:
        self._value |= value << self._size
        self._size += size

    def put_code_of_one(self, symbol: int, size: int) -> None:
        """Write a simple prefix code with one symbol (section 3.4)."""
        self.put(0b0001, 4)
        self.put(symbol, size)

    def put_256(self) -> None:
        """Write a number of block types or trees (section 9.2)."""
        self.put(0b1111, 4)
        self.put(127, 7)

    def octets(self) -> bytes:
        return self._value.to_bytes((self._size + 7) // 8, "little")


def _brotli_tables() -> bytes:
    """Return the head of a meta-block with 256 prefix codes for each alphabet, in a window of 64 KiB."""
    bits = _Bits()
    bits.put(0, 4)  # WBITS, ISLAST, MNIBBLES
    bits.put(0xFFFF, 16)
    bits.put(0, 1)
    for _ in range(3):
        bits.put_256()
        bits.put_code_of_one(0, 9)
        bits.put_code_of_one(0, 5)
        bits.put(0, 2)
    bits.put(0, 6 + 2 * 256)  # NPOSTFIX, NDIRECT, context modes
    for _ in range(2):  # context maps
        bits.put_256()
        bits.put(0, 1)
        bits.put_code_of_one(255, 8)
        bits.put(0, 1)
    for count, size in ((256, 8), (256, 10), (255, 6)):  # one code is missing, so that nothing is decoded yet
        for _ in range(count):
            bits.put_code_of_one(0, size)
    return bits.octets()


def test_the_prefix_codes_of_brotli_take_no_more_than_is_counted_for_them() -> None:
    bodies = 40
    ctypes.CDLL(None).malloc_trim(0)  # what earlier tests have freed would be used first, and not be seen
    before = _resident_bytes()
    budget = HeldBytes(1 << 30)
    decoders = [coding for _ in range(bodies) if (coding := decoder(b"br", budget)) is not None]
    for coding in decoders:
        assert list(coding.feed(_brotli_tables())) == []
    taken = _resident_bytes() - before
    assert bodies * (512 << 10) < taken < (1 << 30) - budget.free


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_a_zstd_body_takes_what_it_has_put_out_up_to_its_window() -> None:
    mebibyte = 1 << 20
    budget = HeldBytes(100 * mebibyte)
    coding = decoder(b"zstd", budget)
    assert coding is not None
    compressor = zstd.ZstdCompressor()
    taken = []
    for _ in range(12):
        piece = compressor.compress(bytes(mebibyte)) + compressor.flush(zstd.ZstdCompressor.FLUSH_BLOCK)
        assert len(b"".join(coding.feed(piece))) == mebibyte
        taken.append((100 * mebibyte - budget.free) // mebibyte)
    assert taken == [1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8, 8]
    coding.close()
    assert budget.free == 100 * mebibyte


@_coded
def test_the_memory_of_a_member_is_free_at_its_end(name: bytes, encode: Callable[[bytes], bytes]) -> None:
    budget = HeldBytes(1 << 24)
    coding = decoder(name, budget)
    assert coding is not None
    encoded = encode(BODY)
    list(coding.feed(encoded[:-1]))
    assert budget.free < 1 << 24
    list(coding.feed(encoded[-1:]))
    assert budget.free == 1 << 24
    coding.finish()
    coding.close()
    assert budget.free == 1 << 24


@pytest.mark.parametrize("name", [b"", b"identity", b"Identity"])
def test_identity_passes(name: bytes) -> None:
    assert _decode(name, b"a", b"b") == b"ab"


@pytest.mark.parametrize(
    "name", [b"gzip, br", b"gzip,gzip", b"compress", b"dcb", b"gzip;q=1", b"aws-chunked"]
)
def test_stacked_and_unknown_codings_have_no_decoder(name: bytes) -> None:
    assert decoder(name) is None
