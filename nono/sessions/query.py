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
    # Among sessions with one name, running ones take precedence.
    living = [record for record in named if not record.is_ended]
    found = exact or by_id or (living if len(living) == 1 else named)
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
