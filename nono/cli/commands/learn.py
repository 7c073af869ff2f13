"""`nono learn`: watch a command, then write the smallest profile that it can run with."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nono.approval import ask
from nono.cli.args.parse import Invocation, parse, sandbox_parser
from nono.cli.commands.run.report import told_why
from nono.cli.console import Console, console_of
from nono.cli.preferences import preferences, redaction, run_options_of
from nono.cli.resolution import POLICY_OF_RUN, command_of, refuse_turnable, refuse_unrecorded
from nono.cli.run_summary import show
from nono.errors import ConfigError, NonoError
from nono.launch.run import Launch
from nono.policy.capability import Access, SandboxPolicy
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.learning.keys import services_with_keys
from nono.policy.profile.files import is_path
from nono.policy.request import RunRequest
from nono.policy.resolve import Resolved, resolve
from nono.policy.schema.profile import Profile, Workdir
from nono.printable import shell_word
from nono.sandbox.launcher import Probe, fork_launcher

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from nono.cli.args.parse import Given
    from nono.cli.commands.profile.target import Target

DESCRIPTION = (
    "Runs COMMAND in a sandbox wider than the one it will get, watches what it does, and writes a profile "
    "that allows that and nothing else. Sensitive files stay out of its reach while it is watched, too."
)
UNANSWERED = (
    "the command is watched in a wider sandbox than a profile gives it, and nobody is here to agree to that."
)


def parser() -> ArgumentParser:
    """Return the parser, for help and completion."""
    return sandbox_parser("learn", DESCRIPTION)


def run(argv: Sequence[str]) -> int:
    environ = dict(os.environ)
    invocation = parse("learn", DESCRIPTION, argv, environ, os.path.lexists)
    given = invocation.given
    console = console_of(given, silent=invocation.silent)
    if given.list("extends"):
        raise ConfigError("--extends is not for `nono learn`: -o writes a profile that extends --profile.")
    if given.flag("allow_net"):
        raise ConfigError("--allow-net opens the network, and then nobody sees which hosts are reached.")
    likely = Probe(network=True, private_network=False)
    with told_why(given) as begun, Launch(environ, fork_launcher(environ, likely)) as launch:
        # Imported here, after the fork: a user's profile brings pydantic.
        from nono.cli.commands.profile.target import target_of
        from nono.cli.dry_run import conclude
        from nono.cli.text import learned_lines
        from nono.launch.learn.plan import plan_learning
        from nono.launch.learn.result import build_learned_profile

        config = preferences(given, environ, console, long_lived=True)
        output = given.value("output")
        target = target_of(output, given.value("profile"), environ)
        fs = HostFilesystem()
        base, asked = _resolved(invocation, target, environ, fs)
        refuse_unrecorded(given, asked)
        refuse_turnable("--log-file", given.value("log_file"), asked)
        refuse_turnable("-o", output if is_path(output or "") else None, asked)
        if asked.capabilities.sandbox_policy is not SandboxPolicy.AUTO:
            raise ConfigError(POLICY_OF_RUN, hint="nono run --explain lists what the command was refused")
        command, warning = command_of(invocation, asked)
        if warning is not None:
            console.warn(warning)
        plan = plan_learning(base, asked, fs)
        is_dry = given.flag("dry_run")
        prepared = launch.prepare(plan.resolved, command, needs_program=not is_dry)
        begun.append(prepared)
        show(prepared, invocation, console)
        scope = learned_lines.scope(plan)
        if is_dry:
            console.lines(scope)
            return conclude(prepared, console, environ, redaction(config))
        if not _is_agreed(given, scope, console):
            return 1
        options = run_options_of(given, config, console)._replace(observation=plan.observation)
        outcome = launch.execute(prepared, options)
    if outcome.limit is not None:
        console.lines(outcome.limit.lines())
    learned = build_learned_profile(plan, target.document, target.file, is_new=target.is_new, cwd=os.getcwd())
    console.lines(learned_lines.seen(learned, plan.bounds.home))
    if (exit_code := outcome.exit_code) != 0:
        console.lines([f"  [nono] It ended with {exit_code}: what it would have done next was not seen."])
    return _write(learned.document, target, prepared.argv, given.flag("yes"), console) or outcome.status


def _is_agreed(given: Given, scope: list[str], console: Console) -> bool:
    """Show what the command may do while it is watched, and ask. Raises NonoError if nobody can be asked."""
    if given.flag("yes") or given.flag("watch"):
        console.lines(scope)
        return True
    if not ask.is_interactive():
        raise NonoError(UNANSWERED, hint="--watch agrees; --yes agrees and writes the profile")
    return ask.confirm(scope, "  [nono] Watch the command doing that? [y/N] ", is_pristine=True)


def _resolved(
    invocation: Invocation, target: Target, environ: Mapping[str, str], fs: HostFilesystem
) -> tuple[Resolved, Resolved]:
    """Resolve the policy of the profile alone, and the policy of the requested run."""
    cwd = os.getcwd()
    request = invocation.request._replace(allow_cwd=True, learns=True)
    workdir = os.path.realpath(os.path.join(cwd, request.workdir or ""))
    if os.path.commonpath((workdir, os.path.realpath(environ.get("HOME", "/")))) == workdir:
        raise ConfigError(
            f"While it is watched, the command may write its working directory, and {workdir} contains your "
            "home directory.",
            hint="cd to a directory that holds only its work, or use --workdir DIR",
        )
    begins_with = target.profile or Profile()
    base = resolve(
        RunRequest(allow_cwd=True, workdir=request.workdir),
        begins_with,
        environ=environ,
        cwd=cwd,
        fs=fs,
        uid=os.getuid(),
    )
    network = begins_with.network
    if target.document.get("network", {}).get("block"):
        network = network._replace(block=False)  # written by an earlier `nono learn`; may change now
    writable = begins_with._replace(network=network, workdir=Workdir(Access.READWRITE.value))
    asked = resolve(request, writable, environ=environ, cwd=cwd, fs=fs, uid=os.getuid())
    if request.block_net or network.block:
        return base, asked
    services = services_with_keys(environ, asked.services)
    request = request._replace(credential=(*request.credential, *services))
    return base, resolve(request, writable, environ=environ, cwd=cwd, fs=fs, uid=os.getuid())


def _write(
    document: Mapping[str, object],
    target: Target,
    watched: Sequence[str],
    is_agreed: bool,
    console: Console,
) -> int:
    """Write or print the profile. Returns 1 if the person refuses to write it, else 0."""
    text = json.dumps(document, indent=2) + "\n"
    if target.path is None:
        print(text, end="")
        return 0
    difference = target.difference(text)
    if not difference:
        console.lines([f"  [nono] {target.path} grants all of it already."])
        return 0
    if is_agreed:
        console.lines(difference)
    elif not ask.is_interactive():
        print(text, end="")
        console.lines([f"  [nono] Nothing is written without --yes: {target.path}"])
        return 0
    elif not ask.confirm(difference, f"  [nono] Write {target.path}? [y/N] "):
        console.lines(["  [nono] Nothing was written."])
        return 1
    target.write(text)
    command = " ".join(
        ["nono run --profile", shell_word(target.reference), "--allow-cwd --", *map(shell_word, watched)]
    )
    console.lines([f"  [nono] Written. To run with it: {command}"])
    return 0
