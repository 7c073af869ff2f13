"""Find the run that `nono why` is asked about: one described by options, or the one around this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from nono import paths
from nono.cli.args.parse import Invocation
from nono.cli.console import Console
from nono.cli.resolution import resolve_given
from nono.errors import NonoError
from nono.launch.around.surroundings import with_surroundings, without_hidden_masks
from nono.launch.state.capability_state import CapabilityState
from nono.launch.state.file import identity
from nono.named_tuple import NamedTuple
from nono.policy.capability import CapabilitySet
from nono.policy.command_rules import CommandRules
from nono.policy.effective_policy import EffectivePolicy, effective_policy_of
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.path_expansion import PathContext
from nono.policy.why.extent import WorkdirOffer, workdir_offer
from nono.policy.why.paths import Answer
from nono.policy.why.variables import why_variable, why_variable_inside
from nono.sandbox import probe
from nono.sandbox.plan.enforcement import Enforcement, Refusal
from nono.sandbox.plan.ladder import choose_enforcement
from nono.sandbox.plan.namespaces_verdict import has_namespaces, with_namespaces


class Held(NamedTuple):
    """The enforcement of a run."""

    chosen: Enforcement | Refusal
    landlock_abi: int


class Subject(NamedTuple):
    """One run, with everything needed to answer a question about it."""

    rules: EffectivePolicy
    path_context: PathContext  # resolves the paths of a question
    held: Callable[[], Held]  # asks the kernel, which takes a moment
    variable: Callable[[str], Answer]  # answers about a variable of the environment
    offer: WorkdirOffer | None = None  # what --allow-cwd would grant, where nothing grants that yet
    commands: CommandRules = (
        CommandRules()
    )  # empty inside a run: nono looks at the name of what it starts itself
    stale: frozenset[str] = frozenset()  # paths that now hold a file other than the one that was granted


def from_options(invocation: Invocation, environ: Mapping[str, str], cwd: str | None = None) -> Subject:
    """Return the run that options would start. Raises NonoError if they would start none.

    cwd: Where it would start; None: here.
    """
    resolved = resolve_given(invocation, environ, cwd=cwd)
    Console(silent=invocation.silent, verbosity=0).lines(resolved.deprecations)
    facts = probe.host_facts(network=False)
    wanted = with_namespaces(Enforcement(rung=None), resolved.capabilities, facts.own_namespaces)
    resolved = with_surroundings(
        resolved, environ, namespaces=isinstance(wanted, Enforcement) and wanted.namespaces
    )
    if resolved.oauth_routes and resolved.capabilities.masking.masks:
        # Imported here: few runs have a login.
        from nono.launch.proxy.shown_logins import with_shown_logins

        resolved = with_shown_logins(resolved, environ)
    has_own = has_namespaces(resolved.capabilities, facts.own_namespaces)
    if has_own:
        resolved = without_hidden_masks(resolved, environ)
    if resolved.oauth_routes:
        # Imported here, as above.
        from nono.launch.proxy.own_logins import with_own_logins, with_shared_files

        resolved = with_shared_files(resolved, environ, has_own=has_own)
        if has_own:
            resolved = with_own_logins(resolved, environ)
    fs = HostFilesystem()
    rules, offer = effective_policy_of(resolved, fs), workdir_offer(resolved, fs)

    def variable(name: str) -> Answer:
        loads_keys = bool(resolved.services)
        return why_variable(name, environ, resolved.environment, loads_keys=loads_keys)

    return Subject(
        rules,
        resolved.path_context,
        lambda: _would_be_held(rules.capabilities),
        variable,
        offer,
        resolved.commands,
    )


def from_running_session(state: CapabilityState, environ: Mapping[str, str]) -> Subject:
    """Return the run that this process belongs to."""
    try:
        cwd = os.getcwd()
    except OSError as error:
        raise NonoError(f"the current directory cannot be used: {error.strerror}") from error
    path_context = PathContext(paths.home(environ), cwd, cwd, environ, os.getuid())
    held = Held(state.enforcement, state.landlock_abi)

    def variable(name: str) -> Answer:
        return why_variable_inside(name, environ, state.rules.withheld)

    return Subject(state.rules, path_context, lambda: held, variable, stale=state.stale(identity))


def _would_be_held(capabilities: CapabilitySet) -> Held:
    facts = probe.with_masks(probe.host_facts(network=True), capabilities.masking)
    chosen = choose_enforcement(capabilities, facts)
    if not isinstance(chosen, Refusal):
        chosen = with_namespaces(chosen, capabilities, facts.own_namespaces)
    return Held(chosen, facts.landlock_abi)
