"""Open the sessions for a command, and find the one that a person means."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from nono.approval.listing import Listed, parse
from nono.errors import ConfigError, NonoError
from nono.named_tuple import NamedTuple
from nono.paths import STATE_VARIABLE
from nono.sessions.listing import open_registry, records
from nono.sessions.query import find
from nono.sessions.record import Record
from nono.sessions.registry import ASKS, Registry


class Chosen(NamedTuple):
    """One session, and where its files are. Valid inside the block of chosen()."""

    registry: Registry
    record: Record


@contextmanager
def chosen(query: str, environ: Mapping[str, str]) -> Iterator[Chosen]:
    """Open the registry and find the session. Raises NonoError if there is not exactly one."""
    registry = open_registry(environ)
    if registry is None:
        find(query, ())  # raises
        raise AssertionError("a session was found among none")
    with registry:
        yield Chosen(registry, find(query, records(registry)))


class Seen(NamedTuple):
    """One session, and what it waits for."""

    record: Record
    questions: tuple[Listed, ...]


def sessions(environ: Mapping[str, str]) -> list[Seen]:
    """Return every session, the newest first."""
    registry = open_registry(environ)
    if registry is None:
        return []
    with registry:
        return [Seen(record, questions(registry, record)) for record in records(registry)]


def questions(registry: Registry, record: Record) -> tuple[Listed, ...]:
    """Return the open questions of a session, the oldest first."""
    return () if record.is_ended else parse(registry.read(record.session_id + ASKS))


def refuse_inside(command: str, environ: Mapping[str, str]) -> None:
    """Raise ConfigError inside a sandbox. A courtesy: the command reaches no session at all."""
    if environ.get(STATE_VARIABLE):
        raise ConfigError(f"`nono {command}` cannot be used inside a sandbox.")


def paused_error(record: Record) -> NonoError:
    """Return the error for a session that cannot answer, as its supervisor is stopped."""
    return NonoError(
        f"session {record.session_id} is paused: its supervisor is stopped.",
        hint=f"kill -CONT {record.supervisor_pid}",
    )


def ended_error(record: Record) -> NonoError:
    return NonoError(
        f"Session {record.session_id} has already exited (exit code {record.exit_code}).",
        hint=f"nono inspect {record.session_id} says why",
    )


def caller_environ() -> dict[str, str]:
    return dict(os.environ)
