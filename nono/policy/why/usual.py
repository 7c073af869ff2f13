"""Guess what a failed command needed and was not granted, because the kernel does not report refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from posixpath import dirname, join

from nono.named_tuple import NamedTuple
from nono.policy.capability import Access
from nono.policy.effective_policy import EffectivePolicy
from nono.policy.files.grants import directory_flag, file_flag, opens_too_much
from nono.policy.files.path_verdict import Denied, NotGranted, TooWeak
from nono.policy.path_expansion import (
    Filesystem,
    Kind,
    PathContext,
    ancestry,
    canonical_as_far,
    is_within,
)
from nono.policy.why.commands.words import STARTERS, Started, started, with_script
from nono.policy.why.lacking.certificates import named_certificates
from nono.policy.why.lacking.home_project import home_as_project
from nono.policy.why.lacking.namespaces import MAKE_MOUNTS
from nono.policy.why.lacking.services import asked_services
from nono.policy.why.lacking.signing import signing_key
from nono.policy.why.sockets import is_hidden
from nono.policy.why.usual_table import (
    ANSWERS,
    BUILD_HERE,
    CHANGE_NAMES,
    READ_HERE,
    TABLE,
    WORKDIR,
    WRITE_ALL,
    WRITE_LAST,
    Row,
    place_of_program,
)
from nono.printable import shell_word

LISTED_MAX = 6
_NAMED = "named in the command"
_WRITTEN = "where the command writes"
_ON_PATH = "a directory of your PATH"
_PROGRAM = "the program itself"
_TO_START = "it does not start without"
_AROUND = "holds the program"
NOT_FOUND = (126, 127)  # of a shell: not executable, not found


class Absentee(NamedTuple):
    """A path that the run did not grant and that its command may have needed."""

    path: str
    access: Access
    purpose: str
    needed_by: str  # the program
    flag: str | None  # the option that would grant it; None: denied, or it would grant too much
    instead: str | None = None  # what to do, where no option grants it


# Tells whether this user has the access outside the sandbox.
IsUsable = Callable[[str, Access], bool]
# Returns the interpreters and shared libraries without which a program does not start.
NeedsOf = Callable[[str], Iterable[str]]
# Returns the directory, such as /tmp, of which the command has another that lacks what is at the path.
HiddenBelow = Callable[[str], str | None]


def nothing_needed(program: str) -> Iterable[str]:
    return ()


def nothing_hidden(path: str) -> str | None:
    return None


def usually_needed(
    argv: Sequence[str],
    exit_code: int,
    rules: EffectivePolicy,
    path_context: PathContext,
    fs: Filesystem,
    is_usable: IsUsable,
    needs_of: NeedsOf = nothing_needed,
    hidden_below: HiddenBelow = nothing_hidden,
    script: str = "",
) -> list[Absentee]:
    """Return what the command named or usually needs and was not granted; empty after a plain answer.

    needs_of: Looks into a program that is there.
    script: The file of a shell's script. The command may have written it, so no path that it names is told.
    """
    path_context = path_context._replace(cwd=path_context.workdir)  # where the command starts
    programs = [each for each in started(argv) if _does_something(each)] or started(argv)
    if exit_code == 1 and all(each.program in ANSWERS for each in programs):
        return []
    found = chain(
        signing_key(programs, argv, exit_code, path_context, fs),
        home_as_project(programs, path_context, fs),
        _candidates(programs, exit_code, path_context, fs, needs_of),
        named_certificates(programs, rules, path_context),
        asked_services(programs, rules.capabilities, path_context),
        _usual(started(with_script((), script))),
    )
    judged = (_judged(each, by, rules, path_context, fs, is_usable, hidden_below) for each, by in found)
    by_path: dict[str, Absentee] = {}
    for each in judged:
        if each is not None and not any(is_within(each.path, known) for known in by_path):
            by_path[each.path] = each
    return list(by_path.values())[:LISTED_MAX]


def _does_something(each: Started) -> bool:
    """Return True unless it starts the next one and no more, as a shell that opens no file itself."""
    return each.program not in STARTERS or bool(each.written and not each.operands)


def _candidates(
    programs: Sequence[Started], exit_code: int, path_context: PathContext, fs: Filesystem, needs_of: NeedsOf
) -> Iterator[tuple[Row, str]]:
    """Yield every row that fits, most telling first, with the program that it fits."""
    if exit_code in NOT_FOUND:
        yield from _to_start(programs, path_context, fs, needs_of)
    here = Row(path_context.workdir, Access.READ, WORKDIR)
    for program, operands, _, written, _ in programs:
        for path in (path_context.of_flag(word) for word in written):
            yield Row(_place_of(path, fs), Access.WRITE, _WRITTEN), program
        if program in BUILD_HERE:
            yield here._replace(access=Access.READWRITE), program
        elif program in READ_HERE and not operands:
            yield here, program
        for row in _named(program, operands, path_context, fs):
            yield row, program
    yield from _usual(programs)


def _usual(programs: Iterable[Started]) -> Iterator[tuple[Row, str]]:
    for each in programs:
        yield from ((row, each.program) for row in TABLE if row.fits(each))


def _to_start(
    programs: Sequence[Started], path_context: PathContext, fs: Filesystem, needs_of: NeedsOf
) -> Iterator[tuple[Row, str]]:
    """Yield what the programs need to start; the directories of PATH for the last if none of them has it."""
    entries = [
        each
        for each in dict.fromkeys(path_context.environ.get("PATH", "").split(":"))
        if each.startswith("/")
    ]
    for at, (program, _, word, _, _) in enumerate(programs, 1):
        paths = [path_context.of_flag(word)] if "/" in word else [join(entry, word) for entry in entries]
        path = next((each for each in paths if fs.kind(each) == "file"), None)
        if path is not None:
            yield Row(path, Access.READ, _PROGRAM), program
            for needed in needs_of(path):
                yield Row(needed, Access.READ, _TO_START), program
        elif at == len(programs) and "/" not in word:
            for entry in entries:
                yield Row(entry, Access.READ, _ON_PATH), program


def _named(program: str, operands: Sequence[str], path_context: PathContext, fs: Filesystem) -> Iterator[Row]:
    """Yield the paths that the operands name. A relative one is in the command's initial directory."""
    for path in _written(program, operands, path_context, fs):
        yield Row(path, Access.WRITE, _WRITTEN)
    for word in operands if program not in MAKE_MOUNTS else ():  # what they mount is not what they lack
        path = path_context.of_flag(word)
        if fs.kind(path) is not None:
            if not word.startswith(("/", "~")):
                yield Row(path_context.workdir, Access.READ, WORKDIR)
            yield Row(path, Access.READ, _NAMED)


def _written(
    program: str, operands: Sequence[str], path_context: PathContext, fs: Filesystem
) -> Iterator[str]:
    """Yield what a program that changes files must write: existing files, or their directories."""
    if program in WRITE_LAST:
        operands = operands[-1:]
    elif program not in WRITE_ALL:
        return
    for word in operands:
        path = path_context.of_flag(word)
        yield dirname(path.rstrip("/")) if program in CHANGE_NAMES else _place_of(path, fs)


def _place_of(path: str, fs: Filesystem) -> str:
    """Return what a write to `path` needs: the file itself, or the directory that will hold it."""
    return path if fs.kind(path) is not None else dirname(path.rstrip("/"))


def _located(row: Row, path_context: PathContext, fs: Filesystem) -> tuple[str, str, Kind | None] | None:
    """Return the path of a row, what is there of it and its kind; None if it is not there.

    What a program makes in a fresh home, as a directory, need not be: something above it is there.
    """
    named = path_context.of_flag(row.path)
    path = fs.canonical(named)
    if path is not None:
        return path, path, fs.kind(path)
    if row.instead is None or not row.access.writes:
        return None
    path = canonical_as_far(named, fs)
    upward = sorted(ancestry(path), key=len, reverse=True)
    above = next((each for each in upward if fs.kind(each) is not None), None)
    return None if above is None else (path, above, "dir")


def _judged(
    row: Row,
    program: str,
    rules: EffectivePolicy,
    path_context: PathContext,
    fs: Filesystem,
    is_usable: IsUsable,
    hidden_below: HiddenBelow,
) -> Absentee | None:
    """Return the path of a row that is closed to the command or hidden from it, and open to this user."""
    located = _located(row, path_context, fs)
    if located is None:
        return None
    path, there, kind = located
    needed_outside = Access.READ if row.is_filled else row.access
    if not path.isprintable() or not is_usable(there, needed_outside):
        return None
    if row.is_service:
        if not is_hidden(path, rules.capabilities) and hidden_below(path) is None:
            return None
        flag = None if row.instead else f"--allow-unix-socket {shell_word(path)}"
        return Absentee(path, row.access, f"{row.purpose}, outside", program, flag, row.instead)
    if kind in (None, "socket"):
        return None
    match rules.files.judge((path,), row.access):
        case Denied(denial) if row.is_told_if_denied or row.purpose in (_NAMED, _WRITTEN, _PROGRAM):
            purpose = f"{row.purpose}, denied by {denial.origin}"
            return Absentee(path, row.access, purpose, program, None, row.instead)
        case TooWeak(held):
            access = row.access
            purpose = f"{row.purpose}; granted for {held.value} only"
        case NotGranted():
            access, purpose = row.access, row.purpose
            if purpose in (_PROGRAM, _TO_START):
                place = place_of_program(path, path_context, fs)
                path, kind, purpose = (path, kind, purpose) if place is None else (place, "dir", _AROUND)
        case _:
            own = hidden_below(path) if row.purpose == _NAMED else None
            if own is None:
                return None
            access, purpose = row.access, f"{row.purpose}; the run has a {own} of its own, without it"
    flag = directory_flag(access) if kind == "dir" else file_flag(access)
    is_offered = row.instead is None and not opens_too_much(path, path_context, fs)
    offered = f"{flag} {shell_word(path)}" if is_offered else None
    return Absentee(path, access, purpose, program, offered, row.instead)
