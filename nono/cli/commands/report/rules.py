"""Resolves the policy by which a session of the past is judged."""

from __future__ import annotations

from collections.abc import Mapping
from posixpath import join

from nono.cli.args.options import Given
from nono.cli.args.parse import Invocation
from nono.cli.why_context import from_options
from nono.errors import NonoError
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.profile.files import is_path
from nono.report.replay.judge import Judging
from nono.sessions.record import Record


def judging(record: Record, environ: Mapping[str, str]) -> Judging | None:
    """Return the rules of a session's profile as it is now; None if it cannot be had any more.

    The options of the run are not among them: nothing records those.
    """
    values = {} if record.profile is None else {"profile": seen_from(record.workdir, record.profile)}
    try:
        return under(Given(values, ()), record.workdir, environ)
    except NonoError:
        return None


def seen_from(workdir: str, profile: str) -> str:
    """Return profiles as typed in `workdir`, so that they name the same files from anywhere."""
    return ",".join(join(workdir, each) if _is_relative(each) else each for each in profile.split(","))


def _is_relative(profile: str) -> bool:
    return is_path(profile) and not profile.startswith(("/", "~"))


def under(given: Given, workdir: str, environ: Mapping[str, str]) -> Judging:
    """Return the rules that `nono why` would ask about a run with these options in `workdir`.

    Raises NonoError.
    """
    subject = from_options(Invocation(given, silent=True, command=()), environ, workdir)
    return Judging(subject.rules, subject.path_context, HostFilesystem())
