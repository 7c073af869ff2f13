"""Read the sessions of a period for a report about all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from nono.amounts import moment
from nono.cli.commands.report.session import gathered, session_of
from nono.clock import unix_ms
from nono.errors import NonoError, UsageError
from nono.proxy.usage.prices import shipped_prices
from nono.report.many import Past, Totals, Unread, total
from nono.sessions.listing import open_registry, records
from nono.sessions.record import Record

_PERIOD = re.compile(r"([1-9][0-9]{0,4})([mhdw])", re.ASCII)
_UNITS_S = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def started_within(period: str, environ: Mapping[str, str]) -> list[Record]:
    """Return the sessions that started within a period such as 7d. Raises NonoError."""
    match = _PERIOD.fullmatch(period)
    if match is None:
        raise UsageError(f"--last '{period}': expected a number with m, h, d or w, such as 7d.")
    since_ms = unix_ms() - int(match[1]) * _UNITS_S[match[2]] * 1000
    registry = open_registry(environ)
    if registry is None:
        return []
    with registry:
        return [each for each in records(registry) if each.started_unix_ms >= since_ms]


def totals(every: list[Record], environ: Mapping[str, str]) -> Totals:
    """Add up what the logs of these sessions hold."""
    unread: list[Unread] = []
    return total(_read(every, environ, unread), unread, shipped_prices().as_of)


def _read(every: list[Record], environ: Mapping[str, str], unread: list[Unread]) -> Iterator[Past]:
    for record in every:
        session = session_of(record)
        try:
            found, integrity = gathered(record, environ)
            if not integrity.is_intact:
                raise NonoError(f"its log is not intact: {integrity.what}")
        except NonoError as error:
            unread.append(Unread(record.session_id, error.message))
            continue
        day = moment(record.started_unix_ms)[:10]
        yield Past(session, found.report(), found.denials, day, session.status)
