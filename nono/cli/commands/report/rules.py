"""Resolve the policy by which a past session is judged."""

from __future__ import annotations

from collections.abc import Mapping

from nono.cli.args.parse import Given, Invocation
from nono.cli.commands.report.log import options_of, seen_from
from nono.cli.why.context import from_options
from nono.errors import NonoError
from nono.policy.host_filesystem import HostFilesystem
from nono.report.replay.judge import Judging
from nono.sessions.record import Record


def judging(record: Record, environ: Mapping[str, str]) -> Judging | None:
    """Return the rules of a session under its profile's present content; None if the profile is gone."""
    try:
        ran_with = options_of(record, environ)
        profile = {} if record.profile is None else {"profile": seen_from(record.workdir, record.profile)}
        given = Given(profile, ()) if ran_with is None else ran_with.given
        return under(given, record.workdir, environ)
    except NonoError:
        return None


def under(given: Given, workdir: str, environ: Mapping[str, str]) -> Judging:
    """Return the rules that `nono why` would use for a run with these options in `workdir`.

    Raises NonoError.
    """
    subject = from_options(Invocation(given, silent=True, command=()), environ, workdir)
    return Judging(subject.rules, subject.path_context, HostFilesystem())
