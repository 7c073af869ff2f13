"""nono.sessions.detach_key: the keys that detach, in every spelling of a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.sessions.detach_key import DetachKeys

KEYS = b"\x1dd"


def typed(*pieces: bytes, keys: bytes = KEYS) -> tuple[bytes, bool]:
    """Return all that is passed on, and whether the last piece detached."""
    machine, passed, detached = DetachKeys(keys), b"", False
    for piece in pieces:
        answer = machine.feed(piece)
        passed += answer.passed
        detached = answer.detached
    return passed, detached


@pytest.mark.parametrize(
    ("pieces", "passed", "detached"),
    [
        ([b"\x1dd"], b"", True),
        ([b"\x1d", b"d"], b"", True),
        ([b"ls\r\x1ddmore"], b"ls\r", True),
        ([b"\x1d", b"x"], b"\x1dx", False),
        ([b"\x1d\x1dd"], b"\x1d", True),
        ([b"\x1d"], b"", False),
        ([b"d"], b"d", False),
        ([b"\x1b"], b"\x1b", False),
        ([b"\x1b[A"], b"\x1b[A", False),
        ([b"\x1b[93;5u\x1b[100u"], b"", True),
        ([b"\x1b[93;5u", b"\x1b[93;5:3u", b"\x1b[100;1:1u"], b"", True),
        ([b"\x1b[93;69ud"], b"", True),
        ([b"\x1b[27;5;93~d"], b"", True),
        ([b"\x1b[93;6ud"], b"\x1b[93;6ud", False),
        ([b"\x1b[93;5u\x1b[120u"], b"\x1b[93;5u\x1b[120u", False),
        ([b"\x1b[93;5:3u"], b"\x1b[93;5:3u", False),
        (["ä]".encode()], "ä]".encode(), False),
    ],
)
def test_keys_detach_or_pass(pieces: list[bytes], passed: bytes, detached: bool) -> None:
    assert typed(*pieces) == (passed, detached)


def test_other_keys_can_be_chosen() -> None:
    assert typed(b"\x01\x01", b"\x1b[97;5u\x1b[113u", keys=b"\x01q") == (b"\x01\x01", True)


@given(st.lists(st.binary(max_size=20)))
def test_nothing_is_lost_or_changed(pieces: list[bytes]) -> None:
    without = [piece.replace(b"\x1d", b".").replace(b"\x1b", b".") for piece in pieces]
    assert typed(*without) == (b"".join(without), False)
