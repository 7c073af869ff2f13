"""Word the error of a run whose command the kernel did not start."""

from __future__ import annotations

import os

from nono.cli.args.parse import Given
from nono.cli.diagnostics.program_parts import parts_of
from nono.errors import LaunchError
from nono.launch.prepare import Prepared
from nono.policy.effective_policy import effective_policy_of
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.profile.detection import agent_profile
from nono.policy.why.starting import OwnPlaces, why_not_started
from nono.policy.why.usual_table import places_of_program
from nono.sandbox.plan.private_view import private_view


def with_reason(error: LaunchError, prepared: Prepared, given: Given) -> LaunchError:
    """Return the error with the reason and a hint added; unchanged if no reason is found."""
    assert prepared.program is not None  # otherwise no start would have been attempted
    fs, path_context = HostFilesystem(), prepared.resolved.path_context
    rules = effective_policy_of(prepared.resolved, fs)
    own = OwnPlaces()
    if prepared.enforcement.namespaces:
        view = private_view(prepared.capabilities, (), None)
        own = OwnPlaces(view.directories, tuple(each.path for each in view.shown))
    why = why_not_started(
        parts_of(prepared.program, HostFilesystem(asks_hosts=False)),
        rules,
        own,
        os.uname().machine,
        lambda path: places_of_program(path, path_context, fs),
    )
    if why is None:
        return error
    return LaunchError(
        f"Command execution failed: {prepared.program}: {why.reason}.",
        exit_code=error.exit_code,
        hint=_of_agent(prepared.argv[0], given, why.hint),
    )


def _of_agent(program: str, given: Given, hint: str | None) -> str | None:
    """Return the hint, behind the profile of an agent that ran without it: its file alone is not enough."""
    if hint is None or not hint.startswith("-") or given.value("config") is not None:
        return hint
    name = os.path.basename(program)
    profile = agent_profile(name, given.value("profile"))
    return hint if profile is None else f"--profile {profile} is for {name}; to grant the file alone: {hint}"
