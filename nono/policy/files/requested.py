"""Collect the grants that a profile and the command line ask for, each with the path as requested."""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import dirname, join, normpath

from nono.errors import ConfigError, NonoError
from nono.named_tuple import NamedTuple
from nono.policy.capability import Access, Grant
from nono.policy.files.grants import Wanted, requested_grant
from nono.policy.files.links import Asked, Way, way_of_profile
from nono.policy.files.own_state import StateRoot, refuse_state_roots
from nono.policy.path_expansion import (
    Filesystem,
    PathContext,
    UnsetVariableError,
    canonical_as_far,
    is_pattern,
)
from nono.policy.request import RunRequest
from nono.policy.schema.profile import Profile
from nono.printable import shell_word

_LISTS: tuple[tuple[str, Access, Wanted], ...] = (
    ("allow", Access.READWRITE, "dir"),
    ("read", Access.READ, "dir"),
    ("write", Access.WRITE, "dir"),
    ("allow_file", Access.READWRITE, "file"),
    ("read_file", Access.READ, "file"),
    ("write_file", Access.WRITE, "file"),
)


class MissingPathError(NonoError):
    """A path on the command line does not exist."""

    def __init__(self, message: str, *, hint: str, path: str) -> None:
        super().__init__(message, hint=hint)
        self.path = path

    @property
    def is_to_be_made(self) -> bool:
        """True if the hint is to make it."""
        return str(self.hint).startswith("mkdir")


class _Wish(NamedTuple):
    original: str
    way: Way
    access: Access
    wanted: Wanted
    source: str


def requested_grants(
    request: RunRequest,
    profile: Profile | None,
    path_context: PathContext,
    fs: Filesystem,
    roots: tuple[StateRoot, ...],
    skipped: list[str],
) -> Iterator[Asked[Grant]]:
    """Yield the grants of profile and request; adds missing paths to `skipped`.

    Raises MissingPathError for one that was typed, unless the request allows it, and as refuse_state_roots().
    """
    for wish in _wishes(request, profile, path_context, fs, skipped):
        grant = requested_grant(wish.original, wish.access, wish.wanted, wish.source, fs)
        if grant is not None:
            yield grant, wish.way
            continue
        skipped.append(wish.original)
        # A later run may find the path: refuse now if it may never be granted.
        path = canonical_as_far(wish.original, fs)
        missing = Grant(path, wish.access, wish.wanted != "file", wish.source, wish.original)
        refuse_state_roots(missing, roots, fs)
        if request.refuses_missing and wish.source == "user":
            raise _missing_error(wish.original, wish.wanted, wish.access, fs)


def _missing_error(path: str, wanted: Wanted, access: Access, fs: Filesystem) -> MissingPathError:
    """Return the error for a missing path on the command line."""
    entry = fs.entry(path)
    if entry is not None and entry.kind == "link":
        if _leads_back(path, fs):
            message = f"'{path}' is a link that leads back to itself, so it cannot be granted."
            return MissingPathError(message, hint="remove the link, or change what it leads to", path=path)
        message = f"'{path}' is a link that leads nowhere, to '{entry.target}', so it cannot be granted."
        return MissingPathError(message, hint="make what it leads to, or remove the link", path=path)
    if "$" in path:
        hint = "the shell did not replace a variable: use double quotes, or none"
    elif wanted == "file" and access.writes:
        above = dirname(path)
        made = "" if not above or fs.kind(above) == "dir" else f"mkdir -p {shell_word(above)} && "
        hint = f"{made}touch {shell_word(path)}, or --allow-missing to go on without it"
    elif wanted == "file":
        hint = "a file that is not there cannot be granted; grant its directory"
    else:
        hint = f"mkdir -p {shell_word(path)}, or --allow-missing to go on without it"
    return MissingPathError(f"'{path}' does not exist, so it cannot be granted.", hint=hint, path=path)


def _leads_back(path: str, fs: Filesystem) -> bool:
    """Return True if the links that begin at `path` come round to one that was followed before."""
    followed = set[str]()
    while (entry := fs.entry(path)) is not None and entry.target is not None:
        if path in followed:
            return True
        followed.add(path)
        path = normpath(join(dirname(path), entry.target))
    return False


def _wishes(
    request: RunRequest,
    profile: Profile | None,
    path_context: PathContext,
    fs: Filesystem,
    skipped: list[str],
) -> Iterator[_Wish]:
    workdir = canonical_as_far(path_context.workdir, fs)
    for name, access, wanted in _LISTS:
        for text in getattr(profile.filesystem, name) if profile else ():
            try:
                # A directory field of a profile accepts a file too, because one profile serves many machines.
                kind: Wanted = "any" if wanted == "dir" else wanted
                found = paths_of_profile(text, path_context, fs, stays_inside=True)
                if not found:
                    skipped.append(f"{text} (nothing matches)")
                for path in found:
                    way = way_of_profile(text, path, path_context, workdir)
                    yield _Wish(path, way, access, kind, "profile")
            except UnsetVariableError as unset:
                skipped.append(f"{text} ({unset})")
        for text in getattr(request, name):
            path = path_context.of_flag(text)
            yield _Wish(path, Way(path), access, wanted, "user")


def state_directories(
    profile: Profile | None, path_context: PathContext, fs: Filesystem, skipped: list[str]
) -> Iterator[Asked[Grant]]:
    """Yield the grants of state_dir, including those of missing directories.

    Raises ConfigError for a path that is not a directory.
    """
    workdir = canonical_as_far(path_context.workdir, fs)
    for text in profile.filesystem.state_dir if profile else ():
        try:
            original = path_context.of_profile(text)
        except UnsetVariableError as unset:
            skipped.append(f"{text} ({unset})")
            continue
        grant = requested_grant(original, Access.READWRITE, "any", "profile", fs)
        if grant is None:
            grant = Grant(canonical_as_far(original, fs), Access.READWRITE, True, "profile", original)
        elif not grant.is_dir:
            raise ConfigError(f"filesystem.state_dir: '{original}' is not a directory.")
        yield grant, way_of_profile(text, original, path_context, workdir)


def paths_of_profile(
    text: str, path_context: PathContext, fs: Filesystem, *, stays_inside: bool
) -> tuple[str, ...]:
    """Return the paths of a profile's entry. Raises UnsetVariableError as PathContext.expand does."""
    path = path_context.of_profile(text)
    if not is_pattern(text):
        return (path,)
    # Imported here: few profiles have patterns.
    from nono.policy.files.path_patterns import matches

    return matches(normpath(path), fs, stays_inside=stays_inside)
