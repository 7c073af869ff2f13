"""nono.sessions.wire: requests and frames, whole and in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.sessions import wire
from nono.sessions.wire import Frames, Request, Size, frame, parse_request, request, response, status_of


def test_a_request_is_read_as_it_was_written() -> None:
    written = request(wire.ATTACH, "k", Size(24, 80))
    assert parse_request(written) == Request(wire.ATTACH, "k", Size(24, 80))


@pytest.mark.parametrize("text", ["", "0x80", "24x", "x", "-1x80", "24x80x1", "²x80", "99999999999999999999"])
def test_a_size_that_is_none_is_unknown(text: str) -> None:
    head = f"GET /v1/attach HTTP/1.1\r\nNono-Size: {text}\r\n\r\n".encode("ascii", "replace")
    found = parse_request(head)
    assert found is not None
    assert found.size is None


def test_a_size_is_bounded() -> None:
    found = parse_request(request(wire.ATTACH, "k", Size(60000, 60000)))
    assert found is not None
    assert found.size == Size(1000, 1000)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno field\r\n\r\n",
        b"GET / HTTP/1.1\r\nAuthorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
    ],
)
def test_a_malformed_request_is_none(head: bytes) -> None:
    assert parse_request(head) is None


@pytest.mark.parametrize("status", [101, 204, 400, 401, 404, 409])
def test_a_status_is_read_as_it_was_written(status: int) -> None:
    assert status_of(response(status)) == status


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=50))), st.integers(1, 7))
def test_frames_come_whole_however_they_are_cut(frames: list[tuple[int, bytes]], size: int) -> None:
    stream = b"".join(frame(kind, content) for kind, content in frames)
    machine, found = Frames(), list[tuple[int, bytes]]()
    for start in range(0, len(stream), size):
        found += machine.feed(stream[start : start + size])
    assert joined(found) == joined(frames)


def joined(frames: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Join what stands side by side of DATA, which may come in parts."""
    found: list[tuple[int, bytes]] = []
    for kind, content in frames:
        if kind == wire.DATA and found and found[-1][0] == wire.DATA:
            found[-1] = (kind, found[-1][1] + content)
        elif content or kind != wire.DATA:
            found.append((kind, content))
    return found


def test_data_is_not_waited_for() -> None:
    machine = Frames()
    assert [*machine.feed(frame(wire.DATA, b"said")[:-1])] == [(wire.DATA, b"sai")]
    assert [*machine.feed(b"d" + frame(wire.NOTICE, b"told")[:-1])] == [(wire.DATA, b"d")]
    assert [*machine.feed(b"d")] == [(wire.NOTICE, b"told")]


def test_a_call_within_another_goes_on_where_that_is() -> None:
    machine = Frames()
    frames = machine.feed(frame(wire.ASK, b"1") + frame(wire.WITHDRAWN, b"2") + frame(wire.DATA, b"3"))
    assert next(frames) == (wire.ASK, b"1")
    assert next(machine.feed(b"")) == (wire.WITHDRAWN, b"2")
    assert [*frames] == [(wire.DATA, b"3")]


@given(st.binary(), st.binary())
def test_modes_are_read_as_they_were_written(disarm: bytes, arm: bytes) -> None:
    assert [wire.parse_modes(content) for _, content in Frames().feed(wire.modes_frame(disarm, arm))] == [
        (disarm, arm)
    ]


def test_a_frame_that_is_too_long_is_refused_at_its_head() -> None:
    with pytest.raises(ValueError, match="65537 bytes"):
        list(Frames().feed(wire.FRAME.pack(wire.DATA, 65537)))
