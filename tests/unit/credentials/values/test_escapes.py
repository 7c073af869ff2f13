"""What undoing escapes finds is traced to the octets that spelled it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.credentials.values.escapes import forms, is_dense
from nono.credentials.values.holding import TOKEN_OCTETS

_CHARACTERS = st.sampled_from("aZ09+/=_.~:-&;%\\#")


def _ways(character: str) -> list[bytes]:
    number = ord(character)
    ways = [f"%{number:02X}", f"%{number:02x}", f"&#{number};", f"&#x{number:x};", f"&#X{number:04X};"]
    ways += [f"\\u{number:04x}", f"\\u{number:04X}", f"\\x{number:02x}", f"\\{number:03o}"]
    return [way.encode() for way in ways]


@pytest.mark.parametrize("tokens", [True, False], ids=["tokens", "text"])
@given(st.data(), st.text(_CHARACTERS, min_size=1, max_size=12))
def test_every_mixture_is_traced_to_its_text(tokens: bool, data: st.DataObject, text: str) -> None:
    spelled = b"".join(data.draw(st.sampled_from(_ways(each))) for each in text)
    before, after = b"<" * data.draw(st.integers(0, 3)), b">"
    form = next(iter(forms(before + spelled + after, tokens=tokens)))
    assert form.text == before + text.encode() + after
    at = len(before)
    assert form.origin([(at, at + len(text))]) == [(at, at + len(spelled))]


@pytest.mark.parametrize("tokens", [True, False], ids=["tokens", "text"])
@given(st.data(), st.text(_CHARACTERS, min_size=1, max_size=8))
def test_what_is_undone_twice_is_traced_too(tokens: bool, data: st.DataObject, text: str) -> None:
    once = b"".join(data.draw(st.sampled_from(_ways(each))) for each in text)
    twice = b"".join(data.draw(st.sampled_from(_ways(chr(octet))[:3])) for octet in once)
    by_text = {form.text: form for form in forms(b"<" + twice, tokens=tokens)}
    assert by_text[b"<" + text.encode()].origin([(1, 1 + len(text))]) == [(1, 1 + len(twice))]


def test_what_is_escaped_three_times_is_undone() -> None:
    """A plus, escaped once for HTML and twice for URLs."""
    undone = [form.text for form in forms(b"%2526%252343%253B", tokens=True)]
    assert undone == [b"%26%2343%3B", b"&#43;", b"+"]


@given(_CHARACTERS)
def test_every_spelling_of_a_token_is_held_as_one_run(character: str) -> None:
    assert not any(way.strip(TOKEN_OCTETS) for way in _ways(character))


@given(st.binary(max_size=200))
def test_spans_stay_within_the_text(text: bytes) -> None:
    for form in forms(text, tokens=False):
        for end in range(len(form.text) + 1):
            ((start, stop),) = form.origin([(max(end - 3, 0), end)])
            assert 0 <= start <= stop <= len(text)


@pytest.mark.parametrize(
    ("spelled", "plain"),
    [
        (b"\\ud83d\\ude00", "\N{GRINNING FACE}".encode()),
        (b"\\u{1F600}", "\N{GRINNING FACE}".encode()),
        (b"&#128512;", "\N{GRINNING FACE}".encode()),
        (b"\\ud83d", b"\xed\xa0\xbd"),
        (b"&#9999999;", b""),
        (b"&quot;&apos;&LT;", b"\"'<"),
        (b"=C3=\r\n=A4", b"\xc3\xa4"),
        (b"k\0e\0y\0", b"key"),
    ],
)
def test_text_of_any_kind_is_undone(spelled: bytes, plain: bytes) -> None:
    assert plain in {form.text for form in forms(spelled, tokens=False)}


def test_text_without_escapes_has_no_other_form() -> None:
    assert [*forms(b'{"a": [1, "x=y"]}', tokens=True)] == []


@pytest.mark.parametrize("length", [100, 32 * 1024, 70_000, 200_000])
@pytest.mark.parametrize(
    ("unit", "dense"),
    [(b"\\", True), (b"%41", True), (b"&amp;", True), (b"=" + b"x" * 16, False), (b"\0", False)],
)
def test_a_text_is_dense_if_a_sixteenth_of_it_may_begin_escapes(
    unit: bytes, dense: bool, length: int
) -> None:
    text = (unit * length)[:length]
    assert is_dense(text, [(0, length)]) is dense
    assert not is_dense(text, [(length // 2, length // 2 + length // 20)])
