"""Say what probably made a command fail, where no denial of a file or host says it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from nono.cli.args.parse import Invocation
from nono.launch.lifecycle import Outcome
from nono.launch.prepare import Prepared
from nono.policy.capability import Access, NetworkMode
from nono.policy.effective_policy import EffectivePolicy
from nono.policy.files.path_verdict import Granted
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.path_expansion import canonical_as_far
from nono.policy.profile.detection import AGENTS, STATE_OF_OTHER_AGENTS, agent_profile
from nono.policy.why.commands.words import with_script
from nono.policy.why.lacking.hooks import installs_hooks
from nono.policy.why.lacking.model_clouds import cloud_of_agent
from nono.policy.why.lacking.namespaces import confines_itself, makes_mounts
from nono.policy.why.lacking.networks import asks_a_network
from nono.policy.why.lacking.other_users import gives_rights, takes_rights
from nono.policy.why.lacking.search_paths import withheld_search_paths
from nono.printable import shell_word


def likely_causes(
    outcome: Outcome,
    prepared: Prepared,
    invocation: Invocation,
    rules: EffectivePolicy,
    fs: HostFilesystem,
    environ: Mapping[str, str],
    *,
    is_unclear: bool,
    script: str,
) -> Iterator[str]:
    """Yield lines about what the command ran without.

    is_unclear: No denial explains its failure.
    script: The file of a shell's script that the command names, or nothing.
    """
    argv = with_script(prepared.argv, script)
    if is_unclear:
        yield from _of_search_paths(argv, prepared, outcome.exit_code, environ)
        yield from _of_mounts(argv)
        yield from _of_other_users(argv)
        yield from _of_hooks(argv, prepared, rules)
    yield from _of_agent(prepared, invocation, rules, fs)
    yield from _of_key(prepared, outcome)
    yield from _of_cloud(prepared, environ)
    if is_unclear and rules.capabilities.network is NetworkMode.BLOCKED:
        yield from _of_network(argv, invocation)


def _of_search_paths(
    argv: Sequence[str], prepared: Prepared, exit_code: int, environ: Mapping[str, str]
) -> Iterator[str]:
    """Yield a line about the variables that name modules, and that the command did not get."""
    given = [name for name, _ in prepared.resolved.environment.fixed]
    names = withheld_search_paths(argv, exit_code, environ, given)
    if names:
        yield ""
        yield f"  Not passed on, because it changes what programs load: {', '.join(names)}."
        yield f"  --env {names[0]}=VALUE sets it."


def _of_mounts(argv: Sequence[str]) -> Iterator[str]:
    """Yield a line about a program that makes namespaces, as no call of it is reported."""
    program = makes_mounts(argv)
    if program is not None:
        yield ""
        yield f"  {program} makes mounts or namespaces of its own, which no run may. Run it outside."
    browser = confines_itself(argv)
    if browser is not None:
        yield ""
        yield f"  {browser} makes a sandbox of its own for its pages, which no run may."
        yield f"  {browser} --no-sandbox does without: nono confines all of it."


def _of_other_users(argv: Sequence[str]) -> Iterator[str]:
    """Yield lines about a program that takes another user's rights, or gives the caller's; root may."""
    if os.geteuid() == 0:
        return
    if (program := takes_rights(argv)) is not None:
        yield ""
        yield f"  {program} takes the rights of another user, which nothing inside gets. Run it outside."
    if (program := gives_rights(argv)) is not None:
        yield ""
        yield f"  {program} sets the set-user-ID bit, which nothing inside may: whoever starts"
        yield "  the file would run it as you. Set it outside."


def _of_hooks(argv: Sequence[str], prepared: Prepared, rules: EffectivePolicy) -> Iterator[str]:
    """Yield a line about a program that installs hooks of git: a mount refuses that, and reports nothing."""
    hooks, program = rules.capabilities.hooks, installs_hooks(argv)
    if hooks is not None and prepared.enforcement.namespaces and program is not None:
        yield ""
        yield f"  {program} changes the hooks of git, which git runs outside the sandbox too."
        yield f"  Run it outside, or let the command change them: --allow {shell_word(hooks)}"


def _of_agent(
    prepared: Prepared, invocation: Invocation, rules: EffectivePolicy, fs: HostFilesystem
) -> Iterator[str]:
    """Yield a line about the profile, or the state, that an agent ran without."""
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
    lacking = outcome.traffic.keys.lacking if outcome.traffic is not None else None
    program = os.path.basename(prepared.argv[0])
    if lacking is not None and program in AGENTS:
        yield ""
        yield f"  {program} ran without a key and without a login. To store a key:"
        yield f"  {lacking}"


def _of_network(argv: Sequence[str], invocation: Invocation) -> Iterator[str]:
    """Yield a line about a program that asks a network where there is none, as no call of it is reported."""
    program = asks_a_network(argv)
    if program is not None:
        is_typed = invocation.given.flag("block_net")
        yield ""
        by = "--block-net" if is_typed else "network.block of its profile"
        yield f"  {program} asks the network, and this run has none ({by})."
        if is_typed:
            yield "  --allow-domain HOST in its place allows one host;"
            yield "  --open-port PORT beside it allows a port of this machine."


def _of_cloud(prepared: Prepared, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a line about the cloud whose login an agent looked for in vain."""
    given = [name for name, _ in prepared.resolved.environment.fixed]
    cloud = cloud_of_agent(prepared.argv, environ, given)
    if cloud is not None:
        yield ""
        yield f"  {cloud[0]} is set in your shell, and what logs in to {cloud[1]} stays outside."
        yield "  A profile of yours gives claude a placeholder: docs/agents.md has one to copy."
