"""`nono run`: run one command in the sandbox, supervised."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from nono.bytecode import finder
from nono.cli.args.parse import Invocation, parse, sandbox_parser
from nono.cli.commands.run.call import Call
from nono.cli.console import can_ask, console_of, is_at_terminal
from nono.errors import ConfigError, LaunchError, NonoError, UsageError
from nono.policy.capability import SandboxPolicy
from nono.sandbox.launcher import Probe, fork_launcher

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from typing import NoReturn

    from nono.cli.args.parse import Given
    from nono.launch.terminal.apart import Apart
    from nono.launch.terminal.front import Front

DESCRIPTION = (
    "Runs COMMAND in the sandbox, with a supervisor that holds its credentials. At a terminal, Ctrl-] d "
    "leaves it running, as does closing the terminal, and `nono attach` shows it again."
)

UNWATCHED = "--startup-timeout is switched off: it watches a terminal, and this run has none"
ACP_WORDS = frozenset({"acp", "--acp", "--experimental-acp"})
OF_AN_EDITOR = "an editor runs outside the sandbox what an agent asks of it: --acp keeps it from doing so."
LANGUAGE_SERVER = (
    "a language server looks in vain for the editor's process, and may end then: --lsp prevents it."
)
# Modules of the report are loaded now, from another version if nono was upgraded meanwhile.
UNTOLD = (
    "what the run did cannot be reported ({fault}), perhaps because nono was upgraded or removed while the "
    "command ran; `nono logs {session}` lists the events"
)
DETACH_TIMEOUT_S, TIMEOUT_MAX_S = 30, 3600


def parser() -> ArgumentParser:
    """Return the parser, for help and completion."""
    return sandbox_parser("run", DESCRIPTION)


def run(argv: Sequence[str]) -> int:
    environ = dict(os.environ)
    return start(parse("run", DESCRIPTION, argv, environ, os.path.lexists), environ)


def start(invocation: Invocation, environ: Mapping[str, str], *, is_shell: bool = False) -> int:
    """Run the command of an invocation. Returns its exit code.

    is_shell: The command is the person's shell, whatever a profile names; no report is printed afterwards.
    """
    console = console_of(invocation.given, silent=invocation.silent)
    try:
        return _start(Call(invocation, console, environ, is_shell))
    except NonoError as error:
        console.log("ERROR", error.message)
        raise


def _start(call: Call) -> int:
    """Run the command, with a terminal of its own if nono was started at one."""
    given, console = call.given, call.console
    is_detached = given.flag("detached")
    # Somebody who may be asked a question may also take their time, and has Ctrl-C.
    usual_s = 0 if can_ask() else DETACH_TIMEOUT_S
    patience_s = seconds(given, "detach_timeout", usual_s) if is_detached else usual_s
    startup_s = seconds(given, "startup_timeout", 0)
    is_dry = given.flag("dry_run")
    if given.flag("acp") or given.flag("lsp"):
        if not is_dry:
            _end_in_front(call, is_detached=is_detached)
    elif _is_of_an_editor(call.invocation.command):
        console.warn(OF_AN_EDITOR)
    elif _is_language_server(call.invocation.command):
        console.warn(LANGUAGE_SERVER)
    if is_dry:
        startup_s = 0  # nothing starts that could be watched
    elif is_detached or is_at_terminal():
        return _start_apart(call, patience_s, startup_s, is_detached=is_detached)
    if startup_s:
        console.note(UNWATCHED)
    exit_code = _run(call)
    _keep_bytecode()
    return exit_code


def _start_apart(call: Call, patience_s: int, startup_s: int, *, is_detached: bool) -> int:
    """Run the command at a terminal of its own: a process behind this one supervises it.

    patience_s: How long a detached session may take to start; 0: any time.
    startup_s: As for Front.
    """
    console = call.console
    # Imported here: other runs share their streams with the command.
    from nono.launch.terminal.apart import Apart, fork_supervisor

    try:
        forked = fork_supervisor(is_detached=is_detached)
    except OSError as error:
        if is_detached:
            raise LaunchError(f"no terminal is available for the session: {error.strerror}") from error
        if startup_s:
            console.note(UNWATCHED)
        return _run(call)
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


def _is_language_server(command: Sequence[str]) -> bool:
    """Return True if an editor seems to have started this, to speak LSP with it."""
    is_one = any(program.endswith(("-langserver", "-language-server")) for program in command[:1])
    return is_one and not (os.isatty(0) or os.isatty(1))


def _end_in_front(call: Call, *, is_detached: bool) -> None:
    """Fork the run of what an editor has started, in which this returns.

    This process stays between them, and ends with the exit code of the run. Raises ConfigError where there
    is no editor.
    """
    is_acp = call.given.flag("acp")
    if is_detached or os.isatty(0) or os.isatty(1):
        flag, what = ("--acp", "an agent") if is_acp else ("--lsp", "a language server")
        raise ConfigError(
            f"{flag} is for {what} that an editor starts, with pipes for standard input and output."
        )
    # Imported here: other runs share their streams with the command.
    from nono.launch.around.editor.front import ACP, LSP, fork_run, pass_on

    front = fork_run()
    if front is not None:
        protocol = ACP if is_acp else LSP
        tell = call.console.warn
        _end_at_once(pass_on(front, protocol, lambda reason: tell(f"Withheld from the editor: {reason}.")))


def seconds(given: Given, dest: str, usual: int) -> int:
    """Return a number of seconds. Raises UsageError for anything else, or for more than an hour."""
    text = given.value(dest)
    if text is None:
        return usual
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) <= TIMEOUT_MAX_S):
        raise UsageError(f"--{dest.replace('_', '-')} '{text}': expected seconds, up to {TIMEOUT_MAX_S}.")
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
        try:
            from nono.bytecode.writer import keep
        except ImportError:  # nono was removed while the command ran
            return
        keep()


def _run(call: Call, apart: Apart | None = None, startup_s: int = 0) -> int:
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
    from nono.cli.commands.run.prepare import prepare
    from nono.cli.commands.run.report import conclude_dry, report_on, told_why
    from nono.cli.commands.run.wishes import options_of_run, orders_of, refusals_of, wishes_of
    from nono.cli.preferences import preferences
    from nono.launch.run import Launch

    front = None if apart is None else _front(apart, startup_s)
    with told_why(given) as begun, Launch(environ, launcher) as launch:
        config = preferences(given, environ, console, long_lived=True)
        if front is not None:
            front.detach_keys = config.ui.detach_sequence
            front.recorded_bytes_max = config.sessions.recorded_bytes_max
        orders = orders_of(call, config)  # refused before anything is shown
        prepared, instructions = prepare(call, launch, orders)
        begun.append(prepared)
        refusals = refusals_of(given)
        began = time.monotonic()
        # Before a dry run ends, which refuses what a run would.
        options = options_of_run(call, config, prepared.resolved)
        wishes = wishes_of(call, config, prepared.resolved, instructions, orders)
        if given.flag("dry_run"):
            return conclude_dry(call, prepared, config, wishes)
        outcome = launch.execute(prepared, options._replace(front=front, refusals=refusals, wishes=wishes))
    try:
        report_on(call, prepared, outcome, front, refusals, began)
    except (NonoError, OSError):
        raise
    except Exception as fault:  # the command has ended, and its exit code must not be lost (ADR 103)
        console.warn(UNTOLD.format(fault=f"{type(fault).__name__}: {fault}", session=outcome.session_id))
    console.log("INFO", f"ended with exit code {outcome.status}")
    return outcome.status


def _front(apart: Apart, startup_s: int) -> Front:
    # Imported here: other runs have none.
    from nono.launch.terminal.front import Front

    return Front(apart, startup_s)
