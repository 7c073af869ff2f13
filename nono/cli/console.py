"""Print nono's lines to stderr, or nothing with --silent. stdout belongs to the command."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping

from nono import paths
from nono.printable import held_together, printable_line, without_middle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol, TextIO

    from nono.cli.args.parse import Given
else:
    Protocol = object


_INDENT = "\n    "
# Begin what a person copies: a terminal copies what it wrapped itself as one line.
_WHOLE = ("$ ", "fix: ", "undo ", "nono ")
_COMMAND = ": nono "
_HANGING = 4
_WARNING_MAX = 4000  # columns of a line; a setting of git may have a name of a megabyte
_WSL2 = "\nkernel-enforced. "  # as the documentation has it, in a warning without names


class Log(Protocol):
    """A file that lines are appended to."""

    def write(self, level: str, line: str) -> None: ...


class Console:
    """Print nono's lines. Warnings about weaker enforcement are printed even with --silent."""

    def __init__(self, *, silent: bool, verbosity: int, log: Log | None = None) -> None:
        """log: also receives what is printed, unless silent."""
        self.silent = silent
        self.verbosity = 0 if silent else verbosity
        self._log = None if silent else log

    def lines(self, lines: Iterable[str]) -> None:
        if not self.silent:
            width = line_columns(sys.stderr, os.environ)
            for line in lines:
                tell(folded(printable_line(line), width))
                self.log("INFO", line)

    def warn(self, text: str) -> None:
        if not self.silent:
            self.insist(text)

    def note(self, text: str) -> None:
        """Print a note, even with --silent, that something which was asked for is switched off."""
        self._warned(f"  [nono] {_hanging(text)}")

    def insist(self, text: str) -> None:
        """Print a warning, even with --silent, that the run is weaker than it looks."""
        self._warned(f"  [nono] WARNING: {_hanging(text)}")

    def log(self, level: str, text: str) -> None:
        """Write text to the log, if there is one, without printing: the person learns of it another way."""
        if self._log is not None and (level != "INFO" or self.verbosity > 0):
            self._log.write(level, text)

    def _warned(self, line: str) -> None:
        width = line_columns(sys.stderr, os.environ)
        tell("\n".join(_fitting(each, width) for each in line.split("\n")))
        self.log("WARN", line.strip())


def tell(text: str) -> None:
    """Print a line to stderr. A full disk there, or a reader that is gone, ends no run (ADR 103)."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        return  # nobody can be told


def folded(line: str, width: int | None) -> str:
    """Break a line between words where it is wider than the terminal, which would break it within a word.

    Returns a line for a person to copy as it is, and any line if width is None.
    """
    # Not by textwrap, which takes 2 ms to import.
    if width is None:
        return line
    if not line.strip(" -"):
        return line[:width]  # a rule
    if line.lstrip().startswith(_WHOLE):
        return line
    indent = " " * (len(line) - len(line.lstrip()) + _HANGING)
    pieces, start, line = [], len(indent) - _HANGING, held_together(line)
    is_command = False
    while len(line) > width and not is_command:
        whole = line.find(_COMMAND) + 1 or len(line)  # a command is copied, and broken only before it
        end = line.rfind(" ", start, min(width, whole) + 1)
        if end <= start:  # a word that is as long as that, such as a path
            end = line.find(" ", max(width, start), whole + 1)  # nothing can be broken in the indent
        if end < 0:
            break
        pieces.append(line[:end].rstrip())
        is_command = end == whole < len(line)
        line, start = indent + line[end:].lstrip(), len(indent)
    return "\n".join([*pieces, line]).replace("\0", " ")


def _fitting(line: str, width: int | None) -> str:
    if width is None or len(line) <= _WARNING_MAX:
        return folded(line, width)
    return without_middle(line, _WARNING_MAX)


def _hanging(text: str) -> str:
    """Escape a warning, but for nono's own line ends: what a name adds may look like a warning."""
    return _WSL2.join(map(_indented, text.split(_WSL2)))


def _indented(text: str) -> str:
    return _INDENT.join(map(printable_line, text.split(_INDENT)))


def console_of(given: Given, *, silent: bool) -> Console:
    """Return the console of a command. If its log cannot be opened, say so on stderr and continue."""
    plain = Console(silent=silent, verbosity=given.count("verbose"))
    path = given.value("log_file")
    console = plain if path is None or silent else _logging(plain, path)
    for warning in given.insisted:
        console.insist(warning)
    for name in paths.ignored(os.environ):
        console.warn(f"{name}={os.environ[name]} is ignored, as it is not an absolute path.")
    return console


def _logging(plain: Console, path: str) -> Console:
    # Imported here: few runs write such a file.
    from nono.cli.log_file import LogFile

    try:
        return Console(silent=False, verbosity=plain.verbosity, log=LogFile(path))
    except OSError as error:
        plain.note(f"the log file {path} cannot be opened: {error.strerror}. Messages are shown here only.")
        return plain


def can_ask() -> bool:
    """Check that stdin and stderr are a terminal with nono in its foreground.

    In the background, reading would stop this process.
    """
    if not (os.isatty(0) and os.isatty(2)):
        return False
    # Imported here: without a terminal nobody is asked.
    from nono.typed.line import in_front

    return in_front()


def agrees(question: str) -> bool:
    """Ask on standard error, and read a line of standard input. Returns True only for a yes.

    Call only if standard input is a terminal that no run is at: its command could write the question, or
    type the answer.
    """
    # Imported here: most commands ask nothing.
    from nono.approval.ask import is_yes
    from nono.typed.waiting import wait_for

    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    wait_for(reading=0)
    return is_yes(sys.stdin.readline().strip())


def is_at_terminal() -> bool:
    """Check that the three standard streams are one terminal."""
    try:
        found = {os.fstat(stream).st_rdev for stream in range(3)}
    except OSError:
        return False
    return len(found) == 1 and os.isatty(0)


def is_coloured(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Check that colours are wanted: NO_COLOR, then CLICOLOR_FORCE, then the terminal decides."""
    if environ.get("NO_COLOR"):
        return False
    if environ.get("CLICOLOR_FORCE", "0") not in ("", "0"):
        return True
    return stream.isatty() and environ.get("TERM") != "dumb"


def columns(stream: TextIO, environ: Mapping[str, str], usual: int = 80) -> int:
    """Return the width to print in: $COLUMNS, the width of the terminal, or the usual one."""
    given = environ.get("COLUMNS", "")
    if given.isascii() and given.isdecimal() and int(given[:5]) > 0:
        return int(given[:5])
    try:
        return os.get_terminal_size(stream.fileno()).columns or usual
    except (OSError, ValueError):  # for a stream without a descriptor
        return usual


def line_columns(stream: TextIO, environ: Mapping[str, str]) -> int | None:
    """Return the column at which table rows are cut, the width of a terminal; None: piped rows stay whole."""
    return columns(stream, environ) if stream.isatty() else None
