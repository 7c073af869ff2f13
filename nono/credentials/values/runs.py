"""Find where a text has room for a secret, so that only there it has to be searched for.

Which octets a key may consist of is no secret, nor about how long it is, so the time of this tells nothing.
"""

from __future__ import annotations

from nono.credentials.values.escapes import Span

_NULS = bytes(256 * 1024)  # of which disk images are full; longer than what is searched at a time
_SAMPLES = 8  # of a run. Among random octets, 8 of 84 kinds in a row begin at one place in 7000.
_BEGINNING = 2 * 1024  # of a text; mostly it goes on as it begins
_PLACES_AHEAD = 8
_OCTETS_FOR_PLACE = 512  # to look at one place takes as long as to search so many
_LOOKED_AT = 1024  # a longer place is searched without a closer look


def long_runs(text: bytes, least: int, is_of_run: bytes) -> list[Span]:
    """Return parts of `text`, ascending, with all runs in which `least` octets or more are no NULs.

    No part begins or ends within a run. Where many runs are that long, or look so, all that follows is one
    part: to search it takes less time than to find them.

    is_of_run: translates the octets of runs, and NULs, to 1 and others to 0.
    """
    if _NULS.startswith(text):
        return []
    begun = _parts(text[:_BEGINNING], least, is_of_run)
    if begun and begun[-1][0] < _BEGINNING // 2 and begun[-1][1] == _BEGINNING:
        return [(0, len(text))]
    return _parts(text, least, is_of_run)


def _parts(text: bytes, least: int, is_of_run: bytes) -> list[Span]:
    stride = max(least // _SAMPLES, 1)
    flags = text[::stride].translate(is_of_run)
    wanted = b"\1" * (least // stride)
    parts = list[Span]()
    left = _PLACES_AHEAD
    done = at = 0
    while (at := flags.find(wanted, at)) >= 0:
        start = (at - 1) * stride + 1 if at else 0  # the sample before is of no run
        left += (start - done) // _OCTETS_FOR_PLACE - 1
        done = start
        if left < 0:
            return [*parts, (start if parts else 0, len(text))]
        at = flags.find(b"\0", at)
        end = at * stride if at >= 0 else len(text)
        part = text[start:end]
        octets = len(part) - part.count(0) if 0 in part else len(part)
        if octets >= least and (octets > _LOOKED_AT or b"\1" * least in part.translate(is_of_run)):
            parts.append((start, end))
        if at < 0:
            break
    return parts
