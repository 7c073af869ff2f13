"""Nothing more of a body passes once a mask would reveal more of the secret."""

from __future__ import annotations

import pytest

from nono.credentials.values.tripwire import tripwire_for
from nono.proxy.exchange.filter.body_search import BodySearch, LeakError
from nono.proxy.exchange.filter.message_ends import MessageEnds, message_ends
from nono.proxy.exchange.filter.response import masked
from nono.secret import Secret

KEY = "ghp_Zk3vQ9xTb7LmW2cRf8NdYs5HjA1uPg6EoKi0"


def search(found: list[str], ends: MessageEnds | None = None) -> BodySearch:
    """Return the search of a body; `found` gets the places of the key, and "near" for its beginning."""
    tripwire = tripwire_for([Secret(KEY)])
    assert tripwire is not None
    return BodySearch(tripwire, ends, found.append, lambda: found.append("near"), 0, withholds=False)


def test_a_body_with_too_many_keys_is_over_for_good() -> None:
    body = search([])
    for piece in ((KEY + " ").encode() * 9, b"more"):
        with pytest.raises(LeakError):
            body.feed(piece, None)
    with pytest.raises(LeakError):
        body.finish()


def test_a_body_with_fewer_keys_goes_on_without_them() -> None:
    body = search([])
    passed = body.feed(b" ".join([KEY.encode()] * 8), None) + body.feed(b" and more", None) + body.finish()
    assert KEY.encode() not in passed
    assert passed.endswith(b"* and more")


def test_no_field_passes_beside_one_of_many_candidates() -> None:
    """A mask would tell which of them it is."""
    tripwire, found = tripwire_for([Secret("correct-horse-4")]), list[str]()
    assert tripwire is not None
    fields = [(b"x-1", b"correct-horse-1"), (b"x-4", b"correct-horse-4")]
    assert list(masked(fields, tripwire, found.append)) == []
    assert found == ["the fields of a response"]
    assert masked(fields[:1], tripwire, found.append) == fields[:1]


def envelope(content: bytes) -> bytes:
    return b"\0" + len(content).to_bytes(4) + content


@pytest.mark.parametrize(("length", "ends"), [(31, True), (12, False)])
def test_no_message_ends_within_a_long_beginning_of_a_key(length: int, ends: bool) -> None:
    found = list[str]()
    body = search(found, message_ends(b"application/grpc"))
    message = envelope(KEY[:length].encode())
    if ends:
        with pytest.raises(LeakError, match="ends within"):
            body.feed(message, None)
        with pytest.raises(LeakError):
            body.feed(envelope(KEY[length:].encode()), None)
    else:
        assert body.feed(message, None) == message
    assert found == (["near"] if ends else [])
