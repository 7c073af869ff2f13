"""Report the denials of a run after it, and offer to save what would have allowed them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
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
from nono.policy.files.path_verdict import Granted
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.path_expansion import UnsetVariableError, canonical_as_far, is_within
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
    rules = rules._replace(
        capabilities=rules.capabilities._replace(elevation=False)
    )  # as if nobody had been asked
    fs = HostFilesystem()
    found, is_complete = _found(outcome, rules, prepared, refusals, fs)
    is_unclear = exit_code and not footer.clear(found)
    is_offline = rules.capabilities.network is NetworkMode.BLOCKED
    absent = _absentees(exit_code, prepared, rules, fs) if is_unclear else []
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
        if is_unclear and exit_code not in STOPPED:
            console.lines(_of_search_paths(prepared, exit_code, environ))
        if exit_code and exit_code not in STOPPED:
            console.lines(_of_agent(prepared, invocation, rules, fs))
            console.lines(_of_key(prepared, outcome))
            console.lines(_of_cloud(prepared, environ))
        if is_unclear and is_offline and exit_code not in STOPPED:
            console.lines(_of_network(prepared, invocation))
    if invocation.given.flag("diagnostics_json"):
        # Imported here: few runs ask for it.
        from nono.cli.shapes.printed import printed
        from nono.cli.text.json_report import document

        tell(printed(document(exit_code, found, limit, absent)))
    if is_told and exit_code not in STOPPED and found and limit is None:
        _offer(found, suppressed, prepared, invocation, environ, asks)


def _of_search_paths(prepared: Prepared, exit_code: int, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a line about the variables that name modules, and that the command did not get."""
    # Imported here: most runs end well.
    from nono.policy.why.lacking.search_paths import withheld_search_paths

    given = [name for name, _ in prepared.resolved.environment.fixed]
    names = withheld_search_paths(prepared.argv, exit_code, environ, given)
    if names:
        yield ""
        yield f"  Not passed on, because it changes what programs load: {', '.join(names)}."
        yield f"  --env {names[0]}=VALUE sets it."


def _of_agent(
    prepared: Prepared, invocation: Invocation, rules: EffectivePolicy, fs: HostFilesystem
) -> Iterator[str]:
    """Yield a line about the profile, or the state, that an agent ran without."""
    # Imported here: most runs end well.
    from nono.policy.profile.detection import STATE_OF_OTHER_AGENTS, agent_profile

    if invocation.given.value("config") is not None:
        return
    program = os.path.basename(prepared.argv[0])
    profile = agent_profile(program, invocation.given.value("profile"))
    if profile is not None:
        yield ""
        yield f"  {program} ran without its profile; --profile {profile} grants what it keeps and reaches."
    state, places = STATE_OF_OTHER_AGENTS.get(program, ()), prepared.resolved.path_context
    paths = (canonical_as_far(places.of_flag(each), fs) for each in state)
    if not all(isinstance(rules.files.judge((path,), Access.READWRITE), Granted) for path in paths):
        listed = ", ".join(f'"{each}"' for each in state)
        yield ""
        yield f"  {program} keeps its state where this run may not write. A profile of yours grants that:"
        yield f'  {{"extends": "coding-agent", "filesystem": {{"state_dir": [{listed}]}}}}'


def _of_key(prepared: Prepared, outcome: Outcome) -> Iterator[str]:
    """Yield a line about the key that an agent ran without."""
    # Imported here: most runs end well.
    from nono.policy.profile.detection import AGENTS

    lacking = outcome.traffic.keys.lacking if outcome.traffic is not None else None
    program = os.path.basename(prepared.argv[0])
    if lacking is not None and program in AGENTS:
        yield ""
        yield f"  {program} ran without a key and without a login. To store a key:"
        yield f"  {lacking}"


def _of_network(prepared: Prepared, invocation: Invocation) -> Iterator[str]:
    """Yield a line about a program that asks a network where there is none, as no call of it is reported."""
    # Imported here: most runs end well.
    from nono.policy.why.lacking.networks import asks_a_network

    program = asks_a_network(prepared.argv)
    if program is not None:
        is_typed = invocation.given.flag("block_net")
        yield ""
        by = "--block-net" if is_typed else "network.block of its profile"
        yield f"  {program} asks the network, and this run has none ({by})."
        if is_typed:
            yield "  --allow-domain HOST in its place allows one host."


def _of_cloud(prepared: Prepared, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a line about the cloud whose login an agent looked for in vain."""
    # Imported here: most runs end well.
    from nono.policy.why.lacking.model_clouds import cloud_of_agent

    given = [name for name, _ in prepared.resolved.environment.fixed]
    cloud = cloud_of_agent(prepared.argv, environ, given)
    if cloud is not None:
        yield ""
        yield f"  {cloud[0]} is set in your shell, and what logs in to {cloud[1]} stays outside."
        yield "  A profile of yours gives claude a placeholder: docs/agents.md has one to copy."


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


def _absentees(
    exit_code: int, prepared: Prepared, rules: EffectivePolicy, fs: HostFilesystem
) -> list[Absentee]:
    # Imported here: most runs end well.
    from nono.cli.diagnostics.program_parts import needs_of
    from nono.launch.around.surroundings import hidden_below
    from nono.policy.why.usual import usually_needed

    places = prepared.resolved.path_context
    needs = partial(needs_of, environ=places.environ)
    hidden = partial(hidden_below, prepared=prepared, environ=places.environ)
    return usually_needed(prepared.argv, exit_code, rules, places, fs, _is_usable, needs, hidden)


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

    Raises NonoError if the profile cannot be loaded, or if the command may have written it.
    """
    from nono.policy.profile.store import load

    loaded, fs = load(reference, environ), HostFilesystem()
    for file in loaded.files:
        held = accesses(prepared.capabilities.grants, fs.canonical(os.path.abspath(file)) or file)
        if held is not None and held.writes:
            raise NonoError(f"the command may write {file}")
    places = prepared.resolved.path_context
    return [places.of_profile(path) for path in loaded.profile.filesystem.suppress_save_prompt]
