"""Read the sessions of a period for a report about all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nono.amounts import moment
from nono.cli.args.period import period_s
from nono.cli.commands.report.session import gathered, session_of
from nono.clock import unix_ms
from nono.errors import NonoError
from nono.proxy.usage.prices import shipped_prices
from nono.report.many import Past, Totals, Unread, total
from nono.sessions.listing import open_registry, records
from nono.sessions.record import Record


def started_within(period: str, environ: Mapping[str, str]) -> list[Record]:
    """Return the sessions that started within a period such as 7d. Raises NonoError."""
    since_ms = unix_ms() - period_s(period) * 1000
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
