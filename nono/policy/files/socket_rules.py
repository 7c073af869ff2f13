"""Turn the Unix sockets in flags and a profile into grants, and into the file access those imply."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from posixpath import basename, dirname, normpath

from nono.errors import NonoError
from nono.policy.capability import Access, Denial, Grant
from nono.policy.files.links import Asked, Way, way_of_profile
from nono.policy.files.own_state import StateRoot, refuse_state_roots
from nono.policy.path_expansion import (
    XDG,
    Filesystem,
    PathContext,
    UnsetVariableError,
    canonical_as_far,
    is_within,
    parent_resolved,
)
from nono.policy.request import RunRequest
from nono.policy.schema.profile import Profile
from nono.policy.socket_grant import SocketDirectory, SocketGrant, SocketScope
from nono.printable import shell_word

# Fields of a profile; prefixed with "allow_", the names of the flags.
_LISTS: tuple[tuple[str, SocketScope, bool], ...] = (
    ("unix_socket", SocketScope.FILE, False),
    ("unix_socket_bind", SocketScope.FILE, True),
    ("unix_socket_dir", SocketScope.DIR_CHILDREN, False),
    ("unix_socket_dir_bind", SocketScope.DIR_CHILDREN, True),
    ("unix_socket_subtree", SocketScope.DIR_SUBTREE, False),
    ("unix_socket_subtree_bind", SocketScope.DIR_SUBTREE, True),
)


def socket_grants(
    request: RunRequest,
    profile: Profile | None,
    path_context: PathContext,
    fs: Filesystem,
    roots: tuple[StateRoot, ...],
    skipped: list[str],
) -> Iterator[Asked[SocketGrant]]:
    """Yield the grants of profile and request; adds missing paths to `skipped`.

    Raises NonoError for a path that has the wrong type, is a dangling link, is the root directory, or is
    inside a protected root, even if it does not exist yet.
    """
    workdir = canonical_as_far(path_context.workdir, fs)
    for text, original, scope, binds, source in _wishes(request, profile, path_context, skipped):
        path = _resolved(original, scope, binds, fs)
        refuse_state_roots(
            Grant(path or canonical_as_far(original, fs), Access.READ, False, source, original), roots, fs
        )
        if path is None and request.refuses_missing and source == "user":
            raise _missing_error(original, scope, binds, fs)
        if path is None:
            skipped.append(original)
        else:
            is_users = source == "user"
            way = Way(original) if is_users else way_of_profile(text, original, path_context, workdir)
            yield SocketGrant(path, scope, binds, source, "/" + normpath(original).lstrip("/")), way


def _wishes(
    request: RunRequest, profile: Profile | None, path_context: PathContext, skipped: list[str]
) -> Iterator[tuple[str, str, SocketScope, bool, str]]:
    for name, scope, binds in _LISTS:
        for text in getattr(profile.filesystem, name) if profile else ():
            try:
                yield text, path_context.of_profile(text), scope, binds, "profile"
            except UnsetVariableError as unset:
                skipped.append(f"{text} ({unset})")
        for text in getattr(request, f"allow_{name}"):
            yield text, path_context.of_flag(text), scope, binds, "user"


def _resolved(original: str, scope: SocketScope, binds: bool, fs: Filesystem) -> str | None:
    canonical = fs.canonical(original)
    kind = None if canonical is None else fs.kind(canonical)
    if scope is not SocketScope.FILE:
        if canonical == "/":
            raise NonoError("Refusing to grant every Unix socket below '/'.", hint="name a directory")
        if kind is not None and kind != "dir":
            raise NonoError(
                f"Expected a directory but got a file: {original}",
                hint=f"--allow-unix-socket {shell_word(original)}",
            )
        return canonical
    if kind == "socket":
        return canonical
    if canonical is not None:
        hint = (
            f"--allow-unix-socket-dir {shell_word(original)} grants the sockets in it"
            if kind == "dir"
            else None
        )
        raise NonoError(f"Expected a pathname Unix socket: {original}", hint=hint)
    if not binds:
        return None
    name = parent_resolved(original, fs)
    entry = fs.entry(name)
    if entry is not None and entry.kind == "link":
        raise NonoError(
            f"Expected a pathname Unix socket: {original} is a link to what does not exist",
            hint="name what it leads to",
        )
    return name if fs.kind(dirname(name)) == "dir" and basename(name) not in ("", ".", "..") else None


def _missing_error(original: str, scope: SocketScope, binds: bool, fs: Filesystem) -> NonoError:
    """Return the error for a missing path on the command line."""
    if scope is SocketScope.FILE and not binds:
        return NonoError(
            f"'{original}' does not exist, so it cannot be granted.",
            hint="start what listens there first, or --allow-missing to go on without it",
        )
    if scope is SocketScope.FILE:
        directory = dirname(parent_resolved(original, fs))
        if fs.kind(directory) is not None:
            return NonoError(f"'{original}' cannot be granted: no socket can have that name.")
        message = f"'{original}' cannot be granted: the directory '{directory}' does not exist."
    else:
        directory = original
        message = f"'{original}' does not exist, so it cannot be granted."
    return NonoError(
        message, hint=f"mkdir -p {shell_word(directory)}, or --allow-missing to go on without it"
    )


def as_files(sockets: Iterable[SocketGrant]) -> list[Grant]:
    """Return the socket paths as file grants, for the checks those have to pass.

    A directory stands only for itself, not for its contents: a denied socket below it is refused when it is
    used (nono.policy.files.unix_sockets).
    """
    return [
        Grant(each.path, Access.READWRITE if each.binds else Access.READ, False, each.source, each.original)
        for each in sockets
    ]


def socket_directories(
    sockets: tuple[SocketGrant, ...],
    denials: Iterable[Denial],
    roots: Iterable[str],
    path_context: PathContext,
    fs: Filesystem,
) -> tuple[SocketDirectory, ...]:
    """Return the directories where the command may list granted sockets, or create and remove them.

    Landlock's right to remove applies to every file in the directory and below. So it is withheld where it
    would reach far beyond the socket: in /, in the home directory and its parents, and around denied paths or
    nono's own state. A server that is started there again fails because its old socket still exists.
    """
    if not sockets:
        return ()
    known = filter(None, map(path_context.built_in, ("HOME", *XDG)))
    bases = {canonical_as_far(base, fs) for base in known}
    guarded = (*roots, *(denial.path for denial in denials))
    binds: dict[str, bool] = {}
    for socket in sockets:
        is_file = socket.scope is SocketScope.FILE
        directory = dirname(socket.path) if is_file else socket.path
        is_narrow = directory != "/" and directory not in bases
        is_near = any(is_within(path, directory) or is_within(directory, path) for path in guarded)
        if (socket.binds or not is_file) and is_narrow and not is_near:
            binds[directory] = binds.get(directory, False) or socket.binds
    return tuple(SocketDirectory(directory, makes) for directory, makes in binds.items())
