"""The hashes of the audit log against the published vectors, and against the definition of the tree."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.audit.chain import (
    MAX_TEXT_BYTES,
    ChainState,
    Encoded,
    Encoder,
    Integrity,
    chain_hash,
    encode_event,
    leaf_hash,
    record_line,
)
from nono.audit.event import Again, Event, Recurring, network

EVENTS: list[Event] = [
    {"type": "session_started", "started": "2026-01-02T03:04:05Z", "command": ["true"]},
    {"type": "session_ended", "ended": "2026-01-02T03:04:06Z", "exit_code": 0},
    {"type": "session_ended", "ended": "2026-01-02T03:04:07Z", "exit_code": 3},
]
LEAVES = [
    "4b4dc1ad864e6d21e98c1bb709d0d86780ff65424c14f5663abb665169544dc8",
    "f0c9c88d84acc734d2cbaf70dcf9fbc629bee2a9b33b3740a734f86129756729",
    "2e57f31858f68bda8e5f8d5886b52cb8d39f51fa0e08fc9183b2e60ea9629599",
]
CHAIN = [
    "cbf6aaa0d2c19128548efa0aa0ca598f89f324215630be6f48f958429a503b41",
    "e928a1069ad9b22bf5a0a541147e3447dfd7e19f927e7dc4a1aac440b4e004d8",
    "09575d0e42b08ba7d6146b4c9b039a8528ab988031c35e0d8ae7a946bcdb45c5",
]
ROOT_OF_TWO = "29e686462423cd5f1c45ca6e48b58aa018cf58a1946eff224e5b1a0edabb25fb"
ROOT_OF_THREE = "4bc06334ef4c46aa268317f34fec12fe3b359297046de3850c59f186e6efe38e"


def encoded(event: Event) -> Encoded:
    return Encoder().encoded(event)


def after(leaves: list[bytes]) -> ChainState:
    state = ChainState()
    for leaf in leaves:
        state = state.appended(leaf)
    return state


def root_by_levels(leaves: list[bytes]) -> bytes:
    """Compute the root by its definition: pair up each level, promote an odd last node unchanged."""
    level = leaves
    while len(level) > 1:
        pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
        level = [
            sha256(b"nono.audit.merkle.alpha\n" + b"".join(p)).digest() if p[1:] else p[0] for p in pairs
        ]
    return level[0] if level else sha256(b"").digest()


def test_the_leaves_have_the_published_values() -> None:
    assert [leaf_hash(encode_event(event)).hex() for event in EVENTS] == LEAVES


def test_the_chain_has_the_published_values() -> None:
    links = []
    previous = None
    for leaf in LEAVES:
        previous = chain_hash(previous, bytes.fromhex(leaf))
        links.append(previous.hex())
    assert links == CHAIN


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        pytest.param(0, sha256(b"").hexdigest(), id="empty: hash of nothing"),
        pytest.param(1, LEAVES[0], id="one: the leaf itself, not rehashed"),
        pytest.param(2, ROOT_OF_TWO, id="two: one node"),
        pytest.param(3, ROOT_OF_THREE, id="three: the odd one is promoted"),
    ],
)
def test_the_root_has_the_published_value(count: int, expected: str) -> None:
    assert after([bytes.fromhex(leaf) for leaf in LEAVES[:count]]).merkle_root().hex() == expected


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=70))
def test_the_root_kept_while_appending_is_the_root_of_the_whole_tree(leaves: list[bytes]) -> None:
    assert after(leaves).merkle_root() == root_by_levels(leaves)


@given(st.integers(min_value=0, max_value=2000))
def test_the_state_grows_with_the_logarithm_of_the_log(count: int) -> None:
    assert len(after([bytes(32)] * count).peaks) == count.bit_count()


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=2, max_size=20, unique=True), st.data())
def test_exchanging_two_neighbours_changes_the_chain(leaves: list[bytes], data: st.DataObject) -> None:
    at = data.draw(st.integers(min_value=0, max_value=len(leaves) - 2))
    exchanged = [*leaves[:at], leaves[at + 1], leaves[at], *leaves[at + 2 :]]
    assert after(leaves).head != after(exchanged).head


def test_a_log_without_events_has_no_integrity_summary() -> None:
    assert ChainState().integrity() is None
    assert after([bytes.fromhex(LEAVES[0])]).integrity() == Integrity(1, CHAIN[0], LEAVES[0])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("a/b\x7f", b'"a/b\x7f"', id="slash and DEL stay"),
        pytest.param('"\\', rb'"\"\\"', id="quote and backslash"),
        pytest.param("\b\f\n\r\t", rb'"\b\f\n\r\t"', id="short escapes"),
        pytest.param("\x00\x1f", rb'"\u0000\u001f"', id="other controls, lower case"),
        pytest.param("é€😀\u2028", '"é€😀\u2028"'.encode(), id="UTF-8 unescaped"),
        pytest.param("\udcff", rb'"\udcff"', id="a byte that is not UTF-8 becomes its surrogate's escape"),
    ],
)
def test_strings_are_encoded_as_the_hash_expects(value: str, expected: bytes) -> None:
    assert encode_event({"type": value}) == b'{"type":' + expected + b"}"


def test_an_event_with_a_non_utf8_path_can_be_read_back() -> None:
    line, _ = record_line(ChainState(), encoded({"type": "x", "path": "/tmp/\udcff"}))
    record = json.loads(line)
    assert record["event"] == json.loads(record["event_json"]) == {"type": "x", "path": "/tmp/\udcff"}


@pytest.mark.parametrize("value", [float("nan"), float("inf")], ids=["nan", "infinity"])
def test_a_number_json_has_no_word_for_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode_event({"type": "x", "n": value})


def test_a_record_has_its_keys_in_the_specified_order() -> None:
    line, state = record_line(ChainState(), encoded(EVENTS[0]))
    record = json.loads(line)
    assert list(record) == ["sequence", "prev_chain", "leaf_hash", "chain_hash", "event_json", "event"]
    assert record["sequence"] == 0
    assert record["prev_chain"] is None
    assert line == json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    assert json.loads(record_line(state, encoded(EVENTS[1]))[0])["prev_chain"] == CHAIN[0]


EVENT_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), EVENT_VALUES, max_size=5))
def test_every_record_is_one_line_whose_event_json_hashes_to_its_leaf(event: Event) -> None:
    line, _ = record_line(ChainState(), encoded(event))
    assert line.count(b"\n") == 1
    record = json.loads(line)
    assert leaf_hash(record["event_json"].encode()).hex() == record["leaf_hash"]
    assert json.loads(record["event_json"]) == record["event"] == event


@given(st.text(), st.text(min_size=1))
def test_a_recurring_event_is_encoded_as_any_other(target: str, path: str) -> None:
    encoder = Encoder()
    recurring = Recurring(network(mode="reverse", decision="allow", target=target, path=path))
    for time in (0, 1_234, 1_700_000_000_000):
        again = Again(recurring)
        again.unix_ms = time
        again["event"]["timestamp_unix_ms"] = time  # type: ignore[index]  # a network event's fields
        assert encoder.encoded(again) == Encoder().encoded(dict(again))


def test_an_encoding_is_not_reused_for_a_new_event_at_the_same_address() -> None:
    encoder = Encoder()
    for number in range(1_000):  # more than are kept: their places in memory are used again
        again = Again(Recurring(network(mode="reverse", decision="allow", target=f"host-{number}")))
        assert f"host-{number}".encode() in encoder.encoded(again).text


def test_a_long_text_in_a_list_is_cut() -> None:
    event: Event = {"type": "capability_decision", "asked": [{"path": "x" * 600}, "short"]}
    path, short = json.loads(encode_event(event))["asked"]
    assert short == "short"
    assert path["path"].startswith("x" * MAX_TEXT_BYTES + "... [600 bytes, sha256 ")
