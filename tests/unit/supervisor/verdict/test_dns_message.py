"""What is read from a DNS query, and what its answer says."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.supervisor.verdict.dns_message import AAAA, NAME_ERROR, NO_ERROR, REFUSED, A, answer, parse_query


def query(*labels: bytes, kind: int = A, flags: int = 0x0100, questions: int = 1, of_class: int = 1) -> bytes:
    name = b"".join(bytes([len(each)]) + each for each in labels) + b"\0"
    return struct.pack("!6H", 0x1234, flags, questions, 0, 0, 1) + name + struct.pack("!2H", kind, of_class)


# OPT (RFC 6891): most resolvers add one.
EDNS = b"\0" + struct.pack("!2HIH", 41, 1232, 0, 0)


@pytest.mark.parametrize("rest", [b"", EDNS])
def test_a_question_is_answered_as_it_was_asked(rest: bytes) -> None:
    message = query(b"API", b"example", b"com")
    asked = parse_query(message + rest)
    assert asked is not None
    assert (asked.name, asked.kind) == ("API.example.com", A)
    said = answer(asked, NO_ERROR, bytes((198, 18, 0, 1)))
    number, flags, *counts = struct.unpack_from("!6H", said)
    assert (number, flags, counts) == (0x1234, 0x8180, [1, 1, 0, 0])
    assert said[12 : len(message)] == message[12:]
    assert said[len(message) :] == struct.pack("!3HIH", 0xC00C, A, 1, 60, 4) + bytes((198, 18, 0, 1))


def test_a_name_that_does_not_exist_has_no_record() -> None:
    asked = parse_query(query(b"example", b"com", kind=28, flags=0))
    assert asked is not None
    assert asked.kind == AAAA
    for code, flags in ((NAME_ERROR, 0x8083), (REFUSED, 0x8085)):
        said = answer(asked, code)
        assert struct.unpack_from("!6H", said) == (0x1234, flags, 1, 0, 0, 0)
        assert len(said) == len(query(b"example", b"com"))


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"", id="empty"),
        pytest.param(query(b"a")[:11], id="part of a header"),
        pytest.param(query(b"a")[:-1], id="part of a question"),
        pytest.param(query(b"a")[:14], id="a name without its end"),
        pytest.param(query(b"a")[:12], id="a header alone"),
        pytest.param(query(b"a", flags=0x8100), id="a response"),
        pytest.param(query(b"a", flags=0x2800), id="an update"),
        pytest.param(query(b"a", questions=2), id="two questions"),
        pytest.param(query(b"a", questions=0), id="none"),
        pytest.param(query(b"a", of_class=3), id="of CHAOS"),
        pytest.param(query(b"a")[:12] + b"\xc0\x0c" + b"\0" * 6, id="a pointer to itself"),
        pytest.param(query(b"a" * 64), id="a label of 64 bytes"),
        pytest.param(query(*[b"a" * 63] * 3, b"a" * 62), id="a name of 256 bytes"),
    ],
)
def test_what_is_no_plain_query_gets_no_answer(message: bytes) -> None:
    assert parse_query(message) is None


def test_a_name_of_255_bytes_is_a_name() -> None:
    assert parse_query(query(*[b"a" * 63] * 3, b"a" * 61)) is not None


@pytest.mark.parametrize("label", [b"\xff", b"a.b"])
def test_a_label_that_no_host_has_makes_no_name(label: bytes) -> None:
    asked = parse_query(query(label, b"com"))
    assert asked is not None
    assert asked.name is None


@given(st.binary(max_size=300))
def test_any_message_is_read_without_an_error(message: bytes) -> None:
    asked = parse_query(message)
    if asked is not None:
        assert message[12:].startswith(asked.question)
