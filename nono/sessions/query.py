"""Find the session that a person means: by id, the beginning of an id, a name, or `latest`."""

from __future__ import annotations

from collections.abc import Sequence

from nono.errors import ConfigError, NonoError
from nono.policy.suggestions import did_you_mean
from nono.sessions.names import LATEST
from nono.sessions.record import Record

_NAMED_MAX = 3


def find(query: str, records: Sequence[Record]) -> Record:
    """Return the session meant; `records` begins with the newest.

    Raises NonoError unless exactly one matches.
    """
    if query == LATEST and records:
        return records[0]
    exact = [record for record in records if record.session_id == query]
    by_id = [record for record in records if query and record.session_id.startswith(query)]
    named = [record for record in records if query and record.name == query]
    found = exact or _meant(by_id, named)
    if not found:
        names = [LATEST, *(record.name for record in records if record.name)] if records else []
        hint = did_you_mean(query, names) or "nono ps --all lists the sessions"
        raise NonoError(f"Session not found: {query}", hint=hint)
    if len(found) > 1:
        raise ConfigError(
            f"Ambiguous query '{query}': matches {len(found)} sessions. Use the session ID instead.",
            hint=f"the newest of them: {', '.join(each.session_id for each in found[:_NAMED_MAX])}",
        )
    return found[0]


def _meant(by_id: Sequence[Record], named: Sequence[Record]) -> Sequence[Record]:
    """Return the sessions that a text may mean which is no whole id.

    A name that runs takes precedence if nothing else runs that the text may mean: a name such as `1` begins
    many ids too, and a command must neither miss its session nor end another one.
    """
    either = [*by_id, *(record for record in named if record not in by_id)]
    living = [record for record in either if not record.is_ended]
    return living if len(living) == 1 and living[0] in named else either
