"""Parse a period of --last, such as 7d."""

from __future__ import annotations

import re

from nono.errors import UsageError

PERIOD_HELP = "sessions that started within 30m, 12h, 7d or 4w"
_PERIOD = re.compile(r"([1-9][0-9]{0,4})([mhdw])", re.ASCII)
_UNITS_S = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def period_s(text: str) -> int:
    """Return its length. Raises UsageError for other text."""
    match = _PERIOD.fullmatch(text)
    if match is None:
        raise UsageError(f"--last '{text}': expected a number with m, h, d or w, such as 7d.")
    return int(match[1]) * _UNITS_S[match[2]]
