"""Heads have each pseudo-header field once, and keep what must not be indexed out of compression tables."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from nono.proxy.http.message import Header, MessageError
from nono.proxy.http2 import heads
from nono.proxy.http2.protocol.compression import SecretField

SECRET = SecretField((b"x-secret", b"s"))
PLAIN: Header = (b"x-plain", b"p")

PSEUDO = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.test"), (b":path", b"/")]


@pytest.mark.parametrize("field", PSEUDO, ids=lambda field: field[0].decode())
def test_no_request_has_a_pseudo_header_field_twice(field: Header) -> None:
    """Otherwise a server might read the other one, which was not judged."""
    assert heads.request_head(PSEUDO, ended=True).target == b"/"
    with pytest.raises(MessageError, match="there twice"):
        heads.request_head([*PSEUDO, field], ended=True)


def test_no_response_has_two_statuses() -> None:
    assert heads.response_head([(b":status", b"200")], to_method=b"GET").status == 200
    with pytest.raises(MessageError, match="there twice"):
        heads.response_head([(b":status", b"200"), (b":status", b"200")], to_method=b"GET")


def names_kept_out(fields: Sequence[Header]) -> list[bytes]:
    return [field[0] for field in fields if isinstance(field, SecretField)]


def test_a_response_is_passed_on_with_the_same_fields_kept_out() -> None:
    for status in (b"200", b"103"):
        head = heads.response_head([(b":status", status), SECRET, PLAIN], to_method=b"GET")
        fields = heads.response_fields(head, credentialed=True)
        assert fields == [(b":status", status), SECRET, PLAIN]
        assert names_kept_out(fields) == [b"x-secret"]


def test_trailers_are_passed_on_with_the_same_fields_kept_out() -> None:
    fields = heads.trailer_fields([PLAIN, SECRET])
    assert fields == [PLAIN, SECRET]
    assert names_kept_out(fields) == [b"x-secret"]


def test_a_cookie_is_kept_out_if_one_of_its_parts_is() -> None:
    parts = [(b"cookie", b"a=1"), SecretField((b"cookie", b"b=2"))]
    head = heads.request_head([*PSEUDO, *parts], ended=True)
    assert head.values(b"cookie") == [b"a=1; b=2"]
    assert head.unindexed == {b"cookie"}
    assert not heads.request_head([*PSEUDO, (b"cookie", b"a=1")], ended=True).unindexed
