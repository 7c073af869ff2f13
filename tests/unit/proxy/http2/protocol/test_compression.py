"""Field blocks are read and written as the hpack library reads and writes them (RFC 7541)."""

from __future__ import annotations

import re

import hpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nono.proxy.http.message import Header
from nono.proxy.http2.protocol.compression import TABLE_BYTES, Decoder, Encoder, SecretField
from nono.proxy.http2.protocol.frames import ErrorCode, FrameError

ROOM = 64 * 1024

_NAMES = st.sampled_from([b":status", b":path", b"server", b"cookie", b"x-a", b"x-b", b"authorization"])
_VALUES = st.one_of(
    st.sampled_from([b"", b"200", b"/", b"nginx", b"a=1"]),
    st.binary(max_size=40),
    st.binary(min_size=120, max_size=700),
)
_FIELDS = st.lists(st.tuples(_NAMES, _VALUES), max_size=12)


@given(heads=st.lists(_FIELDS, max_size=8), limits=st.lists(st.integers(0, 5000), max_size=8))
def test_what_is_encoded_is_what_a_peer_reads(heads: list[list[Header]], limits: list[int]) -> None:
    encoder, peer = Encoder(), hpack.Decoder()
    for number, fields in enumerate(heads):
        if number < len(limits):
            peer.max_allowed_table_size = limits[number]
            encoder.allow(limits[number])
        assert [*peer.decode(encoder.encode(fields), raw=True)] == fields


@given(
    heads=st.lists(_FIELDS, max_size=8),
    limits=st.lists(st.integers(0, TABLE_BYTES), max_size=8),
    huffman=st.booleans(),
)
def test_what_a_peer_encodes_is_what_is_read(
    heads: list[list[Header]], limits: list[int], huffman: bool
) -> None:
    peer, decoder = hpack.Encoder(), Decoder(ROOM)
    for number, fields in enumerate(heads):
        if number < len(limits):
            peer.header_table_size = limits[number]
        assert decoder.decode(peer.encode(fields, huffman)) == fields


@pytest.mark.parametrize("name", [b"authorization", b"x-of-no-table"])
@pytest.mark.parametrize("is_secret", [True, False])
def test_a_field_that_its_sender_forbids_to_index_is_told_from_others(name: bytes, is_secret: bool) -> None:
    block = hpack.Encoder().encode([(name, b"value", is_secret), (b":method", b"GET", False)])
    fields = Decoder(ROOM).decode(block)
    assert fields == [(name, b"value"), (b":method", b"GET")]
    assert [isinstance(field, SecretField) for field in fields] == [is_secret, False]


def test_a_field_that_is_only_not_added_to_the_table_may_be_indexed_later() -> None:
    [field] = Decoder(ROOM).decode(b"\x00\x03x-a\x01b")  # section 6.2.2
    assert field == (b"x-a", b"b")
    assert not isinstance(field, SecretField)


@given(blocks=st.lists(st.binary(max_size=60), max_size=6))
@example(blocks=[b"\x20\x3f\xe1\x1f\x82", b"\x20\x20\x20\x82"])
def test_a_block_that_is_malformed_for_the_library_is_malformed(blocks: list[bytes]) -> None:
    theirs, decoder = hpack.Decoder(ROOM), Decoder(ROOM)
    theirs.max_allowed_table_size = TABLE_BYTES
    for block in blocks:
        try:
            expected = [*theirs.decode(block, raw=True)]
        except (hpack.HPACKError, IndexError):
            with pytest.raises(FrameError):
                decoder.decode(block)
            return
        if _has_three_updates(block):  # the library takes any number
            with pytest.raises(FrameError):
                decoder.decode(block)
            return
        assert decoder.decode(block) == expected


def _has_three_updates(block: bytes) -> bool:
    update = rb"(?s:[\x20-\x3e]|\x3f[\x80-\xff]*[\x00-\x7f])"
    return re.match(update + b"{3}", block) is not None


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",
        b"\xbe",
        b"\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x40\x05ab",
        b"\x40\x01a\x85\xff",
        b"\x40\x01a\x82\xff\xff",
        b"\x82\x20",
        b"\x20\x20\x20\x82",
        b"\x3f\xe2\x1f",
        b"\x40",
    ],
    ids=[
        "index 0", "index beyond the table", "an integer without end", "a string cut off",
        "a Huffman string cut off", "a Huffman string that is padding only", "a size update behind a field",
        "three size updates",
        "a table larger than announced", "a name that is missing",
    ],
)  # fmt: skip
def test_a_malformed_block_is_refused(block: bytes) -> None:
    with pytest.raises(FrameError) as refused:
        Decoder(ROOM).decode(block)
    assert refused.value.code is ErrorCode.COMPRESSION_ERROR


@pytest.mark.parametrize("block", [b"\x82", b"\x20\x82", b"\x20\x3f\xe1\x1f\x82"])
def test_a_block_begins_with_two_size_updates_at_most(block: bytes) -> None:
    assert Decoder(ROOM).decode(block) == [(b":method", b"GET")]


def test_fields_beyond_the_limit_are_refused_however_small_their_block_is() -> None:
    decoder = Decoder(ROOM)
    decoder.decode(b"\x40\x01a\x7f\xa1\x1e" + b"x" * 4000)  # an entry of 4033 bytes
    assert len(decoder.decode(b"\xbe" * 16)) == 16
    with pytest.raises(FrameError) as refused:
        decoder.decode(b"\xbe" * 17)
    assert refused.value.code is ErrorCode.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("room", [35, 34])
def test_fields_may_take_all_the_room_and_not_more(room: int) -> None:
    decoder = Decoder(room)
    if room == 35:
        assert decoder.decode(b"\x00\x01a\x02bc") == [(b"a", b"bc")]  # and the 32 of section 4.1
        return
    with pytest.raises(FrameError, match="too large"):
        decoder.decode(b"\x00\x01a\x02bc")


@pytest.mark.parametrize("octets", [5, 6])
def test_an_integer_takes_five_octets_behind_its_prefix_at_most(octets: int) -> None:
    """Else its value could grow with the block, and reading it with the square of that."""
    length = b"\x7f" + b"\x80" * (octets - 1) + b"\x00"
    block = b"\x00\x01a" + length + b"x" * 127
    if octets == 5:
        assert Decoder(ROOM).decode(block) == [(b"a", b"x" * 127)]
        return
    with pytest.raises(FrameError) as refused:
        Decoder(ROOM).decode(block)
    assert refused.value.code is ErrorCode.COMPRESSION_ERROR


def test_what_is_remembered_of_huffman_coded_strings_is_bounded() -> None:
    """A peer can send other strings in each block, for as long as the connection lives."""
    decoder, peer = Decoder(ROOM), hpack.Encoder()
    for number in range(200):
        block = peer.encode([(b"x-a", b"%d" % number, True), (b"x-b", b"a" * 1000, True)], huffman=True)
        assert decoder.decode(block)[0] == (b"x-a", b"%d" % number)
    assert len(decoder._remembered) <= 64
    assert max(map(len, decoder._remembered)) <= 128


def test_a_secret_enters_no_table() -> None:
    encoder, peer = Encoder(), hpack.Decoder()
    secret = SecretField((b"authorization", b"Bearer sk-secret"))
    blocks = [encoder.encode([secret, (b"x-a", b"1")]) for _ in range(3)]
    for block in blocks:
        (field, *_) = peer.decode(block, raw=True)
        assert isinstance(field, hpack.NeverIndexedHeaderTuple)
        assert b"Bearer sk-secret" in block
    assert [*peer.header_table.dynamic_entries] == [(b"x-a", b"1")]


def test_a_field_that_repeats_takes_one_octet() -> None:
    encoder = Encoder()
    first, second = (encoder.encode([(b"x-a", b"1" * 50)]) for _ in range(2))
    assert (len(first), len(second)) == (56, 1)


def test_the_smallest_limit_since_the_last_block_is_announced() -> None:
    encoder = Encoder()
    for limit in (2000, 100, 300, 200):
        encoder.allow(limit)
    assert encoder.encode([]) == b"\x3f\x45" + b"\x3f\xa9\x01"  # 100, then 200
    assert encoder.encode([]) == b""
