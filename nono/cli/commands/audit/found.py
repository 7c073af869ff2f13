"""Find the sessions that have an audit log, and what can be said of each without reading the whole log."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from posixpath import commonpath, normpath
from typing import Any

from nono import paths
from nono.audit import stored
from nono.audit.proof.check import read_summary
from nono.errors import ConfigError, NonoError
from nono.named_tuple import NamedTuple
from nono.policy.suggestions import did_you_mean
from nono.sessions.listing import is_supervised, open_registry, records
from nono.sessions.names import LATEST
from nono.sessions.record import Record

RUNNING, ORPHANED, COMPLETED = "running", "orphaned", "completed"


class Found(NamedTuple):
    """One session with an audit log."""

    session_id: str
    directory: str
    state: str  # running, orphaned (its supervisor was killed or failed), or completed
    started: str  # RFC 3339; "" if the log does not contain it
    ended: str | None
    command: tuple[str, ...]
    tracked_paths: tuple[str, ...]
    exit_code: int | None
    disk_size: int
    began_unix_ms: int = 0

    @property
    def day(self) -> date | None:
        """The day on which the session started, in UTC."""
        began = began_at(self.started)
        return None if began is None else began.date()


class Wanted(NamedTuple):
    """Which sessions to list."""

    since: date | None = None
    until: date | None = None
    command: str | None = None
    path: str | None = None
    recent: int | None = None


def began_at(started: str) -> datetime | None:
    """Return the time in UTC; None if it is unknown."""
    try:
        return datetime.fromisoformat(started).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def all_found(environ: Mapping[str, str]) -> list[Found]:
    """Return every session that has an audit log, the newest first. Raises NonoError."""
    root, registered = paths.state_root(environ), _registered(environ)
    found = [_found(root, session_id, registered.get(session_id)) for session_id in _ids(root)]
    return sorted(found, key=lambda each: (each.began_unix_ms, each.session_id), reverse=True)


def _ids(root: str) -> list[str]:
    try:
        return stored.session_ids(root)
    except OSError as error:
        raise NonoError(
            f"the audit logs cannot be read: {error.filename or root}: {error.strerror}"
        ) from error


def filtered(found: Iterable[Found], wanted: Wanted) -> list[Found]:
    """Return the wanted sessions. `found` starts with the newest."""
    chosen = [each for each in found if _is_wanted(each, wanted)]
    return chosen if wanted.recent is None else chosen[: wanted.recent]


def _is_wanted(each: Found, wanted: Wanted) -> bool:
    if wanted.since is not None and (each.day is None or each.day < wanted.since):
        return False
    if wanted.until is not None and (each.day is None or each.day > wanted.until):
        return False
    if wanted.command is not None and wanted.command.lower() not in "".join(each.command[:1]).lower():
        return False
    return wanted.path is None or any(_is_related(path, wanted.path) for path in each.tracked_paths)


def _is_related(tracked: str, path: str) -> bool:
    """Return True if one of the two paths is equal to or below the other."""
    path = normpath(os.path.abspath(path))
    return commonpath((tracked, path)) in (tracked, path)


def the_one(query: str, environ: Mapping[str, str]) -> Found:
    """Find the session that a person means, by the rules of nono.sessions.query. Raises NonoError."""
    if query == LATEST and (every := all_found(environ)):
        return every[0]
    root, registered = paths.state_root(environ), _registered(environ)
    ids = _ids(root)
    meant = _meant(query, ids, registered)
    if not meant:
        names = [LATEST, *(each.name for each in registered.values() if each.name)] if ids else []
        hint = did_you_mean(query, names) or "nono audit list names those with an audit log"
        raise NonoError(f"Session not found: {query}", hint=hint)
    if len(meant) > 1:
        raise ConfigError(
            f"Ambiguous query '{query}': matches {len(meant)} sessions. Use the session ID instead."
        )
    (session_id,) = meant
    if os.path.islink(stored.directory_of(root, session_id)):
        # Whoever placed the link would choose what is verified.
        raise NonoError(
            f"Audit session {session_id} resolves outside audit root {stored.audit_directory(root)}."
        )
    return _found(root, session_id, registered.get(session_id))


def _meant(query: str, ids: Sequence[str], registered: Mapping[str, Record]) -> list[str]:
    """Return the ids that a query may mean: an exact match, or those that start with it or have that name."""
    exact = [each for each in ids if each == query]
    begun = [each for each in ids if query and each.startswith(query)]
    named = [each for each in ids if query and each in registered and registered[each].name == query]
    return exact or [*dict.fromkeys((*begun, *named))]


def _registered(environ: Mapping[str, str]) -> Mapping[str, Record]:
    """Return the records of the sessions by the id of their log."""
    registry = open_registry(environ)
    if registry is None:
        return {}
    with registry:
        return {record.rollback_session or "": record for record in records(registry)}


def _found(root: str, session_id: str, record: Record | None) -> Found:
    directory = stored.directory_of(root, session_id)
    summary: Mapping[str, Any] = {}
    is_damaged = False
    try:
        summary = read_summary(directory)
    except ValueError:
        is_damaged = True
    except OSError:
        pass
    first = {} if summary else stored.first_event(directory)
    if record is not None:
        runs = not record.is_ended or (not summary and is_supervised(record))
    else:
        # A standalone proxy has no record; while it runs, nobody else can get a lease on its log.
        runs = not summary and not stored.is_closed(directory)
    started = str(summary.get("started") or first.get("started") or "")
    began = began_at(started)
    began_ms = 0 if began is None else int(began.timestamp() * 1000)
    state = RUNNING if runs else COMPLETED if summary or is_damaged else ORPHANED
    command = summary.get("command") or first.get("command")
    return Found(
        session_id,
        directory,
        state,
        started,
        summary.get("ended"),
        tuple(map(str, command)) if isinstance(command, list) else (),
        tuple(summary.get("tracked_paths", ())),
        summary.get("exit_code"),
        stored.disk_size(directory),
        began_ms if record is None else record.started_unix_ms,
    )
