"""What a client observes of an answer does not depend on a secret that the answer does not hold as a whole.

The attack: text of the client's choice comes back from the upstream (a paste, a comment, an object), and the
client compares how the answers to right and wrong guesses are cut, framed and timed.
"""

from __future__ import annotations

import base64
import gzip
import os
import random
import string
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from urllib.parse import quote

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nono.credentials.static import StaticCredential
from nono.credentials.values.injection import injection_of
from nono.credentials.values.tripwire import tripwire_for
from nono.policy.schema.route_rules import Inject
from nono.proxy.http.message import Header
from nono.secret import Secret
from support.proxy.observed import BOTH, Observe, Observed, over_http1, over_http2
from support.proxy.thread import Client
from support.proxy.transports import KEY as KEY_FIELD
from support.proxy.transports import WITH_CREDENTIAL, Transport, five_transports
from support.servers.http1 import Received

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

KEY = "ghp_Zk3vQ9xTb7LmW2cRf8NdYs5HjA1uPg6EoKi0"
ALPHABET = string.ascii_letters + string.digits
LONG = os.environ.get("NONO_TEST_LONG") == "1"
ROOMS = (2, 5, 6, 7, 8, 9, 10, 11, 14, 16, 19, 24, 36, 39, 48)  # near the lengths of secrets below
QUESTIONS = 100_000 if LONG else 3_000  # for each way in which an answer comes back

Way = Callable[[str, bytes], Observed]

CHUNKED = [(b"Transfer-Encoding", b"chunked")]
GZIPPED = [(b"Content-Encoding", b"gzip"), *CHUNKED]
EVENTS = [(b"Content-Type", b"text/event-stream"), *CHUNKED]
_STEP = 256 * 1024  # of the decoder
_BEFORE = b'{"text": "' + b"x" * (_STEP - 200)
_packed = zlib.compressobj(1, wbits=31)
_PACKED_BEFORE = _packed.compress(_BEFORE)


def _length(body: bytes) -> list[Header]:
    return [(b"Content-Length", b"%d" % len(body))]


def _json(key: str, guess: bytes) -> Observed:
    packed = _packed.copy()
    rest = b"x" * (_STEP - len(_BEFORE) - len(guess)) + guess + b'!123456789 and more"}'
    return over_http1(key, GZIPPED, [_PACKED_BEFORE + packed.compress(rest) + packed.flush()])


def _fast_gzip(body: bytes) -> bytes:
    return gzip.compress(body, 1, mtime=0)


def _wide(key: str, guess: bytes) -> Observed:
    return over_http1(key, CHUNKED, [guess.decode().encode("utf-16-le")[:-1], b"\0 more"])


def _wide_in_json(key: str, guess: bytes) -> Observed:
    text = "".join(f"{each}\\u0000" for each in guess.decode())
    return over_http1(key, CHUNKED, [b'{"a": "' + text.encode(), b'"}'])


def _wide_in_short_lines(key: str, guess: bytes) -> Observed:
    return over_http2(key, CHUNKED, ["=\r\n".join(guess.decode()).encode("utf-16-le"), b".\0"])


WAYS: dict[str, Way] = {
    "chunked": lambda key, guess: over_http1(key, CHUNKED, [b"a paste: " + guess]),
    "gzip": lambda key, guess: over_http1(key, GZIPPED, [_fast_gzip(b"a paste: " + guess)]),
    "JSON at the step of the decoder": _json,
    "SSE": lambda key, guess: over_http1(key, EVENTS, [b"data: " + guess, b" and more\n\n"]),
    "HTTP/2": lambda key, guess: over_http2(key, _length(guess + b"."), [guess, b"."]),
    "UTF-16": _wide,
    "UTF-16 in JSON": _wide_in_json,
    "UTF-16 in short lines": _wide_in_short_lines,
    "in one piece": lambda key, guess: over_http1(key, _length(b"a paste: " + guess), [b"a paste: " + guess]),
    "timed": lambda key, guess: over_http1(key, _length(guess + b"."), [guess, b"."]),
}


def _shape(observed: Observed) -> tuple[object, ...]:
    """Return the cuts alone, since the bytes of two guesses differ anyway."""
    return tuple(
        len(each)
        if isinstance(each, bytes)
        else (len(each[0]), *each[1:])
        if isinstance(each, tuple) and isinstance(each[0], bytes)
        else each
        for each in observed
    )


def _told(way: Way, questions: int) -> str:
    """Ask for the key character by character; return the part of it that the answers have told.

    A round asks for each next character behind what is known, and looks for the answer that differs from all
    others. Where none does, the attacker is given the right one for nothing, and goes on from there.
    """
    told, draw = "", random.Random(7)
    known, asked = "", 0
    while asked < questions:
        if len(known) >= len(KEY) - 1:
            known = ""
        before = "".join(draw.choices(" ,x", k=draw.randrange(40))) + " "
        shapes = {each: _shape(way(KEY, (before + known + each).encode())) for each in ALPHABET}
        asked += len(ALPHABET)
        counts = Counter(shapes.values())
        odd = [each for each in ALPHABET if counts[shapes[each]] == 1] if len(counts) > 1 else []
        right = KEY[len(known)]
        told += right if right in odd else ""
        known += right
    return told


@pytest.mark.timeout(1200 if LONG else 60)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_no_number_of_questions_tells_a_character_of_the_key(way: Way) -> None:
    assert _told(way, QUESTIONS if LONG or way is not _json else QUESTIONS // 10) == ""


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_the_whole_key_is_still_noticed(way: Way) -> None:
    observed = way(KEY, b"the key is " + KEY.encode())
    assert "leak" in observed
    assert KEY.encode() not in b"".join(_bytes(observed))


@pytest.mark.parametrize("observe", BOTH.values(), ids=BOTH)
def test_a_body_that_came_in_one_piece_goes_on_in_one_piece(observe: Observe) -> None:
    body = b"it ends within a word"
    assert [*_bytes(observe(KEY, _length(body), [body]))][-1] == body


@pytest.mark.parametrize("observe", BOTH.values(), ids=BOTH)
def test_what_follows_a_body_of_that_length_is_not_passed_on(observe: Observe) -> None:
    body = b"it ends with the key: " + KEY[:30].encode()
    observed = observe(KEY, _length(body), [body, KEY[30:].encode()])
    assert KEY[30:].encode() not in b"".join(_bytes(observed))


@pytest.mark.parametrize("kind", [b"application/grpc", b"application/vnd.amazon.eventstream"])
@pytest.mark.parametrize("whole", [True, False], ids=["in one piece", "cut there"])
@pytest.mark.parametrize("observe", BOTH.values(), ids=BOTH)
def test_a_message_that_seems_to_end_within_the_key_tells_at_most_three_quarters_of_it(
    observe: Observe, whole: bool, kind: bytes
) -> None:
    told = 0
    for length in range(1, len(KEY)):
        prefix = b"\0\0\0\0%c" % length if kind.endswith(b"grpc") else b"\0\0\0%c" % (length + 4)
        cut = len(prefix) + length
        body = prefix + KEY.encode() + b" quoted"
        observed = observe(
            KEY, [(b"Content-Type", kind), *CHUNKED], [body] if whole else [body[:cut], body[cut:]]
        )
        seen = b"".join(_bytes(observed))
        told = max([told, *(n for n in range(4, len(KEY) + 1) if KEY[:n].encode() in seen)])
        assert b" quoted" not in seen
    assert told <= (0 if whole else 4 + (len(KEY) - 4) * 3 // 4)


def _bytes(observed: Observed) -> Iterator[bytes]:
    for each in observed:
        if isinstance(each, bytes):
            yield each
        elif isinstance(each, tuple) and isinstance(each[0], bytes):
            yield each[0]


# -- the law

CODINGS: dict[str, Callable[[bytes], bytes] | None] = {
    "identity": None,
    "gzip": _fast_gzip,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
}
SPELLED: list[Callable[[str], bytes]] = [
    str.encode,
    lambda text: base64.b64encode(text.encode()),
    lambda text: base64.b64encode(b"x" + text.encode()),
    lambda text: base64.urlsafe_b64encode(b"xy" + text.encode()),
    lambda text: text.encode().hex().encode(),
    lambda text: quote(text, safe="").encode(),
    lambda text: "".join(f"%{octet:02x}" for octet in text.encode()).encode(),
    lambda text: "".join(f"&#{ord(each)};" for each in text).encode(),
    lambda text: "".join(f"\\u{ord(each):04x}" for each in text).encode(),
    lambda text: text.encode("utf-16-le"),
    lambda text: "=\r\n".join(text).encode(),
]
_tokens = st.text(ALPHABET + "+/=_-.", min_size=20, max_size=40)
_passwords = st.text(ALPHABET + "+/=_-. \"'&<!", min_size=20, max_size=40).map(
    lambda text: f'{text.strip()}..."'
)
_pairs = st.one_of(st.tuples(_tokens, _tokens), st.tuples(_passwords, _passwords)).filter(
    lambda pair: pair[0] != pair[1] and all(len(each) >= 20 for each in pair)
)
_fillers = st.one_of(
    st.binary(max_size=30),
    st.text('ab/+=&#;%\\ \n\r"{}', max_size=30).map(str.encode),
    st.sampled_from([b"\n\n", b"data: ", b"=\r\n", b"=", b"=\r", b"%2", b"&#", b"\\u00", b"\0", b"*" * 32]),
)


@st.composite
def _bodies(draw: st.DrawFn, secrets: tuple[str, str]) -> bytes:
    """Draw text with beginnings, ends and middles of either secret in any spelling, but nothing whole."""
    body = draw(_fillers)
    for _ in range(draw(st.integers(1, 4))):
        spelled = draw(st.sampled_from(SPELLED))(draw(st.sampled_from(secrets)))
        start = draw(st.integers(0, 3))
        body += spelled[start : draw(st.integers(start, len(spelled)))] + draw(_fillers)
    return body


def _cut(body: bytes, cuts: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    return [body[start:end] for start, end in pairwise(edges) if start < end]


def _holds(secret: str, body: bytes) -> bool:
    tripwire = tripwire_for([Secret(secret)])
    assert tripwire is not None
    return tripwire.mask_text(body) is not None


@settings(max_examples=3000 if LONG else 150)
@given(st.data(), _pairs, st.sampled_from(sorted(CODINGS)), st.lists(st.integers(0, 2000), max_size=6))
@pytest.mark.parametrize("observe", BOTH.values(), ids=BOTH)
def test_two_secrets_and_one_body_are_one_sequence_of_writes(
    observe: Observe, data: st.DataObject, secrets: tuple[str, str], coding: str, cuts: list[int]
) -> None:
    body = data.draw(_bodies(secrets))
    if any(_holds(secret, body) for secret in secrets):
        return
    coded = CODINGS[coding]
    fields: list[Header] = [(b"Content-Encoding", coding.encode())] if coded is not None else []
    sent = body if coded is None else coded(body)
    framing = data.draw(st.sampled_from([_length(sent), CHUNKED, []]))
    pieces = _cut(sent, cuts)
    first, second = (observe(secret, [*fields, *framing], pieces) for secret in secrets)
    assert first == second


@pytest.mark.parametrize("octets", range(2, 60) if LONG else ROOMS)
@pytest.mark.parametrize("observe", BOTH.values(), ids=BOTH)
def test_the_steps_of_a_long_answer_do_not_tell_how_long_a_secret_is(observe: Observe, octets: int) -> None:
    """It is passed on in smaller steps if much of it is escapes in runs that have room for a secret."""
    body = b" " * 5000 + (b"%25" * 20)[:octets].ljust(octets + 1) * (60_000 // (octets + 1)) + b" "
    passwords = [("hT7kQ-xZ" + KEY)[:length] for length in (8, 9, 11, 14, 19)]
    keys = [KEY[4:] + KEY[4:][:more] for more in range(4)]
    for secrets in (passwords, keys):
        seen = [observe(secret, CHUNKED, [body]) for secret in secrets]
        assert seen.count(seen[0]) == len(seen)


@settings(max_examples=1000 if LONG else 20)
@given(_pairs, st.sampled_from(SPELLED), st.integers(0, 7), st.booleans())
@pytest.mark.parametrize("observe", BOTH.values(), ids=BOTH)
def test_each_beginning_of_a_secret_is_cut_like_any_other_text(
    observe: Observe, secrets: tuple[str, str], spelled: Callable[[str], bytes], offset: int, first: bool
) -> None:
    whole = spelled(secrets[0 if first else 1])
    for end in range(1, len(whole), 1 + len(whole) // 40):
        body = b"-" * offset + b" " + whole[:end]
        if any(_holds(secret, body + b".. more") for secret in secrets):
            return
        seen = [observe(secret, CHUNKED, [body, b"..", b" more"]) for secret in secrets]
        assert seen[0] == seen[1]


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_on_each_path_an_answer_is_the_same_for_two_keys(transport: Transport) -> None:
    other = "ghp_" + KEY[4:][::-1]
    pieces = [f"paste: {key[:n]}".encode() for key in (KEY, other) for n in (1, 8, 19, 39)]

    def handler(request: Received) -> None:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        # In one piece: what arrives together is passed on together.
        request.connection.send(head + chunks + b"0\r\n\r\n")

    seen: list[object] = []
    for key in (KEY, other):
        credential = StaticCredential(injection_of(Inject(), Secret(key)), tripwire_for([Secret(key)]))
        with five_transports(handler, credential=credential) as stage:
            if transport is Transport.HTTP2:
                seen.append(stage.ask(transport))
            else:
                seen.append(stage.raw(transport, stage.head(transport) + b"connection: close\r\n\r\n"))
            assert stage.secure.requests[0].value(b"authorization") == f"Bearer {key}".encode()
    assert seen[0] == seen[1]


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_on_each_path_a_list_of_candidates_names_none(transport: Transport) -> None:
    candidates = [f"correct-horse-{n}" for n in range(10)]

    def handler(request: Received) -> None:
        request.connection.respond(body="\n".join(candidates).encode())

    secret = Secret(candidates[4])
    credential = StaticCredential(injection_of(Inject(), secret), tripwire_for([secret]))
    with five_transports(handler, credential=credential, options={"alarm": lambda _: None}) as stage:
        if transport is Transport.HTTP2:
            with stage.http2() as client:
                answer = client.answer(client.request("/x", fields=[KEY_FIELD]))
            assert not answer.ended
            assert answer.body == b""
        else:
            request = stage.head(transport) + b"connection: close\r\n\r\n"
            with stage.client(transport) as connection:
                connection.send(request)
                back = _until_the_end(connection)
            assert b"horse" not in back
            assert b"*" not in back
        assert [event["type"] for event in stage.proxy.recording.events].count("credential_frozen") == 1
        assert stage.ask(transport).status == 403


def _until_the_end(client: Client) -> bytes:
    back = b""
    with suppress(ConnectionError):
        while piece := client.transport.recv(65536):
            back += piece
    return back
