"""The run that `nono why` is asked about: one that options describe, or the one around this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from nono import paths
from nono.cli.args.parse import Invocation
from nono.cli.console import Console
from nono.cli.resolution import resolve_given
from nono.errors import NonoError
from nono.launch.state import State
from nono.launch.state_file import identity
from nono.named_tuple import NamedTuple
from nono.policy.capability import CapabilitySet
from nono.policy.effective_policy import EffectivePolicy, effective_policy_of
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.path_expansion import PathContext
from nono.sandbox import probe
from nono.sandbox.plan.enforcement import Enforcement, Refusal
from nono.sandbox.plan.ladder import choose_enforcement


class Held(NamedTuple):
    """How the kernel holds a run."""

    chosen: Enforcement | Refusal
    landlock_abi: int


class Subject(NamedTuple):
    """One run, with all that a question about it is answered from."""

    rules: EffectivePolicy
    places: PathContext  # where the paths of a question begin
    held: Callable[[], Held]  # asks the kernel, which takes a moment
    stale: frozenset[str] = frozenset()  # paths where another file stands now than the one that was granted


def from_options(invocation: Invocation, environ: Mapping[str, str]) -> Subject:
    """The run that options would start here. NonoError when they would start none."""
    resolved = resolve_given(invocation, environ)
    Console(silent=False, verbosity=0).lines(resolved.deprecations)
    rules = effective_policy_of(resolved, HostFilesystem())
    return Subject(rules, resolved.places, lambda: _would_be_held(rules.capabilities))


def from_running_session(state: State, environ: Mapping[str, str]) -> Subject:
    """The run whose command this process is, or was started by."""
    try:
        cwd = os.getcwd()
    except OSError as error:
        raise NonoError(f"the current directory cannot be used: {error.strerror}") from error
    places = PathContext(paths.home(environ), cwd, cwd, environ, os.getuid())
    held = Held(state.enforcement, state.landlock_abi)
    return Subject(state.rules, places, lambda: held, state.stale(identity))


def _would_be_held(capabilities: CapabilitySet) -> Held:
    facts = probe.with_masks(probe.host_facts(), capabilities.masking)
    return Held(choose_enforcement(capabilities, facts), facts.landlock_abi)
