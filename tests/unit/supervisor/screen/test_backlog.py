"""nono.supervisor.screen.backlog and messages: what the model is told, in which order and which bounds."""

from __future__ import annotations

import pytest

from nono.sessions.wire import Size
from nono.supervisor.screen import messages
from nono.supervisor.screen.backlog import BYTES_MAX, PIECE_BYTES, Backlog
from nono.supervisor.screen.messages import OUTPUT, SIZE, SWITCH, Picture, message, parse_picture, picture

PIECE = 1 << 16
USUAL = Size(24, 80)


def told(backlog: Backlog) -> list[tuple[int, bytes]]:
    sent, found = backlog.take(), []
    while sent:
        kind, length = messages.HEAD.unpack_from(sent)
        end = messages.HEAD.size + length
        found.append((kind, sent[messages.HEAD.size : end]))
        sent = sent[end:]
    return found


def flooded() -> Backlog:
    backlog = Backlog(USUAL)
    backlog.add(b"first\n", is_alternate=False)
    for number in range(BYTES_MAX // PIECE):
        backlog.add(b"%02d" % number + b"x" * (PIECE - 10) + b"\nlast\x1b[1m", is_alternate=number > 0)
    return backlog


def test_output_is_told_in_its_order() -> None:
    backlog = Backlog(USUAL)
    backlog.add(b"one", is_alternate=False)
    backlog.add(b"two", is_alternate=True)
    assert told(backlog) == [(OUTPUT, b"one"), (OUTPUT, b"two")]


def test_what_is_short_is_joined() -> None:
    backlog = Backlog(USUAL)
    for _ in range(10 * PIECE_BYTES):
        backlog.add(b"x", is_alternate=False)
    assert [len(content) for _, content in told(backlog)] == [PIECE_BYTES] * 10


def test_a_piece_begins_with_the_size_of_its_terminal() -> None:
    backlog = Backlog(USUAL)
    backlog.add(b"one", is_alternate=False)
    backlog.resize(Size(10, 20))
    assert backlog.began == USUAL
    backlog.take()
    assert backlog.began == Size(10, 20)


def test_nothing_is_held_for_nobody() -> None:
    backlog = Backlog(USUAL)
    backlog.add(b"one", is_alternate=False)
    backlog.close()
    backlog.add(b"two", is_alternate=False)
    backlog.resize(Size(10, 20))
    assert (told(backlog), backlog.held_bytes) == ([], 0)


def test_nothing_is_told_twice() -> None:
    backlog = Backlog(USUAL)
    backlog.add(b"one", is_alternate=False)
    backlog.take()
    assert (told(backlog), backlog.held_bytes) == ([], 0)


def test_a_size_is_told_where_it_changed() -> None:
    backlog = Backlog(USUAL)
    backlog.add(b"one", is_alternate=False)
    backlog.resize(Size(10, 20))
    backlog.add(b"two", is_alternate=False)
    size = (SIZE, messages.SIDES.pack(10, 20))
    assert told(backlog) == [(OUTPUT, b"one"), size, (OUTPUT, b"two")]


def test_a_size_at_the_end_is_told() -> None:
    backlog = Backlog(USUAL)
    backlog.resize(Size(10, 20))
    backlog.resize(Size(11, 22))
    assert told(backlog) == [(SIZE, messages.SIDES.pack(11, 22))]


def test_a_flood_stays_within_the_bound() -> None:
    assert flooded().held_bytes <= BYTES_MAX


def test_behind_a_gap_the_screen_is_told() -> None:
    # The first piece, which was on the other screen, is gone, and with it its end.
    (kind, screen), (_, output), *_ = told(flooded())
    assert (kind, screen) == (SWITCH, b"\1")
    assert output == b"last\x1b[1m"


def test_a_size_within_a_gap_is_told() -> None:
    backlog = Backlog(USUAL)
    backlog.resize(Size(10, 20))
    backlog.add(b"x" * BYTES_MAX, is_alternate=False)
    backlog.add(b"\ny", is_alternate=False)
    assert told(backlog)[0] == (SIZE, messages.SIDES.pack(10, 20))


def test_a_process_that_begins_anew_is_told_of_the_gap() -> None:
    backlog = Backlog(USUAL)
    backlog.lose()
    backlog.add(b"half\nwhole", is_alternate=True)
    assert told(backlog) == [(SWITCH, b"\1"), (OUTPUT, b"whole")]


DRAWN = Picture(b"primary", b"alternate", True, b"tail")


def test_a_picture_is_read_as_it_was_written() -> None:
    assert parse_picture(picture(DRAWN)[messages.HEAD.size :]) == DRAWN


@pytest.mark.parametrize("change", [slice(0, 5), slice(0, -1)])
def test_half_a_picture_is_none(change: slice) -> None:
    assert parse_picture(picture(DRAWN)[messages.HEAD.size :][change]) is None


def test_a_picture_with_something_behind_it_is_none() -> None:
    assert parse_picture(picture(DRAWN)[messages.HEAD.size :] + b"x") is None


def test_output_of_any_length_is_told_in_messages_of_bounded_length() -> None:
    backlog = Backlog(USUAL)
    backlog.add(b"x" * (3 * messages.OUTPUT_BYTES_MAX + 1), is_alternate=False)
    assert [len(content) for _, content in told(backlog)] == [messages.OUTPUT_BYTES_MAX] * 3 + [1]
    assert message(OUTPUT, b"x") == b"\0\0\0\0\1x"
