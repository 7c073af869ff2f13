"""nono.proxy.handshake.second_hello: whether a server asks again, and for whom it is asked then."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from nono.proxy.handshake.client_hello import MAX_HELLO_BYTES, Hello, NeedMore, NotTls
from nono.proxy.handshake.second_hello import (
    MAX_ANSWER_BYTES,
    MAX_BYTES,
    asks_again,
    cannot_follow,
    first_flight,
    parse,
)
from support.servers.http1 import Authority
from unit.proxy.handshake.test_client_hello import HELLO, hello_for, in_records

CHANGE_CIPHER_SPEC = b"\x14\x03\x03\x00\x01\x01"
EARLY_DATA = b"\x17\x03\x03\x00\x04data"
ALERT = b"\x15\x03\x03\x00\x02\x02\x28"


def answer_of(authority: Authority, curve: str | None) -> bytes:
    """Return what OpenSSL answers HELLO."""
    context = authority.server_context("api.example.com")
    if curve is not None:
        context.set_ecdh_curve(curve)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    incoming.write(HELLO)
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_side=True).do_handshake()
    return outgoing.read()


def test_a_server_that_takes_none_of_the_key_shares_asks_again(tmp_path: Path) -> None:
    authority = Authority(str(tmp_path / "ca.pem"))
    again, at_once = answer_of(authority, "secp521r1"), answer_of(authority, None)
    assert asks_again(again) == "yes"
    assert asks_again(at_once) == "no"
    assert [asks_again(again[:length]) for length in (0, 1, 5, 6, 9, 42)] == ["more"] * 6
    message = again[5 : 5 + int.from_bytes(again[3:5], "big")]
    assert asks_again(in_records(message, 1)) == "yes"


@pytest.mark.parametrize("answer", [ALERT, b"220 smtp", HELLO, b"\x16\x03\x03\x00\x02\x02\x00" + ALERT])
def test_other_answers_ask_for_nothing(answer: bytes) -> None:
    assert asks_again(answer) == "no"


def test_a_server_that_does_not_say_it_is_taken_to_ask_again() -> None:
    empty = b"\x16\x03\x03\x00\x00"
    assert asks_again(empty) == "more"
    assert asks_again(empty * MAX_ANSWER_BYTES) == "yes"


@pytest.mark.parametrize("size", [1000, 16, 1])
def test_the_first_flight_is_the_hello_in_whole_records(size: int) -> None:
    records = in_records(HELLO[5:], size)
    assert first_flight(records) == len(records)
    assert first_flight(records + CHANGE_CIPHER_SPEC + HELLO) == len(records)


def test_a_hello_in_one_record_with_another_message_is_no_flight_of_its_own() -> None:
    assert first_flight(in_records(HELLO[5:] * 2, 16000)) is None
    assert first_flight(in_records(HELLO[5:] + b"\x01", len(HELLO) - 8)) is None


@pytest.mark.parametrize("before", [b"", CHANGE_CIPHER_SPEC, CHANGE_CIPHER_SPEC + EARLY_DATA * 3])
def test_the_name_of_the_second_hello_is_read(before: bytes) -> None:
    whole = before + hello_for("b.test")
    found = parse(whole)
    assert isinstance(found, Hello)
    assert found.server_name == "b.test"
    assert all(isinstance(parse(whole[:length]), NeedMore) for length in range(len(whole)))


def test_anything_else_is_no_second_hello() -> None:
    assert isinstance(parse(ALERT), NotTls)
    assert isinstance(parse(CHANGE_CIPHER_SPEC + b"GET / HTTP/1.1"), NotTls)
    assert isinstance(parse(EARLY_DATA * (MAX_BYTES // len(EARLY_DATA) + 1)), NotTls)
    assert isinstance(parse(b"\x16\x03\x03\x40\x00" + b"\x01\xff\xff\xff" + bytes(MAX_HELLO_BYTES)), NotTls)


@pytest.mark.parametrize("before", [b"", CHANGE_CIPHER_SPEC, EARLY_DATA])
def test_only_after_what_is_no_tls_no_hello_can_follow(before: bytes) -> None:
    assert cannot_follow(before + b"\r\n\r\n")
    assert not any(map(cannot_follow, (before, before + ALERT, before + HELLO, before + ALERT + b"\r\n")))
