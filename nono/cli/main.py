"""Dispatches sys.argv to a command, and turns its errors into one sentence."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from nono import __version__
from nono.cli.command_table import COMMANDS, LATER
from nono.errors import NonoError, UsageError
from nono.printable import printable

USAGE = """\
usage: nono [-s] [--log-file FILE] [-h] [-V] COMMAND ...

Runs a program so that the kernel holds it to what you granted, and so that it
never holds a real API key.

commands:
{commands}

  nono COMMAND --help says more about one of them.

example:
  nono credential set openai
  nono run --allow . --network-profile developer --credential openai -- agent
"""

GLOBAL_FLAGS = frozenset({"-s", "--silent"})
GLOBAL_VALUES = frozenset({"--theme", "--log-file"})


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that argv names. Returns the exit status of the process."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _open_closed_streams()
    try:
        status = _dispatch(arguments)
        # Flushed here, so that a full disk or a closed pipe still becomes a sentence.
        sys.stdout.flush()
        return status
    except NonoError as error:
        _complain(error.message, error.hint)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output is gone. Python would complain again when it flushes at exit.
        sys.stdout = None
        return 1
    except OSError as error:
        # Mostly our own output on a full disk; commands turn expected errors into NonoErrors themselves.
        _complain(f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error))
        sys.stdout = None  # or Python would flush again at exit, and print its own error
        return 1
    except KeyboardInterrupt:
        return 130


def _open_closed_streams() -> None:
    """Open /dev/null for each standard stream that the caller has closed.

    Python sets such a stream to None, and print then falls back to stdout; its descriptor number would go to
    the next file opened.
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
    with suppress(OSError):  # nobody is left to tell
        print(f"nono: {printable(message)}", file=sys.stderr)
        if hint:
            print(f"hint: {printable(hint)}", file=sys.stderr)


def _dispatch(arguments: list[str]) -> int:
    leading = _take_globals(arguments)
    if not arguments:
        print(_usage(), file=sys.stderr)
        return 2
    name, rest = arguments[0], [*leading, *arguments[1:]]
    if name in ("-h", "--help"):
        print(_usage())
        return 0
    if name in ("-V", "--version"):
        print(f"nono {__version__}")
        return 0
    if name in COMMANDS:
        return COMMANDS[name].load().run(rest)
    if name in LATER:
        raise UsageError(f"`nono {name}` is not available yet.")
    raise UsageError(
        f"no such command or option: '{name}'.{_nearest(name)}", hint="nono --help lists the commands"
    )


def _take_globals(arguments: list[str]) -> list[str]:
    """Remove the global options before the command and return them, to be passed to it."""
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


def _usage() -> str:
    return USAGE.format(
        commands="\n".join(f"  {name:<16}{command.help}" for name, command in COMMANDS.items())
    )


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, [*COMMANDS, *LATER], n=1)
    return f" Did you mean '{close[0]}'?" if close else ""
