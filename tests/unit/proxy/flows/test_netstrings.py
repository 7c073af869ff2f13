"""A recording is cut into whole flows, however it arrives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.proxy.flows.netstrings import cut


@given(payloads=st.lists(st.binary(max_size=30), max_size=5), sizes=st.lists(st.integers(1, 20), min_size=1))
def test_flows_come_whole_and_in_order_whatever_arrives_together(
    payloads: list[bytes], sizes: list[int]
) -> None:
    written = [b"%d:%b}" % (len(payload), payload) for payload in payloads]
    rest, held, found = b"".join(written), bytearray(), list[bytes]()
    while rest:
        size = sizes[len(rest) % len(sizes)]
        held += rest[:size]
        rest = rest[size:]
        found += cut(held)
    assert found == written
    assert not held


@pytest.mark.parametrize("text", [b"x:abc,", b"-1:a,", b"99999999999:a", b"9" * 40, b":"])
def test_what_is_no_flow_is_dropped(text: bytes) -> None:
    held = bytearray(text)
    assert list(cut(held)) == []
    assert not held
