"""Turn this process into the command, inside the sandbox and without a supervisor."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from nono.errors import LaunchError, in_words
from nono.kernel import process
from nono.launch.around.surroundings import starting, surrounded
from nono.launch.prepare import Prepared, enforcement_of, program_of, ready_state_directories
from nono.launch.trusted import module_path
from nono.policy.environment.inheritance import child_environment, started_in
from nono.policy.resolve import Resolved
from nono.sandbox import host
from nono.sandbox.command import STATUS_NOT_EXECUTED
from nono.sandbox.enter import default_signals, enter
from nono.sandbox.plan.plan import draw

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def prepare(
    resolved: Resolved, command: Sequence[str], environ: Mapping[str, str], *, needs_program: bool = True
) -> Prepared:
    """Prepare as for a supervised run, but without a listener: nobody would be left to serve it."""
    facts = host.file_system_facts()
    if resolved.capabilities.masking.masks:
        # Imported here: most runs mask nothing, and nothing else needs a probe.
        from nono.sandbox import probe

        facts = probe.with_masks(facts, resolved.capabilities.masking)
    enforcement = enforcement_of(resolved.capabilities, facts, is_supervised=False)
    # This process loads nothing any more, but the next nono does.
    module_path.refuse_writable_code(resolved.capabilities.grants, environ)
    resolved = starting(resolved, environ, enforcement)
    program = None
    if needs_program:
        program = program_of(resolved, command[0], environ.get("PATH", os.defpath))
    return Prepared(resolved, facts, enforcement, program, tuple(command))


def become(prepared: Prepared, environ: Mapping[str, str]) -> NoReturn:
    """Sandbox this process and exec the command.

    Raises LaunchError: the process may be restricted by then, and must exit.
    """
    ready_state_directories(prepared.resolved.state_directories)
    prepared, _ = surrounded(prepared, environ)
    plan = draw(prepared.capabilities, prepared.facts, prepared.enforcement)
    rules, workdir = prepared.resolved.environment, prepared.capabilities.workdir
    environment = started_in(workdir, child_environment(environ, rules), rules)
    command = prepared.command(environment)
    process.open_missing_standard_streams()
    try:
        enter(plan, command)
    except OSError as error:
        raise LaunchError(f"the command was not started: {in_words(error)}") from error
    default_signals()
    try:
        os.execve(command.program, command.argv, command.environment)
    except OSError as error:
        # What it lacks cannot be looked up any more: the sandbox holds this process too.
        raise LaunchError(
            f"Command execution failed: {command.program}: {error.strerror}",
            exit_code=STATUS_NOT_EXECUTED,
            hint="nono run, with the same options, says why",
        ) from error
