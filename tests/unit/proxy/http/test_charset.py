"""A response whose charset hides ASCII is known, whatever the spelling of its type."""

from __future__ import annotations

import encodings
import time

import pytest

from nono.proxy.http.charset import unsearchable_charset, without_charsets
from nono.proxy.http.message import MAX_HEAD_BYTES, MAX_LINE_BYTES
from support.running.pace import PACE


@pytest.mark.parametrize(
    ("content_type", "named"),
    [
        (b"text/plain", None),
        (b"text/plain; charset=", None),
        (b"text/plain; charset=UTF-8", None),
        (b"text/plain; charset=utf8mb4", None),  # Python does not know it
        (b"text/plain; charset=windows-1252", None),
        (b"text/plain; charset=utf-16", "utf-16"),
        (b'text/plain; CHARSET = "UTF-16LE"', "UTF-16LE"),
        (b"text/plain; charset*=utf-7''x", "utf-7"),
        (b"text/plain;charset=cp037", "cp037"),
        (b"text/plain; charset=utf-8; charset=ibm500", "ibm500"),
        (b"text/plain; charset=nobody-knows", "nobody-knows"),
        (b"text/plain; charset=base64", "base64"),
    ],
)
def test_a_charset_in_which_no_key_would_be_found_is_named(content_type: bytes, named: str | None) -> None:
    assert unsearchable_charset([b"text/html", content_type]) == named


def test_no_name_of_any_length_is_kept() -> None:
    """Python remembers each name that it did not find: 8 KB of memory for each response of an upstream."""
    long, short = b"x" * 8_000, b"unheardof"
    for name in (long, short):
        assert unsearchable_charset([b"text/plain; charset=" + name]) == name[:32].decode()
    assert (long.decode() in encodings._cache, short.decode() in encodings._cache) == (False, True)


def test_an_answer_is_asked_for_in_no_charset() -> None:
    assert without_charsets(b'text/plain;q=1 ; charset="a\\"b", */*; Charset=x') == b"text/plain;q=1, */*"
    assert without_charsets(b"text/plain; q=0.5") == b"text/plain; q=0.5"
    assert without_charsets(b"a ;charset=  ;charset=x  ;charset = y \t; q=1") == b"a \t; q=1"


@pytest.mark.parametrize("between", [b" ", b"; ", b";charset ", b" ;charset= ", b';charset="'])
def test_no_accept_of_a_client_holds_the_proxy_up(between: bytes) -> None:
    """The loop serves everybody meanwhile: a run of blanks took its square, 0.9 s for a whole head."""
    length = MAX_LINE_BYTES - 100
    accept = b"text/html" + between * (length // len(between)) + b"charset"
    began_s = time.process_time()
    for _ in range(MAX_HEAD_BYTES // length):
        without_charsets(accept)
    assert time.process_time() - began_s < 0.2 * PACE
