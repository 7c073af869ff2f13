"""A stream masks what a search of the whole text finds, whatever the cuts and the spelling."""

from __future__ import annotations

import base64
import os
import re
import string
from collections.abc import Callable, Sequence
from itertools import pairwise
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nono.credentials.values import tripwire as module
from nono.credentials.values.escapes import IS_LEAD, Span, is_dense
from nono.credentials.values.holding import Mode
from nono.credentials.values.leak_mask import masked
from nono.credentials.values.suspects import around_escapes
from nono.credentials.values.tripwire import Tripwire, tripwire_for
from nono.secret import Secret

LONG = os.environ.get("NONO_TEST_LONG") == "1"
ALPHABET = string.ascii_letters + string.digits

SPELLED: list[Callable[[str], bytes]] = [
    str.encode,
    lambda text: base64.b64encode(text.encode()),
    lambda text: base64.b64encode(b"x" + text.encode()),
    lambda text: base64.urlsafe_b64encode(b"xy" + text.encode()),
    lambda text: text.encode().hex().encode(),
    lambda text: quote(text, safe="").encode(),
    lambda text: "".join(f"%{octet:02x}" for octet in text.encode()).encode(),
    lambda text: "".join(f"%25{octet:02x}" for octet in text.encode()).encode(),
    lambda text: "".join(f"&#{ord(each)};" for each in text).encode(),
    lambda text: "".join(f"\\u{ord(each):04x}" for each in text).encode(),
    lambda text: "".join(f"\\\\x{ord(each):02x}" for each in text).encode(),
    lambda text: "".join(f"={ord(each):02X}" for each in text).encode(),
    lambda text: text.encode("utf-16-le"),
    lambda text: text.encode("utf-16-be"),
    lambda text: quote(text.encode("utf-16-le"), safe="").encode(),
    lambda text: "".join(f"\\u0000{each}" for each in text).encode(),
    lambda text: text.encode("utf-32-le"),
    lambda text: "=\r\n".join(text).encode(),
    lambda text: "=\r\n".join(text).encode("utf-16-le"),
    lambda text: quote(text, safe="").encode("utf-16-le"),
    lambda text: b"\0".join((text[:5].encode(), text[5:6].encode(), text[6:].encode())),
]
_tokens = st.one_of(
    st.text(ALPHABET + "+/=_-.", min_size=20, max_size=40),
    st.text("0123456789abcdef", min_size=20, max_size=100),
)
_guessable = st.text(ALPHABET + "+/=_-.", min_size=8, max_size=14)
_passwords = st.text(ALPHABET + "+/=_-. \"'&<!%\\", min_size=8, max_size=30).map(
    lambda text: f'{text.strip()}..."'
)
_secrets = st.one_of(_tokens, _guessable, _passwords)
_fillers = st.one_of(
    st.binary(max_size=30),
    st.text('ab/+=&#;%\\ \n\r"{}', max_size=30).map(str.encode),
    st.sampled_from([b"\n\n", b"data: ", b"=\r\n", b"=", b"=\r", b"=\0\r\0\n\0", b"*" * 32, b"%41 ", b"\\n"]),
    st.sampled_from([b"=" + b"\0" * 40 + b"\n", b"=\r" + b"\0" * 20 + b"\n", b"\0", b"\x01\0"]),
    st.sampled_from([b"%2", b"%4", b"&#", b"\\u00", b"\\x4", b"\\" * 7, b"\xe0\xe1\xe1\xe0\xe1\xe0\xe0\xe1"]),
    st.sampled_from([b"x" * 5000, b"ab cd " * 900, b"%41" * 1500, b"\\" * 4500]),
)


@st.composite
def _bodies(draw: st.DrawFn, secret: str) -> bytes:
    """Draw text with the secret, or a part of it, in any spelling."""
    body: bytes = draw(_fillers)
    for _ in range(draw(st.integers(1, 4))):
        spelled = draw(st.sampled_from(SPELLED))(secret)
        start = draw(st.integers(0, 4))
        end = draw(st.one_of(st.just(len(spelled)), st.integers(start, len(spelled))))
        body += spelled[start:end] + draw(_fillers)
    return body


def _cut(body: bytes, cuts: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    return [body[start:end] for start, end in pairwise(edges) if start < end]


def _tripwire(secret: str) -> Tripwire:
    tripwire = tripwire_for([Secret(secret)])
    assert tripwire is not None
    return tripwire


def _streamed(tripwire: Tripwire, pieces: Sequence[bytes]) -> tuple[bytes, int, bool]:
    stream = tripwire.stream()
    passed = b"".join([*(stream.feed(piece) for piece in pieces), stream.finish()])
    return passed, stream.found, stream.near


def _longest_run(body: bytes, mode: Mode) -> int:
    flat = re.sub(rb"=\0*(?:\r\0*\n?|\n)", b"=", body)  # a soft line break is within a run
    return max(map(len, flat.translate(mode.is_of_run).split(b"\0")))


def _searched(tripwire: Tripwire, body: bytes) -> tuple[bytes, int, bool]:
    spans, near = tripwire.find(body)
    return masked(body, spans), len(spans), bool(near)


@pytest.mark.timeout(1800 if LONG else 120)
@settings(max_examples=20_000 if LONG else 200)
@given(st.data(), _secrets, st.lists(st.integers(0, 20_000), max_size=8))
def test_a_stream_masks_what_a_search_of_the_whole_finds(
    data: st.DataObject, secret: str, cuts: list[int]
) -> None:
    body = data.draw(_bodies(secret))
    tripwire = _tripwire(secret)
    passed, *counts = _streamed(tripwire, _cut(body, cuts))
    expected, *expected_counts = _searched(tripwire, body)
    if (passed, counts) != (expected, expected_counts):
        # In an endless run a cut decides which backslashes pair, so how many before the secret are masked.
        assert _longest_run(body, tripwire.mode) > 2 * tripwire.mode.bound_bytes
        left = tripwire.find(passed).spans
        if len(secret) >= 12:
            assert counts == expected_counts
            assert not left
        else:
            # And whether one as short as that, without its first character, is found behind them.
            assert all(end - start < len(secret) for start, end in left)


@settings(max_examples=1000 if LONG else 30)
@given(st.data(), _secrets)
def test_a_stream_of_single_octets_masks_what_a_search_of_the_whole_finds(
    data: st.DataObject, secret: str
) -> None:
    body = data.draw(_bodies(secret).filter(lambda body: len(body) < 2000))
    tripwire = _tripwire(secret)
    assert _streamed(tripwire, [body[at : at + 1] for at in range(len(body))]) == _searched(tripwire, body)


KEY = "4f1c" + "Zk3vQ9xTb7LmW2cRf8NdYs5HjA1uPg6EoKi0"


@pytest.mark.parametrize("before", [b"", b"-", b"--", b"---"])
@pytest.mark.parametrize(
    "body",
    [
        b"\x01\0" + KEY[1:].encode("utf-16-le"),
        b"\x01\0" + KEY[2:].encode("utf-16-le") + b" %41",
        KEY[:9].encode() + b"\0" + KEY[9:20].encode() + b"\0" + KEY[20:].encode(),
        "=\r\n".join(KEY).encode("utf-16-le"),
        b"%41" + KEY[8:].encode(),
        b"%" + KEY[1:].encode(),
    ],
    ids=["UTF-16 but its first", "and an escape", "two NULs", "soft breaks", "but its first 8", "%"],
)
def test_what_is_found_does_not_depend_on_the_place(before: bytes, body: bytes) -> None:
    tripwire = _tripwire(KEY)
    far = b"x. " * 3000
    short = bool(tripwire.find(before + body + b" ").spans)
    assert bool(tripwire.find(far + before + body + b" " + far).spans) is short
    assert bool(tripwire.find(before + body).spans) is short
    for cut in range(len(body)):
        assert bool(_streamed(tripwire, [before + body[:cut], body[cut:] + b" "])[1]) is short


@pytest.mark.parametrize("escape", [b"%30", b"\\x30", b"&#48;", b"=30"])
@pytest.mark.parametrize("last", "=%\\&")
def test_an_escape_elsewhere_ends_no_escape_of_the_last_octet(last: str, escape: bytes) -> None:
    secret = f"0000000{last}"
    spelled = b"=\r\n".join(bytes((octet,)) for octet in secret.encode())
    body = spelled + b"\x01" + escape
    tripwire = _tripwire(secret)
    assert tripwire.find(spelled).spans
    assert _streamed(tripwire, [body]) == _searched(tripwire, body)
    assert tripwire.find(body).spans


_far = st.sampled_from(
    [b"", b"x. " * 2000, b"\xe1\x02ab" * 1500, b"\0" * 6000, b"\0\0\x01a" * 1500, b"ab" * 3000]
)


@settings(max_examples=2000 if LONG else 100)
@given(st.data(), _secrets, _far, _far, st.lists(st.integers(0, 20_000), max_size=6))
def test_a_search_of_the_long_runs_finds_what_one_of_everything_finds(
    data: st.DataObject, secret: str, before: bytes, after: bytes, cuts: list[int]
) -> None:
    body = before + data.draw(_bodies(secret)) + after
    tripwire = _tripwire(secret)
    everything = tripwire.find(body, [(0, len(body))])
    assert [*map(list, tripwire.find(body))] == [*map(list, everything)]
    streams = tripwire.stream(), tripwire.stream()
    for piece in _cut(body, cuts):
        assert streams[0].feed(piece, tripwire.long_runs(piece)) == streams[1].feed(piece)
    assert streams[0].finish() == streams[1].finish()
    assert (streams[0].found, streams[0].near) == (streams[1].found, streams[1].near)


@pytest.mark.parametrize("secret", [KEY, "hT7kQ/xZ"])
@pytest.mark.parametrize("spelled", [str.encode, lambda text: text.replace("/", "\\/")[2:].encode()])
def test_a_run_no_longer_than_the_secret_is_found_at_any_place(
    secret: str, spelled: Callable[[str], bytes]
) -> None:
    tripwire = _tripwire(secret)
    run = spelled(secret)
    found = bool(tripwire.find(run).spans)
    assert found is (spelled is str.encode or secret != KEY)  # the rest of a possible password counts
    for before in range(5000, 5009):
        body = b"\xe1" * before + run + b"\xe1" * 5000
        assert bool(tripwire.find(body).spans) is found
        stream = tripwire.stream()
        stream.feed(b"held")
        stream.feed(body, tripwire.long_runs(body))
        assert bool(stream.found) is found


@pytest.mark.parametrize("after", [b" ", b"-" + b"x" * 400 + b" "], ids=["a short run", "a long run"])
@pytest.mark.parametrize("far", [b"\xe1\x02. " * 3000, b"\0" * 12_000], ids=["binary", "NULs"])
@pytest.mark.parametrize("cut", range(1, len(KEY)))
def test_a_key_that_two_pieces_share_is_masked_if_each_knows_its_runs(
    cut: int, far: bytes, after: bytes
) -> None:
    tripwire = _tripwire(KEY)
    other = KEY[:20] + ("x" if KEY[20] != "x" else "y") + KEY[21:]
    for secret, found in ((KEY, True), (other, False)):
        pieces = [far + b" " + secret[:cut].encode(), secret[cut:].encode() + after + far]
        stream = tripwire.stream()
        passed = b"".join([stream.feed(each, tripwire.long_runs(each)) for each in pieces])
        passed += stream.finish()
        assert stream.found == found
        assert (secret.encode() in passed) is not found


@pytest.mark.parametrize("secret", [KEY, "hT7kQ/xZ"])
@pytest.mark.parametrize("escape", ["", "%"], ids=["plain", "escaped"])
def test_escapes_where_no_secret_has_room_are_not_undone_to_locate_one(
    monkeypatch: pytest.MonkeyPatch, secret: str, escape: str
) -> None:
    """To undo them takes long, and a body that is not dense where it is searched does not wait for turns."""
    looked_at = list[bytes]()

    def noted(text: bytes, reach: int, octets: bytes, *, tokens: bool, is_of_run: bytes | None) -> list[Span]:
        looked_at.append(text)
        return around_escapes(text, reach, octets, tokens=tokens, is_of_run=is_of_run)

    monkeypatch.setattr(module, "around_escapes", noted)
    spelled = (f"%{ord(secret[0]):02x}" if escape else secret[0]) + secret[1:]
    far = b" " * 5000 + b"%41\x01" * 8000
    body = far + spelled.encode() + b" " + far
    tripwire = _tripwire(secret)
    runs = tripwire.long_runs(body)
    assert is_dense(body, [(0, len(body))])
    assert not is_dense(body, runs)
    assert tripwire.find(body, runs).spans == [(len(far), len(far) + len(spelled))]
    assert looked_at
    assert max(sum(each.translate(IS_LEAD)) for each in looked_at) == len(escape)


@pytest.mark.parametrize("after", [b"(", b"\\(", b"\x01", b" "])
def test_a_backslash_that_a_secret_ends_with_is_no_escape_of_what_follows_its_run(after: bytes) -> None:
    secret = KEY[:24] + "\\"
    tripwire = _tripwire(secret)
    body = b"\xe1\x02. " * 3000 + b"%34" + secret[1:].encode() + after + b"\xe1\x02. " * 3000
    assert tripwire.find(body) == tripwire.find(body, [(0, len(body))])
