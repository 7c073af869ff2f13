"""Word numbers: sizes, counts, money and times."""

from __future__ import annotations

from nono.clock import local_time

_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_CENT = 0.01
_COUNTS = ((10**9, "G"), (10**6, "M"), (10**3, "k"))


def size(count: int) -> str:
    """Return a number of bytes, such as 950 B, 9.0 KiB or 1.2 MiB."""
    for unit, name in _SIZES:
        if abs(count) >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} B"


def short(count: int) -> str:
    """Return a number with about three digits, such as 950, 90 k or 1.2 M."""
    for unit, name in _COUNTS:
        if count >= unit:
            return f"{count / unit:.0f} {name}" if count >= 10 * unit else f"{count / unit:.1f} {name}"
    return str(count)


def money(usd: float | None) -> str:
    if usd is None:
        return "price unknown"
    return f"${usd:,.2f}" if usd == 0 or usd >= _CENT / 2 else "under $0.01"


def about(usd: float | None) -> str:
    """Word an estimate."""
    text = money(usd)
    return f"about {text}" if text.startswith("$") else text


def several(count: int, one: str, many: str | None = None) -> str:
    """Return a number followed by its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def clock(at_ms: int | None) -> str:
    """Return the local time of day; empty if it is not known."""
    return moment(at_ms)[11:]


def moment(at_ms: int | None) -> str:
    """Return the local date and time; empty if it is not known."""
    if at_ms is None:
        return ""
    try:
        return local_time(at_ms)[:19].replace("T", " ")
    except (OverflowError, ValueError, OSError):  # the log is damaged
        return ""
