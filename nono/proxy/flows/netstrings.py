"""Cuts a recording into its flows, each a netstring with the letter of its type behind it."""

from __future__ import annotations

from collections.abc import Iterator

DIGITS_MAX = 12
FLOW_BYTES_MAX = 64 << 20  # nono writes two bodies of a mebibyte at most


def cut(held: bytearray) -> Iterator[bytes]:
    """Take the netstrings that are whole by now off the front. What is malformed is dropped to its end."""
    while True:
        colon = held.find(b":", 0, DIGITS_MAX + 1)
        if colon < 0 and len(held) <= DIGITS_MAX:
            return
        digits = bytes(held[: max(colon, 0)])
        if not digits.isdigit() or int(digits) > FLOW_BYTES_MAX:
            held.clear()
            return
        end = colon + 1 + int(digits) + 1  # with the letter of its type
        if len(held) < end:
            return
        yield bytes(held[:end])
        del held[:end]
