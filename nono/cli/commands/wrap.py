"""`nono wrap`: apply the sandbox without a supervisor. This process becomes the command."""

from __future__ import annotations

import os
from collections.abc import Sequence

from nono.cli.args.parse import parse, sandbox_parser
from nono.cli.console import console_of
from nono.cli.resolution import POLICY_OF_RUN, asker, refuse_turnable, resolve_given
from nono.cli.run_summary import show
from nono.errors import ConfigError
from nono.launch import wrap
from nono.policy.capability import NetworkMode, SandboxPolicy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser

    from nono.policy.resolve import Resolved

DESCRIPTION = "Applies the sandbox to this process and becomes COMMAND: no supervisor, no proxy, no audit."


def parser() -> ArgumentParser:
    """Return the parser, for help and completion."""
    return sandbox_parser("wrap", DESCRIPTION)


def run(argv: Sequence[str]) -> int:
    """Become the command. Returns only after a dry run."""
    environ = dict(os.environ)
    invocation = parse("wrap", DESCRIPTION, argv, environ, os.path.lexists)
    console = console_of(invocation.given, silent=invocation.silent)
    is_dry = invocation.given.flag("dry_run")
    resolved = resolve_given(invocation, environ, ask=asker(invocation))
    _refuse_what_needs_a_supervisor(resolved)
    refuse_turnable("--log-file", invocation.given.value("log_file"), resolved)
    prepared = wrap.prepare(resolved, invocation.command, environ, needs_program=not is_dry)
    show(prepared, invocation, console, has_proxy=False)
    if resolved.binary is not None or resolved.command_args:
        console.warn("`nono wrap` runs what was typed: the profile's binary and command_args have no effect.")
    if any(resolved.session_hooks):
        console.warn("`nono wrap` runs no session_hooks; `nono run` does.")
    if is_dry:
        # Imported here: only dry runs need it.
        from nono.cli.dry_run import conclude
        from nono.cli.preferences import preferences, redaction

        config = preferences(invocation.given, environ, console)
        return conclude(prepared, console, environ, redaction(config))
    console.lines(["  Applying sandbox..."])
    return wrap.become(prepared, environ)


def _refuse_what_needs_a_supervisor(resolved: Resolved) -> None:
    """Raise ConfigError if the policy asks for something that only `nono run` can do."""
    capabilities, reason = resolved.capabilities, None
    if resolved.audit_required:
        reason = "this profile requires an audit log (security.audit_required), and `nono wrap` writes none."
    elif capabilities.network is NetworkMode.PROXY:
        reason = "this profile needs the credential proxy, and `nono wrap` has no supervisor to run it."
    elif capabilities.sandbox_policy is not SandboxPolicy.AUTO:
        reason = POLICY_OF_RUN
    elif capabilities.af_unix_mediation:
        reason = (
            'this profile mediates Unix sockets (linux.af_unix_mediation "pathname"), and `nono wrap` has no '
            "supervisor to do it."
        )
    elif capabilities.names_threads:
        reason = "--allow-gpu: NVIDIA GPU thread-name mediation needs a supervisor, and `nono wrap` has none."
    elif capabilities.limits.is_set:
        reason = "--memory and --max-processes need a supervisor, and `nono wrap` has none."
    elif resolved.env_credentials:
        reason = "this profile hands out credentials (env_credentials), and `nono wrap` reads none."
    if reason is not None:
        raise ConfigError(reason, hint="nono run, with the same options")
