"""Open the log of a session, and read the options that it ran with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from posixpath import join

from nono import paths
from nono.audit.reading import Reading
from nono.audit.stored import directory_of, read_log
from nono.cli.args.parse import Given
from nono.cli.args.recorded import from_record
from nono.errors import NonoError
from nono.named_tuple import NamedTuple
from nono.policy.profile.files import is_path
from nono.sessions.record import Record

_AT_FIRST = 8  # records among which the options are: they follow the first


class RanWith(NamedTuple):
    """The options of a run."""

    given: Given
    left_out: tuple[str, ...]  # flags whose values the log does not hold


@contextmanager
def log_of(record: Record, environ: Mapping[str, str]) -> Iterator[Reading]:
    """Open the log of a session. Raises NonoError if no log can be read."""
    if record.rollback_session is None:
        raise NonoError(f"No event log recorded for session {record.session_id}: it ran with --no-audit.")
    directory = directory_of(paths.state_root(environ), record.rollback_session)
    try:
        with read_log(directory) as reading:
            yield reading
    except OSError as error:
        where = error.filename or directory
        raise NonoError(f"the events cannot be read: {where}: {error.strerror}") from error


def options_of(record: Record, environ: Mapping[str, str]) -> RanWith | None:
    """Return the options of a session; None if its log has none. Raises NonoError as log_of() does."""
    with log_of(record, environ) as reading:
        for each in islice(reading, _AT_FIRST):
            if each.event.get("type") == "run_options":
                left_out = each.event.get("left_out")
                flags = map(str, left_out) if isinstance(left_out, list) else ()
                given = from_record(each.event.get("options"))
                return RanWith(_from_anywhere(given, record.workdir), tuple(flags))
    return None


def _from_anywhere(given: Given, workdir: str) -> Given:
    """Return options as typed in `workdir`, with the files of profile and manifest by absolute paths."""
    values, profile, manifest = dict(given.values), given.value("profile"), given.value("config")
    if profile is not None:
        values["profile"] = seen_from(workdir, profile)
    if manifest is not None:
        values["config"] = join(workdir, manifest)
    return given._replace(values=values)


def seen_from(workdir: str, profile: str) -> str:
    """Return profiles as typed in `workdir`, so that they name the same files from anywhere."""
    return ",".join(join(workdir, each) if _is_relative(each) else each for each in profile.split(","))


def _is_relative(profile: str) -> bool:
    return is_path(profile) and not profile.startswith(("/", "~"))
