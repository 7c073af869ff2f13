"""Explain why a program was not started: the kernel gives an errno, but not the file it is about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from nono.named_tuple import NamedTuple
from nono.policy.capability import Access
from nono.policy.effective_policy import EffectivePolicy
from nono.policy.files.grants import directory_flag, file_flag
from nono.policy.files.path_verdict import Denied, Granted, NotGranted, Protected
from nono.policy.path_expansion import is_within
from nono.policy.why.program_file import ProgramFile
from nono.printable import shell_word


class Part(NamedTuple):
    """A file needed to start the program: the program, or the interpreter of the part before it."""

    name: str  # as the command line or the part before it named it
    path: str | None  # canonical; None: it does not exist, or cannot be reached
    is_executable: bool
    is_noexec: bool  # its file system is mounted noexec
    file: ProgramFile
    is_closed: bool = False  # this user may not search a directory that leads to it


class Why(NamedTuple):
    """Why the program was not started, and what would help."""

    reason: str
    hint: str | None = None


# Returns the directories without which a program does not run; empty: its file is enough.
PlacesOf = Callable[[str], tuple[str, ...]]


class OwnPlaces(NamedTuple):
    """The command's private directories, such as /tmp, and the paths that stay visible in them."""

    directories: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()

    def hides(self, path: str) -> str | None:
        """Return the private directory that hides `path` from the command; None: the path is visible."""
        if any(is_within(path, each) for each in self.shown):
            return None
        return next((each for each in self.directories if is_within(path, each)), None)


def why_not_started(
    parts: Sequence[Part], rules: EffectivePolicy, own: OwnPlaces, machine: str, places_of: PlacesOf
) -> Why | None:
    """Return the first reason found; None if something else is wrong.

    parts: The program, then its interpreter, then the interpreter of that, and so on.
    machine: The machine name of this computer, as in uname(2).
    """
    found = (why for at in range(len(parts)) for why in _of_part(parts, at, rules, own, machine, places_of))
    return next(found, None)


def _of_part(
    parts: Sequence[Part], at: int, rules: EffectivePolicy, own: OwnPlaces, machine: str, places_of: PlacesOf
) -> Iterator[Why]:
    part, above = parts[at], parts[at - 1] if at else None
    what = "it" if above is None else f"its interpreter {part.name.removesuffix('\r')}"
    if above is not None and above.file.ends_in_cr:
        yield Why(
            "its first line ends with a carriage return, as in files from Windows",
            f"sed -i 's/\\r$//' {shell_word(above.path or above.name)}",
        )
    if part.path is None and part.is_closed:
        yield Why(f"{what} cannot be reached: a directory that leads to it is closed to you")
        return
    if part.path is None:
        yield Why(f"{what} does not exist", _of_missing(above))
        return
    # Checked first: a script may name any file as its interpreter, and a grant is suggested only for a
    # file that is executable.
    if not part.is_executable:
        where = " on its file system, which is mounted noexec" if part.is_noexec else ""
        yield Why(f"{what} cannot be executed{where}")
        return
    yield from _of_rules(parts[at:], what, rules, own, places_of)
    if part.file.machine not in (None, machine) and not _runs_too(part.file.machine, machine):
        yield Why(f"{what} is a program for {part.file.machine}, and this machine is {machine}")
    elif part.file.is_neither:
        hint = None if at else f"nono run -- sh {shell_word(part.path)}"
        yield Why(f"{what} is neither a program nor a script with a #! line", hint)


def _of_rules(
    parts: Sequence[Part], what: str, rules: EffectivePolicy, own: OwnPlaces, places_of: PlacesOf
) -> Iterator[Why]:
    """Yield what the rules have against the first part, with the options that grant all that lack a grant."""
    path = str(parts[0].path)
    named = what if path == parts[0].name else f"{what} is {path}, which"
    match rules.files.judge((path,), Access.READ):
        case Denied(denial):
            yield Why(f"{named} is denied by {denial.origin}", f"nono why {shell_word(path)}")
        case Protected(root):
            yield Why(f"{named} is in {root}, which nono keeps from every command")
        case Granted() if (hidden := own.hides(path)) is not None:
            lacking = f"the command has a {hidden} of its own, where {what} is not"
            yield Why(lacking, " ".join(_options(path, places_of, rules)) or None)
        case Granted():
            return
        case _:
            closed = (
                str(each.path)
                for each in parts
                if each.is_executable
                and isinstance(rules.files.judge((str(each.path),), Access.READ), NotGranted)
            )
            options = dict.fromkeys(option for each in closed for option in _options(each, places_of, rules))
            yield Why(f"{named} is not granted", " ".join(options) or None)


def _options(path: str, places_of: PlacesOf, rules: EffectivePolicy) -> list[str]:
    """Return the options that grant a program, or the directories that it needs; leave out what is granted.

    What cannot be typed is left out too.
    """
    places = places_of(path)
    flag = directory_flag(Access.READ) if places else file_flag(Access.READ)
    return [
        f"{flag} {shell_word(each)}"
        for each in places or (path,)
        if each.isprintable()
        and (each == path or not isinstance(rules.files.judge((each,), Access.READ), Granted))
    ]


def _of_missing(above: Part | None) -> str | None:
    if above is None or above.file.is_script:
        return None
    return "it was built for another system, such as one with musl instead of glibc"


def _runs_too(machine: str | None, here: str) -> bool:
    """Return True for a 32-bit program that a 64-bit machine can run."""
    return (machine, here) in {("i386", "x86_64"), ("arm", "aarch64")}
