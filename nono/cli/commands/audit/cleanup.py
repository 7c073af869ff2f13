"""`nono audit cleanup`: remove the audit logs of ended sessions. The ledger keeps their digests."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from shutil import rmtree

from nono.cli.commands.audit.found import RUNNING, Found, all_found, began_at
from nono.cli.commands.sessions.chosen import refuse_inside
from nono.cli.console import agrees
from nono.errors import ConfigError, NonoError
from nono.named_tuple import NamedTuple


class Wish(NamedTuple):
    """Which logs to remove. If nothing is set: all of them, once a person has agreed."""

    older_than_days: int | None
    keep: int | None
    is_all: bool
    is_dry: bool

    @property
    def is_said(self) -> bool:
        return self.is_all or self.older_than_days is not None or self.keep is not None


def cleanup(wish: Wish, environ: Mapping[str, str], *, silent: bool) -> int:
    """Remove logs. Returns an exit code."""
    refuse_inside("audit cleanup", environ)
    found = chosen(all_found(environ), wish, datetime.now(UTC))
    if found and not wish.is_said and not wish.is_dry and not _agrees(len(found)):
        return 1
    for each in found:
        if not wish.is_dry:
            _remove(each)
        if not silent:
            print(f"{'Would remove' if wish.is_dry else 'Removed'}: {each.session_id}", file=sys.stderr)
    if not found and not silent:
        print("Nothing to remove.", file=sys.stderr)
    return 0


def chosen(found: Sequence[Found], wish: Wish, now: datetime) -> list[Found]:
    """Return the logs to remove. `found` starts with the newest."""
    ended = [each for each in found if each.state != RUNNING][wish.keep or 0 :]
    if wish.older_than_days is None:
        return ended
    age = timedelta(days=wish.older_than_days)
    return [each for each in ended if (began := began_at(each.started)) is not None and now - began > age]


def _agrees(count: int) -> bool:
    """Ask whether all logs may be removed. Raises ConfigError if there is nobody to ask."""
    if not sys.stdin.isatty():
        raise ConfigError("Say which logs to remove.", hint="--older-than DAYS, --keep N or --all")
    return agrees(f"Remove all {count} audit logs of ended sessions?")


def _remove(each: Found) -> None:
    try:
        rmtree(each.directory)
    except FileNotFoundError:
        pass  # another nono removed it first
    except OSError as error:
        raise NonoError(f"{error.filename or each.directory} cannot be removed: {error.strerror}") from error
