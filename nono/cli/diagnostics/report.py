"""Report the denials of a run after it, and offer to save what would have allowed them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from nono.cli.args.parse import Invocation
from nono.cli.console import Console, tell
from nono.cli.text import footer
from nono.cli.text.footer import Finding
from nono.errors import NonoError
from nono.launch.denials import Kind, is_look_up
from nono.launch.lifecycle import Outcome
from nono.launch.prepare import Prepared
from nono.policy.capability import Access, NetworkMode
from nono.policy.effective_policy import EffectivePolicy
from nono.policy.files.grants import accesses
from nono.policy.host_filesystem import HostFilesystem, way_to
from nono.policy.path_expansion import UnsetVariableError, is_within
from nono.sessions import ends

if TYPE_CHECKING:
    from nono.cli.diagnostics.save_prompt import Asks
    from nono.policy.why.extent import WorkdirOffer
    from nono.policy.why.refusals import Refusals
    from nono.policy.why.usual import Absentee

STOPPED = range(129, 144)  # ended by a signal such as SIGTERM, whose sender is not there to be asked


def report(
    outcome: Outcome,
    prepared: Prepared,
    invocation: Invocation,
    console: Console,
    environ: Mapping[str, str],
    asks: Asks,
    refusals: Refusals | None = None,
) -> None:
    """Print the denials, or the limit that ended the command, to stderr, and as JSON too if asked for.

    asks: Opens the terminal of the person, for an offer.
    refusals: Further accesses that were refused, if the run was watched.
    """
    exit_code, limit = outcome.exit_code, outcome.limit
    rules = outcome.rules()
    unasked = rules.capabilities._replace(elevation=False)  # as if nobody had been asked
    rules = rules._replace(capabilities=unasked)
    fs = HostFilesystem(asks_hosts=False)
    found, is_complete = _found(outcome, rules, prepared, refusals, fs)
    is_unclear = exit_code and not footer.clear(found)
    is_offline = rules.capabilities.network is NetworkMode.BLOCKED
    script = _script(prepared, fs) if exit_code else ""
    absent = _absentees(exit_code, prepared, rules, fs, script) if is_unclear else []
    is_told = not (console.silent or invocation.given.flag("no_diagnostics"))
    suppressed = _suppressed(prepared, invocation, environ) if is_told and found else []
    if is_told and limit is not None:
        console.lines(limit.lines())
    elif is_told:
        # What a command tries at each start and works without is worth a line only if the command failed.
        listed = _about_others(found, suppressed or ()) if exit_code == 0 else found
        told = footer.footer(
            exit_code,
            listed,
            is_complete=is_complete,
            absent=absent,
            is_watched=refusals is not None,
            is_stopped=outcome.end.cause == ends.STOP,
            is_offline=is_offline,
            offer=_offered(prepared, fs) if listed or absent else None,
        )
        console.lines(told)
        if exit_code and exit_code not in STOPPED:
            # Imported here: most runs end well.
            from nono.cli.diagnostics.likely_causes import likely_causes

            said = likely_causes(
                *(outcome, prepared, invocation, rules, fs, environ),
                is_unclear=bool(is_unclear),
                script=script,
            )
            console.lines(said)
    if invocation.given.flag("diagnostics_json"):
        # Imported here: few runs ask for it.
        from nono.cli.shapes.printed import printed
        from nono.cli.text.json_report import document

        tell(printed(document(exit_code, found, limit, absent)))
    if is_told and exit_code not in STOPPED and found and limit is None:
        _offer(found, suppressed, prepared, invocation, environ, asks)


def _found(
    outcome: Outcome,
    rules: EffectivePolicy,
    prepared: Prepared,
    refusals: Refusals | None,
    fs: HostFilesystem,
) -> tuple[list[Finding], bool]:
    """Return what was denied, and whether that is all of it."""
    places, denials = prepared.resolved.path_context, outcome.denials
    found = footer.findings(denials, rules, places, fs)
    if refusals is None:
        return found, denials.is_complete
    # Imported here: few runs are explained.
    from nono.cli.diagnostics.explained import explained

    found += explained(refusals, rules, places, fs)
    return found, denials.is_complete and refusals.is_complete


def _offered(prepared: Prepared, fs: HostFilesystem) -> WorkdirOffer | None:
    # Imported here: most runs end well.
    from nono.policy.why.extent import workdir_offer

    return workdir_offer(prepared.resolved, fs)


def _about_others(found: Sequence[Finding], suppressed: Sequence[str]) -> list[Finding]:
    """Remove denials of the suppressed paths, of those below them, and of what programs only try."""
    return [
        each
        for each in footer.telling(found)
        if (
            not is_look_up(each.denied.target)
            if each.denied.kind is Kind.NETWORK
            else not any(is_within(each.denied.target, path) for path in suppressed)
        )
    ]


def _script(prepared: Prepared, fs: HostFilesystem) -> str:
    # Imported here: most runs end well.
    from nono.policy.why.commands.named_scripts import script_named

    places = prepared.resolved.path_context
    places = places._replace(cwd=places.workdir)  # where the command starts
    return script_named(prepared.argv, lambda word: fs.text(places.of_flag(word)))


def _absentees(
    exit_code: int, prepared: Prepared, rules: EffectivePolicy, fs: HostFilesystem, script: str
) -> list[Absentee]:
    # Imported here: most runs end well.
    from nono.cli.diagnostics.program_parts import needs_of
    from nono.launch.around.surroundings import hidden_below
    from nono.policy.why.usual import usually_needed

    places = prepared.resolved.path_context
    needs = partial(needs_of, environ=places.environ, fs=fs)
    hidden = partial(hidden_below, prepared=prepared, environ=places.environ)
    return usually_needed(prepared.argv, exit_code, rules, places, fs, _is_usable, needs, hidden, script)


def _is_usable(path: str, access: Access) -> bool:
    """Return True if this user may access the path outside; otherwise it was not the sandbox that refused."""
    mode = {Access.READ: os.R_OK, Access.WRITE: os.W_OK, Access.READWRITE: os.R_OK | os.W_OK}[access]
    return os.access(path, mode)


def _offer(
    found: Sequence[Finding],
    suppressed: Sequence[str] | None,
    prepared: Prepared,
    invocation: Invocation,
    environ: Mapping[str, str],
    asks: Asks,
) -> None:
    # Imported here: it reads and writes profiles, which most runs do not need.
    from nono.cli.diagnostics import save_prompt
    from nono.cli.diagnostics.next_command import options_of_run
    from nono.policy.why.saving import additions, without_suppressed

    places, reference = prepared.resolved.path_context, invocation.given.value("profile")
    offered = additions((each.flag for each in found if each.flag is not None), places.home)
    if not offered or not save_prompt.is_wanted(environ) or invocation.given.value("config") is not None:
        return  # a manifest is somebody else's work and not for this person to extend
    if suppressed is None:
        return  # the profile has changed during the run and cannot be trusted
    offered = without_suppressed(offered, suppressed, places.home)
    offered = [each for each in offered if not each.names_process]
    hosts = prepared.resolved.host_filter
    if hosts is not None and hosts.allow is None:
        # A first entry would turn an open network into an allow list.
        offered = [each for each in offered if not each.names_host]
    if offered:
        options = options_of_run(invocation, places)
        save_prompt.offer(offered, reference, prepared.argv[0], options, environ, asks)


def _suppressed(prepared: Prepared, invocation: Invocation, environ: Mapping[str, str]) -> list[str] | None:
    """Return the absolute paths that flags and profile suppress; None if the profile is no longer trusted."""
    places, reference = prepared.resolved.path_context, invocation.given.value("profile")
    suppressed = [places.of_flag(path) for path in invocation.given.list("suppress_save_prompt")]
    if reference is None:
        return suppressed
    try:
        return suppressed + _suppressed_by(reference, prepared, environ)
    except (NonoError, UnsetVariableError):
        return None


def _suppressed_by(reference: str, prepared: Prepared, environ: Mapping[str, str]) -> list[str]:
    """Return the paths for which the profile suppresses offers to save.

    Raises NonoError if the profile cannot be loaded, or if the command may have written it, or a link to it.
    """
    from nono.policy.profile.store import load

    loaded = load(reference, environ)
    for file in loaded.files:
        for place in way_to(file):
            held = accesses(prepared.capabilities.grants, place)
            if held is not None and held.writes:
                raise NonoError(f"the command may write {place}")
    places = prepared.resolved.path_context
    return [places.of_profile(path) for path in loaded.profile.filesystem.suppress_save_prompt]
