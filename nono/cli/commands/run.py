"""`nono run`: run one command in the sandbox, supervised."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from nono.bytecode import finder
from nono.cli.args.parse import Invocation, parse, sandbox_parser
from nono.cli.console import Console, can_ask, console_of, is_at_terminal
from nono.errors import ConfigError, LaunchError, NonoError
from nono.named_tuple import NamedTuple
from nono.policy.capability import NetworkMode, SandboxPolicy
from nono.sandbox.command import STATUS_NOT_EXECUTED
from nono.sandbox.launcher import Probe, fork_launcher
from nono.trust.disk.concern import root_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from typing import NoReturn

    from nono.cli.args.parse import Given
    from nono.cli.instructions.before_run import BeforeRun
    from nono.credentials.load import KeyPrompt
    from nono.launch.around.undo import UndoRequest
    from nono.launch.beside import Wishes
    from nono.launch.lifecycle import Outcome
    from nono.launch.prepare import Prepared
    from nono.launch.run import Launch
    from nono.launch.session import Session
    from nono.launch.start import RunOptions
    from nono.launch.terminal.apart import Apart
    from nono.launch.terminal.front import Front
    from nono.policy.resolve import Resolved
    from nono.policy.why.refusals import Refusals
    from nono.settings.user_config import UserConfig
    from nono.trust.disk.check import Checked

    type CheckInstructions = Callable[[Session], Checked | None]

DESCRIPTION = (
    "Runs COMMAND in the sandbox, with a supervisor that holds its credentials. At a terminal, Ctrl-] d "
    "leaves it running, as does closing the terminal, and `nono attach` shows it again."
)

UNWATCHED = "--startup-timeout is switched off: it watches a terminal, and this run has none"
WORTH_A_REPORT_S = 10.0
ACP_WORDS = frozenset({"acp", "--acp", "--experimental-acp"})
OF_AN_EDITOR = "an editor runs outside the sandbox what an agent asks of it: --acp keeps it from doing so."
DETACH_TIMEOUT_S, TIMEOUT_MAX_S = 30, 3600


class _Call(NamedTuple):
    """What a person typed, and where they are told what becomes of it."""

    invocation: Invocation
    console: Console
    environ: Mapping[str, str]
    is_shell: bool  # the command is the person's shell, whatever a profile names; no report follows

    @property
    def given(self) -> Given:
        return self.invocation.given


def parser() -> ArgumentParser:
    """Return the parser, for help and completion."""
    return sandbox_parser("run", DESCRIPTION)


def run(argv: Sequence[str]) -> int:
    environ = dict(os.environ)
    return start(parse("run", DESCRIPTION, argv, environ), environ)


def start(invocation: Invocation, environ: Mapping[str, str], *, is_shell: bool = False) -> int:
    """Run the command of an invocation. Returns its exit code.

    is_shell: The command is the person's shell, whatever a profile names; no report is printed afterwards.
    """
    console = console_of(invocation.given, silent=invocation.silent)
    try:
        return _start(_Call(invocation, console, environ, is_shell))
    except NonoError as error:
        console.log("ERROR", error.message)
        raise


def _start(call: _Call) -> int:
    """Run the command, with a terminal of its own if nono was started at one."""
    given, console = call.given, call.console
    is_detached = given.flag("detached")
    # Somebody who may be asked a question may also take their time, and has Ctrl-C.
    patience_s = seconds(given, "detach_timeout", 0 if can_ask() else DETACH_TIMEOUT_S)
    startup_s = seconds(given, "startup_timeout", 0)
    is_dry = given.flag("dry_run")
    if given.flag("acp"):
        if not is_dry:
            _end_in_front(console, is_detached=is_detached)
    elif _is_of_an_editor(call.invocation.command):
        console.warn(OF_AN_EDITOR)
    if is_dry or not (is_detached or is_at_terminal()):
        if startup_s and not is_dry:
            console.note(UNWATCHED)
        exit_code = _run(call)
        _keep_bytecode()
        return exit_code
    # Imported here: other runs share their streams with the command.
    from nono.launch.terminal.apart import Apart, fork_supervisor

    try:
        forked = fork_supervisor(is_detached=is_detached)
    except OSError as error:
        if not is_detached:
            if startup_s:
                console.note(UNWATCHED)
            return _run(call)
        raise LaunchError(f"no terminal is available for the session: {error.strerror}") from error
    if isinstance(forked, Apart):
        exit_code = _run(call, forked, startup_s)
        forked.leave()
        _end_at_once(exit_code)
    if not is_detached:
        forked.step_back()
    # Imported here, as above: the supervisor is working meanwhile.
    from nono.cli.commands.terminal.front import stand_in_front, wait_for_start

    if not is_detached:
        exit_code = stand_in_front(forked)
        _keep_bytecode()
        _end_at_once(exit_code)
    session = wait_for_start(forked, patience_s or None)
    console.lines(
        [
            f"Started detached session {session['id']}.",
            f"Name: {session['name']}",
            f"Attach with: nono attach {session['id']}",
        ]
    )
    return 0


def _is_of_an_editor(command: Sequence[str]) -> bool:
    """Return True if an editor seems to have started this, to speak ACP with the agent."""
    is_adapter = any(program.endswith("-acp") for program in command[:1])
    return (is_adapter or not ACP_WORDS.isdisjoint(command[1:])) and not (os.isatty(0) or os.isatty(1))


def _end_in_front(console: Console, *, is_detached: bool) -> None:
    """Fork the run of an agent that an editor has started, in which this returns.

    This process stays between them, and ends with the exit code of the run. Raises ConfigError where there
    is no editor.
    """
    if is_detached or os.isatty(0) or os.isatty(1):
        raise ConfigError(
            "--acp is for an agent that an editor starts: both standard streams are pipes then."
        )
    # Imported here: other runs share their streams with the command.
    from nono.launch.around.editor import fork_run, pass_on

    front = fork_run()
    if front is not None:
        _end_at_once(pass_on(front, lambda reason: console.warn(f"Withheld from the editor: {reason}.")))


def seconds(given: Given, dest: str, usual: int) -> int:
    """Return a number of seconds. Raises ConfigError for anything else, or for more than an hour."""
    text = given.value(dest)
    if text is None:
        return usual
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) <= TIMEOUT_MAX_S):
        raise ConfigError(f"--{dest.replace('_', '-')} '{text}': expected seconds, up to {TIMEOUT_MAX_S}.")
    return int(text)


def _end_at_once(exit_code: int) -> NoReturn:
    """End this process without shutting down the interpreter, which would keep the person waiting."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(exit_code)


def _keep_bytecode() -> None:
    """Leave a file of bytecode for later starts, once for an installation. The caller waits half a second."""
    if finder.may_be_written() and finder.is_wanting():
        # The process in front has not taken from the path what the command may write. Imported here: it is
        # written once.
        sys.path[:] = finder.searched()
        from nono.bytecode.writer import keep

        keep()


def _run(call: _Call, apart: Apart | None = None, startup_s: int = 0) -> int:
    """Run the command. Returns its exit code.

    apart: The process in front, if the command gets its own terminal.
    startup_s: As for Front.
    """
    given, console, environ = call.given, call.console, call.environ
    # Before a profile brings pydantic and a credential brings a secret.
    likely = Probe(
        any(option.may_need_listener for option in given.options),
        given.value("sandbox_policy") == SandboxPolicy.NETNS,
    )
    launcher = fork_launcher(environ, likely)
    # Imported here: the launcher probes the kernel, and imports what confines it, at the same time.
    from nono.cli.preferences import preferences
    from nono.launch.run import Launch

    front = None if apart is None else _front(apart, startup_s)
    with told_why() as begun, Launch(environ, launcher) as launch:
        config = preferences(given, environ, console, long_lived=True)
        if front is not None:
            front.detach_keys = config.ui.detach_sequence
            front.recorded_bytes_max = config.sessions.recorded_bytes_max
        prepared, instructions = _prepared(call, launch)
        begun.append(prepared)
        if given.flag("dry_run"):
            return _conclude_dry(call, prepared, config)
        refusals = _refusals(given)
        began = time.monotonic()
        options = _options(call, config, prepared.resolved)
        wishes = _wishes(call, config, prepared.resolved, instructions)
        outcome = launch.execute(prepared, options._replace(front=front, refusals=refusals, wishes=wishes))
    _report(call, prepared, outcome, front, refusals, began)
    console.log("INFO", f"ended with exit code {outcome.exit_code}")
    return outcome.exit_code


def _prepared(call: _Call, launch: Launch) -> tuple[Prepared, CheckInstructions | None]:
    """Resolve what the command may do, and show it.

    Returns what checks its instruction files, or records that nobody does, once the session is open; None
    without a trust policy.
    """
    from nono.cli.resolution import command_of
    from nono.cli.run_summary import show

    is_dry = call.given.flag("dry_run")
    resolved = _resolved(call)
    root = None if call.is_shell else root_of(resolved.path_context.workdir, call.environ)
    instructions = None if root is None else _instructions(root, call)
    if instructions is not None:
        resolved = instructions.applied(resolved)
    command, warning = call.invocation.command, None
    if not call.is_shell:
        command, warning = command_of(call.invocation, resolved)
    prepared = launch.prepare(resolved, command, needs_program=not is_dry)
    show(prepared, call.invocation, call.console)
    _notes(prepared, call.console, warning, exits_shell=call.is_shell and not is_dry)
    if is_dry and instructions is not None:
        call.console.lines([instructions.announced])
    return prepared, _unchecked(root) if instructions is None and root is not None else instructions


def _report(
    call: _Call,
    prepared: Prepared,
    outcome: Outcome,
    front: Front | None,
    refusals: Refusals | None,
    began: float,
) -> None:
    """Say what the run changed, why it failed and what it did. Asks what may be undone or granted.

    began: By time.monotonic().
    """
    if outcome.changed is not None and not call.console.silent:
        _review(call, outcome, front)
    if not call.is_shell and (outcome.exit_code or outcome.denials.listed() or refusals is not None):
        # Imported here: most runs succeed and need no report.
        from nono.approval.ask import open_terminal
        from nono.cli.diagnostics.report import report

        asks = open_terminal if front is None else front.open_prompt
        report(outcome, prepared, call.invocation, call.console, call.environ, asks, refusals)
    _sum_up(call, outcome, prepared.resolved, time.monotonic() - began)


def _resolved(call: _Call) -> Resolved:
    """Resolve the policy of the run. Raises ConfigError for options that it has no use for."""
    from nono.cli.resolution import asker, resolve_given

    given, invocation = call.given, call.invocation
    resolved = resolve_given(invocation, call.environ, long_lived=True, ask=asker(invocation))
    if given.ports("proxy_port") and resolved.capabilities.network is not NetworkMode.PROXY:
        raise ConfigError(
            "--proxy-port is for a run with a proxy, and nothing asks for one.",
            hint="--network-profile, --allow-domain, --deny-domain or --credential does",
        )
    return _explained(invocation, resolved) if given.flag("explain") else resolved


def _notes(prepared: Prepared, console: Console, warning: str | None, *, exits_shell: bool) -> None:
    """Say what a person should know besides the summary."""
    if any(prepared.resolved.session_hooks):
        # Imported here: few runs have hooks.
        from nono.cli.text.summary import hooks

        console.lines(hooks(prepared.resolved))
    if warning is not None:
        console.warn(warning)
    if exits_shell:
        console.lines(["  Exit the shell with Ctrl-D or 'exit'."])


def _conclude_dry(call: _Call, prepared: Prepared, config: UserConfig) -> int:
    """End a dry run. Returns its exit code."""
    # Imported here: only dry runs need it.
    from nono.cli.dry_run import conclude
    from nono.cli.preferences import redaction

    exit_code = conclude(prepared, call.console, call.environ, redaction(config))
    call.console.log("INFO", f"ended with exit code {exit_code}")
    return exit_code


def _wishes(
    call: _Call, config: UserConfig, resolved: Resolved, instructions: CheckInstructions | None
) -> Wishes:
    """Return what goes beside the run. Raises ConfigError for options that contradict each other."""
    from nono.cli.preferences import outward, proving
    from nono.launch.beside import Wishes

    return Wishes(
        proving(call.given, call.console),
        outward(call.given, config.audit),
        instructions,
        _undo_request(call.given, resolved, config),
        notifies=config.ui.notify and not call.console.silent,
    )


def _options(call: _Call, config: UserConfig, resolved: Resolved) -> RunOptions:
    """Return the options of a run that shares its terminal and has no wishes."""
    from nono.cli.preferences import options_of, run_options_of

    given = call.given
    ports = given.ports("proxy_port")
    return run_options_of(given, config, call.console)._replace(
        as_event=options_of(given, resolved, config),
        proxy_port=ports[-1] if ports else 0,
        key_prompt=_key_prompt(call, resolved),
    )


def _sum_up(call: _Call, outcome: Outcome, resolved: Resolved, spent_s: float) -> None:
    """Print the lines about a run that took long or made requests."""
    given, console, traffic = call.given, call.console, outcome.traffic
    is_worth_it = spent_s >= WORTH_A_REPORT_S or (traffic is not None and traffic.has_requests)
    if not is_worth_it or console.silent or given.flag("no_diagnostics"):
        return
    # Imported here: short runs without a proxy need no report.
    from nono.cli.text.run_report import Ended, lines_of, unused_proxy

    has_log = not given.flag("no_audit")
    ended = Ended(outcome.exit_code, outcome.end, outcome.session_id, spent_s, has_log)
    has_upstream = resolved.proxy is not None and resolved.proxy.upstream_proxy is not None
    console.lines(lines_of(ended, traffic, None if has_upstream else unused_proxy(call.environ)))


def _front(apart: Apart, startup_s: int) -> Front:
    # Imported here: other runs have none.
    from nono.launch.terminal.front import Front

    return Front(apart, startup_s)


@contextmanager
def told_why() -> Iterator[list[Prepared]]:
    """Say what the program lacks if the kernel does not start it. The block adds the run to the list."""
    begun: list[Prepared] = []
    try:
        yield begun
    except LaunchError as error:
        if not begun or error.exit_code != STATUS_NOT_EXECUTED:
            raise
        # Imported here: most commands start.
        from nono.cli.diagnostics.not_started import with_reason

        raise with_reason(error, begun[0]) from error


def _instructions(root: str, call: _Call) -> BeforeRun | None:
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


def _explained(invocation: Invocation, resolved: Resolved) -> Resolved:
    """Return the same policy for a run that is watched, during which nobody is asked about files."""
    given = invocation.given
    if (invocation.silent or given.flag("no_diagnostics")) and not given.flag("diagnostics_json"):
        raise ConfigError(
            "--explain prints what --silent and --no-diagnostics leave out.", hint="leave one of them out"
        )
    capabilities = resolved.capabilities._replace(learns=True, elevation=False)
    return resolved._replace(capabilities=capabilities)


def _refusals(given: Given) -> Refusals | None:
    """Return an object that collects refused accesses; None if the run is not to be explained."""
    if not given.flag("explain"):
        return None
    # Imported here: few runs are explained.
    from nono.policy.why.refusals import Refusals

    return Refusals()


def _undo_request(given: Given, resolved: Resolved, config: UserConfig) -> UndoRequest | None:
    """Return how the run is to be kept for undo; None: not at all."""
    if not given.flag("rollback") and given.value("rollback_dest") is None:
        return None
    # Imported here, as below: few runs are kept.
    from nono.cli.commands.rollback.of_run import undo_request

    return undo_request(given, resolved, config)


def _review(call: _Call, outcome: Outcome, front: Front | None) -> None:
    """Say what the run changed, and offer to undo it."""
    from nono.approval.ask import open_terminal
    from nono.cli.commands.rollback.review import review

    asks = open_terminal if front is None else front.open_prompt
    review(outcome, call.console, call.environ, None if call.given.flag("no_rollback_prompt") else asks)


def _key_prompt(call: _Call, resolved: Resolved) -> KeyPrompt | None:
    """Return the way to ask for a missing key; None if none is needed or nobody can be asked."""
    is_needed = any(not service.is_optional for service in resolved.services)
    if not is_needed or call.invocation.silent or not can_ask():
        return None
    # Imported here: few runs need a key.
    from nono.cli.key_prompt import TerminalKeyPrompt

    return TerminalKeyPrompt(call.environ)
