"""Dispatch sys.argv to a command, and turn its errors into one sentence."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from nono import __version__, paths
from nono.cli.args.help_wanted import HelpWanted
from nono.cli.command_table import ALIASES, COMMANDS, LATER, PAIRS, Loaded
from nono.errors import NonoError, UsageError, in_words
from nono.printable import printable, printable_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

_FILES = "a program may have no more files open here: ulimit -n shows how many, ulimit -n 1024 raises it"
_REINSTALL = "if nono is being updated, start again afterwards; otherwise reinstall it"
# The first five say themselves which variables they ignore; the others keep and read no files of nono's.
TOLD_ELSEWHERE = frozenset(
    {"run", "shell", "learn", "wrap", "proxy", "help", "version", "completion", "connect-helper"}
)
WRITING_NOTHING = frozenset({"help", "version", "completion", "why"})
_SAME_WORD = 0.75  # how similar a command is at least to a name that is a program too
GLOBAL_FLAGS = frozenset({"-s", "--silent"})
GLOBAL_VALUES = frozenset({"--theme", "--log-file"})
_OWN = ("--help", "--version", "--silent", "--log-file")  # the options before a command, as help shows them


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that argv names. Returns the exit status of the process."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    typed = tuple(arguments)
    _open_closed_streams()
    try:
        status = _dispatch(arguments)
        # Flushed here, so that a full disk or a closed pipe is still reported as a sentence.
        sys.stdout.flush()
        return status
    except NonoError as error:
        _complain(_message(error, typed), _hint(error, typed))
        return error.exit_code
    except (ImportError, SyntaxError) as error:  # modules are loaded when they are needed
        _complain(f"a part of nono cannot be loaded: {error}", _REINSTALL)
        return 1
    except BrokenPipeError:
        # The reader of our output is gone. Python would complain again when it flushes at exit.
        sys.stdout = None
        return 1
    except OSError as error:
        # Usually our own output on a full disk; commands turn the errors they expect into NonoErrors
        # themselves.
        _complain(in_words(error), _hint(error))
        sys.stdout = None  # otherwise Python would flush again at exit and print its own error
        return 1
    except KeyboardInterrupt:
        return 130


def _message(error: NonoError, typed: Sequence[str]) -> str:
    """Return what is said of an error, in which no value that was typed looks like a line of nono."""
    if isinstance(error, UsageError):
        return printable_line(error.message)
    message = error.message  # it may have lines of its own, such as one for each mistake of a file
    for word in typed:
        for part in word.replace("=", "/").replace(",", "/").split("/"):  # a path may be said in full
            if "\n" in part and part.strip():
                message = message.replace(part, printable_line(part))
    return message


def _hint(error: NonoError | OSError, typed: Sequence[str] = ()) -> str | None:
    """Return what to do about an error, or None. typed: The arguments of nono."""
    cause = error if isinstance(error, OSError) else error.__cause__
    if isinstance(cause, OSError) and cause.errno == errno.EMFILE:
        return _FILES  # what the hint offers, such as --no-audit, would not help
    try:
        # Imported here: a command that succeeds needs no advice.
        from nono.cli import advice
    except (ImportError, OSError):  # what kept the command from going on may keep a module from being read
        return None if isinstance(error, OSError) else error.hint
    return advice.for_call(error) if isinstance(error, OSError) else advice.for_error(error, typed)


def _open_closed_streams() -> None:
    """Open /dev/null for each standard stream that the caller has closed.

    Python sets such a stream to None, and print then falls back to stdout. The next file opened would get the
    stream's descriptor number.
    """
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def _complain(message: str, hint: str | None = None) -> None:
    try:
        print(f"nono: {printable(message)}", file=sys.stderr)
        if hint:
            print(f"hint: {printable(hint)}", file=sys.stderr)
    except OSError:
        return  # there is nobody to tell


def _dispatch(arguments: list[str]) -> int:
    leading = _take_globals(arguments)
    if not arguments:
        _overview(sys.stderr)
        return 2
    if (pair := PAIRS.get(tuple(arguments[:2]))) is not None:
        arguments[:2] = [pair]
    name, rest = ALIASES.get(arguments[0], arguments[0]), [*leading, *arguments[1:]]
    if name in ("-h", "--help"):
        if not rest:
            _overview(sys.stdout)
            return 0
        name = "help"
    if name in ("-V", "--version"):
        if not rest:
            print(f"nono {__version__}")
            return 0
        name = "version"
    if name in COMMANDS:
        loaded = COMMANDS[name].load()
        try:
            if name not in WRITING_NOTHING:
                _hear_of_children()
                _refuse_kept_home(loaded, rest)
            if name not in TOLD_ELSEWHERE and not GLOBAL_FLAGS & {*rest}:
                _tell_ignored()
            return loaded.run(rest)
        except HelpWanted as wanted:
            return _help(wanted)
    if name in LATER:
        raise UsageError(f"`nono {name}` is not available yet.", hint=LATER[name])
    raise _unknown(name)


def _tell_ignored() -> None:
    """Say which variables do not lead to nono's files: a key, for instance, is kept elsewhere then."""
    for variable in paths.ignored(os.environ):
        value = printable(os.environ[variable])
        print(f"note: {variable}={value} is ignored, as it is not an absolute path.", file=sys.stderr)


def _hear_of_children() -> None:
    """Take SIGCHLD back where the caller ignores it, as some daemons do: no child could be waited for.

    The command gets it so too, as it does from timeout(1).
    """
    # Imported here: what writes nothing starts nothing.
    from nono.kernel.signals import signal

    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _refuse_kept_home(command: Loaded, arguments: Sequence[str]) -> None:
    """Raise NonoError where sudo has kept HOME: root's files in it would lock its owner out of ~/.local.

    Raises HelpWanted instead if the arguments ask for help, which writes nothing.
    """
    uid = os.environ.get("SUDO_UID", "0")
    if os.geteuid() != 0 or uid == "0":
        return
    home = os.environ.get("HOME", "")
    try:
        is_kept = str(os.stat(home).st_uid) == uid
    except OSError:  # what is not there is nobody's
        return
    if not is_kept:
        return
    if command.parser is not None:
        with suppress(NonoError):  # a mistake in the arguments is not worth a word here
            command.parser().parse_args(arguments)
    raise NonoError(
        f"this is root, and HOME is still {home}, which belongs to uid {uid}.",
        hint="nono needs no root: run it without sudo; sudo -H runs it with the home of root",
    )


def _take_globals(arguments: list[str]) -> list[str]:
    """Remove the global options before the command and return them, so that they can be passed to it."""
    taken: list[str] = []
    while arguments:
        if arguments[0] in GLOBAL_FLAGS or arguments[0].partition("=")[0] in GLOBAL_VALUES:
            flag = arguments.pop(0)
        else:
            break
        taken.append(flag)
        if flag in GLOBAL_VALUES:
            if not arguments:
                raise UsageError(f"{flag}: a value is expected.")
            taken.append(arguments.pop(0))
    return taken


def _overview(stream: TextIO) -> None:
    # Imported here, as below: a run prints no help.
    from nono.cli.commands.itself.help import show_overview

    show_overview(stream, COMMANDS)


def _help(wanted: HelpWanted) -> int:
    from nono.cli.commands.itself.help import show_parser

    show_parser(wanted.parser, sys.stdout, COMMANDS, is_long=wanted.is_long)
    return 0


def _as_program(name: str, known: Sequence[str]) -> str | None:
    """Return how to run a program whose name was typed for a command; None if it is no program."""
    from difflib import get_close_matches
    from shutil import which

    from nono.policy.profile.detection import AGENTS
    from nono.printable import shell_word

    if name in AGENTS:
        return f"nono run --profile {AGENTS[name]} --allow-cwd -- {name}"
    is_typing_mistake = get_close_matches(name, known, n=1, cutoff=_SAME_WORD)
    if is_typing_mistake or which(name) is None:
        return None
    return f"nono run --allow-cwd -- {shell_word(name)} runs that program in the sandbox"


def _unknown(name: str) -> UsageError:
    # Imported here: only a mistake needs it.
    from difflib import get_close_matches

    from nono.cli.args.mistakes import COMMANDS as SYNONYMS
    from nono.cli.args.near_options import commands_with

    known = [*ALIASES, *(each for each, command in COMMANDS.items() if not command.is_hidden)]
    kind, close = "command", get_close_matches(name, known, n=1)
    if name.startswith("-"):
        kind, name = "option", name.partition("=")[0]
        close = [each for each in known if name == f"--{each}"] or get_close_matches(name, _OWN, n=1)
        if name not in SYNONYMS and (owners := commands_with(name)):
            owner = "run" if "run" in owners else owners[0]
            return UsageError(
                f"no such {kind}: '{name}'", hint=f"put it after the command: nono {owner} {name}"
            )
    hint = SYNONYMS.get(name) or (_as_program(name, known) if kind == "command" else None)
    if hint is None:
        hint = f"did you mean '{close[0]}'?" if close else "nono --help lists the commands"
    return UsageError(f"no such {kind}: '{name}'", hint=hint)
