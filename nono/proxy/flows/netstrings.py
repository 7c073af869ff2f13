"""Split a recording into its flows, each a netstring followed by the letter of its type."""

from __future__ import annotations

from collections.abc import Iterator

DIGITS_MAX = 12
FLOW_BYTES_MAX = 64 << 20  # nono writes at most two bodies of a mebibyte


def cut(held: bytearray) -> Iterator[bytes]:
    """Remove complete netstrings from the front. Malformed data is dropped to its end."""
    while True:
        colon = held.find(b":", 0, DIGITS_MAX + 1)
        if colon < 0 and len(held) <= DIGITS_MAX:
            return
        digits = bytes(held[: max(colon, 0)])
        if not digits.isdigit() or int(digits) > FLOW_BYTES_MAX:
            held.clear()
            return
        end = colon + 1 + int(digits) + 1  # including the letter of its type
        if len(held) < end:
            return
        yield bytes(held[:end])
        del held[:end]
