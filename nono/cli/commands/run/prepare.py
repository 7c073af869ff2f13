"""Resolve what the command of a run may do, and show it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from nono.cli.args.parse import Invocation
from nono.cli.console import can_ask
from nono.errors import ConfigError
from nono.kernel.uapi.process import BINPRM_BUF_SIZE
from nono.policy.capability import NetworkMode, SandboxPolicy
from nono.trust.disk.concern import root_of

_FIREFOX = frozenset({"firefox", "firefox-esr"})
_SHELL_SETTINGS = {"bash": ".bashrc", "zsh": ".zshrc", "fish": ".config/fish/config.fish"}
_OPTIONS_OF_FIREFOX = frozenset({"profile", "P", "v", "version", "h", "help"})  # after one hyphen or two
WITHOUT_PROFILE = (
    "Firefox keeps its profile in your settings, where this run may not write, and without one it waits and "
    "says nothing: --profile DIR, with a directory of the project, gives it another."
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.cli.commands.run.call import Call
    from nono.cli.instructions.before_run import BeforeRun
    from nono.launch.prepare import Prepared
    from nono.launch.run import Launch
    from nono.launch.session import Session
    from nono.outward.orders import Orders
    from nono.policy.resolve import Resolved
    from nono.trust.disk.check import Checked

    type CheckInstructions = Callable[[Session], Checked | None]


def prepare(call: Call, launch: Launch, orders: Orders | None) -> tuple[Prepared, CheckInstructions | None]:
    """Resolve what the command may do, and show it. `orders`: Where the log is sent.

    Returns what checks its instruction files, or records that nobody does, once the session is open; None
    without a trust policy.
    """
    from nono.cli.resolution import command_of
    from nono.cli.run_summary import show

    is_dry = call.given.flag("dry_run")
    resolved = _resolved(call)
    if orders is not None and (kept := orders.kept_ports(call.environ)):
        # Imported here: few runs send their log to this machine.
        from nono.policy.services.key_reach import with_kept_ports

        resolved = resolved._replace(capabilities=with_kept_ports(resolved.capabilities, kept))
    root = None if call.is_shell else root_of(resolved.path_context.workdir, call.environ)
    instructions = None if root is None else _instructions(root, call)
    if instructions is not None:
        resolved = instructions.applied(resolved)
    command, warning = call.invocation.command, None
    if not call.is_shell:
        command, warning = command_of(call.invocation, resolved)
    prepared = launch.prepare(resolved, command, needs_program=not is_dry)
    show(prepared, call.invocation, call.console)
    _notes(prepared, call, warning, exits_shell=call.is_shell and not is_dry)
    if is_dry and instructions is not None:
        call.console.lines([instructions.announced])
    return prepared, _unchecked(root) if instructions is None and root is not None else instructions


def _resolved(call: Call) -> Resolved:
    """Resolve the policy of the run. Raises ConfigError for options that it has no use for."""
    from nono.cli.resolution import (
        POLICY_OF_RUN,
        asker,
        refuse_turnable,
        refuse_unrecorded,
        resolve_given,
    )

    given, invocation = call.given, call.invocation
    resolved = resolve_given(invocation, call.environ, long_lived=True, ask=asker(invocation))
    refuse_unrecorded(given, resolved)
    refuse_turnable("--log-file", given.value("log_file"), resolved)
    if resolved.mcp_servers:
        # Imported here: few runs have one.
        from nono.launch.mcp.check import beside_servers

        resolved = beside_servers(resolved, call.environ)
    if given.ports("proxy_port") and resolved.capabilities.network is not NetworkMode.PROXY:
        raise ConfigError(
            "--proxy-port is for a run with a proxy, and nothing asks for one.",
            hint="--network-profile, --allow-domain, --deny-domain or --credential does",
        )
    if call.is_shell and resolved.capabilities.sandbox_policy is not SandboxPolicy.AUTO:
        raise ConfigError(POLICY_OF_RUN, hint="nono run, with the same options")
    return _explained(invocation, resolved) if given.flag("explain") else resolved


def _explained(invocation: Invocation, resolved: Resolved) -> Resolved:
    """Return the same policy for a run that is watched, during which nobody is asked about files."""
    given = invocation.given
    if (invocation.silent or given.flag("no_diagnostics")) and not given.flag("diagnostics_json"):
        raise ConfigError(
            "--explain prints what --silent and --no-diagnostics leave out.", hint="leave one of them out"
        )
    capabilities = resolved.capabilities._replace(learns=True, elevation=False)
    return resolved._replace(capabilities=capabilities)


def _notes(prepared: Prepared, call: Call, warning: str | None, *, exits_shell: bool) -> None:
    """Say what a person should know besides the summary."""
    console = call.console
    if any(prepared.resolved.session_hooks):
        # Imported here: few runs have hooks.
        from nono.cli.text.summary import hooks

        console.lines(hooks(prepared.resolved))
    if warning is not None:
        console.warn(warning)
    head = b"" if prepared.program is None else _head(prepared.program)
    if head.startswith(b"#!"):
        # Imported here: few commands are scripts.
        from nono.cli.commands.run.looked_up import other_interpreter

        other = other_interpreter(prepared, head, call.environ)
        if other is not None:
            console.warn(other)
    if _lacks_a_profile(prepared):
        console.warn(WITHOUT_PROFILE)
    if exits_shell:
        console.lines(["  Exit the shell with Ctrl-D or 'exit'.", *_denied_settings(prepared)])


def _denied_settings(prepared: Prepared) -> Iterator[str]:
    """Say why a shell complains of its settings as it starts."""
    resolved = prepared.resolved
    name = _SHELL_SETTINGS.get(os.path.basename(prepared.argv[0]))
    path = name and os.path.join(resolved.path_context.home, name)
    if path and resolved.deny_rules.covering(path) is not None and os.path.exists(path):
        yield f"  It may not read ~/{name}: settings of shells often hold keys."


def _lacks_a_profile(prepared: Prepared) -> bool:
    """Return True for a Firefox that will look for its profile where this run may not write."""
    program, *words = prepared.argv
    if os.path.basename(program) not in _FIREFOX:
        return False
    if any(word.startswith("-") and word.lstrip("-") in _OPTIONS_OF_FIREFOX for word in words):
        return False
    # Imported here: few commands are Firefox.
    from nono.policy.files.grants import accesses
    from nono.policy.path_expansion import is_within

    place = os.path.realpath(os.path.join(prepared.resolved.path_context.home, ".mozilla", "firefox"))
    held = accesses(prepared.capabilities.grants, place)
    is_denied = any(is_within(place, denial.path) for denial in prepared.capabilities.denials)
    return is_denied or held is None or not held.writes


def _head(program: str) -> bytes:
    """Return what the kernel reads of a script's first line; empty if it cannot be read."""
    try:
        # It may be a FIFO by now.
        fd = os.open(program, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, BINPRM_BUF_SIZE)
    except OSError:
        return b""
    finally:
        os.close(fd)


def _instructions(root: str, call: Call) -> BeforeRun | None:
    """Return the check of the instruction files below `root`; None if they are not to be checked."""
    given = call.given
    if given.flag("trust_override"):
        call.console.insist("--trust-override: instruction files are not checked.")
        return None
    # Imported here: few projects have a trust policy.
    from nono.cli.instructions.before_run import BeforeRun, confirm

    asks = not (call.invocation.silent or given.flag("dry_run")) and can_ask()
    return BeforeRun(root, call.environ, given.list("skip_dir"), confirm if asks else None)


def _unchecked(root: str) -> Callable[[Session], None]:
    """Return a function that records that the check of the instruction files was skipped."""
    # Imported here: few runs leave it out.
    from nono.audit import event

    return lambda session: session.record(event.instructions_unchecked(root))
