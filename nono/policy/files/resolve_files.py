"""Resolves the paths of flags, profile and groups into the grants and denials of a run."""

from collections.abc import Iterator, Sequence
from posixpath import normpath

from nono.errors import ConfigError
from nono.named_tuple import NamedTuple
from nono.policy.builtin.shipped import Group
from nono.policy.capability import Access, Denial, Grant, Masking
from nono.policy.files.denials import (
    Bypass,
    DenyRules,
    denials_of,
    enforceable,
    group_denials,
    refuse_child_relative,
    with_bypasses,
)
from nono.policy.files.grants import (
    Wanted,
    accesses,
    group_grants,
    requested_grant,
    united,
    without_unsafe_temporary,
)
from nono.policy.files.masking import masking_of
from nono.policy.files.own_state import OwnState, StateRoot, own_denials, own_state, refuse_state_roots
from nono.policy.files.socket_rules import as_files, socket_directories, socket_grants
from nono.policy.files.unix_sockets import UnixSocketRules
from nono.policy.path_expansion import (
    Filesystem,
    PathContext,
    UnsetVariableError,
    canonical_as_far,
    is_pattern,
    parent_resolved,
)
from nono.policy.request import RunRequest
from nono.policy.schema.profile import Profile
from nono.policy.socket_grant import SocketDirectory, SocketGrant

_LISTS: tuple[tuple[str, Access, Wanted], ...] = (
    ("allow", Access.READWRITE, "dir"),
    ("read", Access.READ, "dir"),
    ("write", Access.WRITE, "dir"),
    ("allow_file", Access.READWRITE, "file"),
    ("read_file", Access.READ, "file"),
    ("write_file", Access.WRITE, "file"),
)


class WantedFiles(NamedTuple):
    """The grants and denials asked for by groups, profile and request, not yet checked against each other."""

    grants: tuple[Grant, ...]  # includes those of state_dir and a GPU, not the working directory
    sockets: tuple[SocketGrant, ...]
    denials: tuple[Denial, ...]
    bypasses: tuple[Bypass, ...]
    state_directories: tuple[Grant, ...]  # also in grants; some do not exist yet
    workdir: str  # canonical
    workdir_offer: Grant | None  # the grant --allow-cwd adds; None: nothing
    own_state: OwnState
    skipped: tuple[str, ...]  # requested by a person, but missing
    warnings: tuple[str, ...]
    names_threads: bool  # with an NVIDIA GPU


class FileRules(NamedTuple):
    """The child's access to files."""

    grants: tuple[Grant, ...]
    sockets: UnixSocketRules
    socket_directories: tuple[SocketDirectory, ...]
    deny_rules: DenyRules
    masking: Masking
    start_directory: str  # the working directory if a grant covers it, else "/"
    warnings: tuple[str, ...]  # includes those of WantedFiles


def wanted_files(
    request: RunRequest,
    profile: Profile | None,
    groups: Sequence[Group],
    path_context: PathContext,
    fs: Filesystem,
) -> WantedFiles:
    """Collect the grants and denials asked for by groups, profile (None: none was named) and request.

    Raises NonoError if a path does not expand, has the wrong type or overlaps nono's state.
    """
    own = own_state(path_context.environ, fs)
    home = canonical_as_far(path_context.home, fs)
    guarded = (home, *fs.aliases(home, of_tree=True), *own.paths)
    grants, warnings = without_unsafe_temporary(
        group_grants(groups, path_context, fs), path_context, guarded, fs
    )
    skipped: list[str] = []
    grants += _requested_grants(request, profile, path_context, fs, own.roots, skipped)
    state_directories = _state_directories(profile, path_context, fs, skipped)
    grants += state_directories
    names_threads = False
    if request.allow_gpu:
        # Imported here: few runs use one.
        from nono.policy.files.gpu import gpu_grants

        of_gpu = gpu_grants(profile, fs)
        grants += of_gpu.grants
        names_threads = of_gpu.names_threads
    workdir = canonical_as_far(path_context.workdir, fs)
    offer = _workdir_offer(profile, grants, workdir, path_context)
    if request.allow_cwd and offer is None and accesses(grants, workdir) is None:
        warnings.append("--allow-cwd grants nothing: the profile's workdir.access is none.")
    sockets = socket_grants(request, profile, path_context, fs, own.roots, skipped)
    for grant in (*grants, offer) if offer is not None and request.allow_cwd else grants:
        own.refuse(grant, fs)
    denials = (*group_denials(groups, path_context, fs), *_profile_denials(profile, path_context, fs))
    if profile is not None:
        for text in filter(is_pattern, profile.filesystem.deny):
            warnings.append(f"filesystem.deny '{text}' covers what is there now, and not what comes later.")
    bypasses = _bypasses(request, profile, path_context, fs, warnings)
    return WantedFiles(
        grants=tuple(grants),
        sockets=sockets,
        denials=denials,
        bypasses=tuple(bypasses),
        state_directories=tuple(sorted(state_directories, key=lambda grant: grant.path)),
        workdir=workdir,
        workdir_offer=offer,
        own_state=own,
        skipped=tuple(dict.fromkeys(skipped)),
        warnings=tuple(warnings),
        names_threads=names_threads,
    )


def file_rules(
    wanted: WantedFiles, path_context: PathContext, fs: Filesystem, *, shares_workdir: bool
) -> FileRules:
    """Check denials against the wanted grants. `shares_workdir` adds the working directory if it is offered.

    Raises NonoError if the working directory overlaps nono's state, SandboxError if a grant meets a denial.
    """
    grants = wanted.grants
    if shares_workdir and wanted.workdir_offer is not None:
        wanted.own_state.refuse(wanted.workdir_offer, fs)
        grants = (*grants, wanted.workdir_offer)
    named = as_files(wanted.sockets)
    denials = (*wanted.denials, *own_denials(grants, path_context.environ, fs))
    deny_rules = with_bypasses(denials, wanted.bypasses, (*grants, *named))
    enforceable(named, deny_rules, fs)
    kept, dropped = enforceable(grants, deny_rules, fs)
    is_open = accesses(kept, wanted.workdir) is not None and deny_rules.covering(wanted.workdir) is None
    roots = wanted.own_state.paths
    return FileRules(
        grants=united(kept),
        sockets=UnixSocketRules(wanted.sockets, deny_rules, roots),
        socket_directories=socket_directories(wanted.sockets, deny_rules.denials, roots, path_context, fs),
        deny_rules=deny_rules,
        masking=masking_of(kept, deny_rules, fs),
        start_directory=wanted.workdir if is_open else "/",
        warnings=(*wanted.warnings, *dropped),
    )


def _requested_grants(
    request: RunRequest,
    profile: Profile | None,
    path_context: PathContext,
    fs: Filesystem,
    roots: tuple[StateRoot, ...],
    skipped: list[str],
) -> Iterator[Grant]:
    """Yield the grants of profile and request; adds missing paths to `skipped`."""
    for original, access, wanted, source in _wishes(request, profile, path_context, fs, skipped):
        grant = requested_grant(original, access, wanted, source, fs)
        if grant is not None:
            yield grant
            continue
        skipped.append(original)
        # A later run may find the missing path: refuse now if it may never be granted.
        path = canonical_as_far(original, fs)
        refuse_state_roots(Grant(path, access, wanted != "file", source, original), roots, fs)


def _wishes(
    request: RunRequest,
    profile: Profile | None,
    path_context: PathContext,
    fs: Filesystem,
    skipped: list[str],
) -> Iterator[tuple[str, Access, Wanted, str]]:
    for name, access, wanted in _LISTS:
        for text in getattr(profile.filesystem, name) if profile else ():
            try:
                # A directory field of a profile takes a file too: one profile serves many machines.
                kind: Wanted = "any" if wanted == "dir" else wanted
                found = _of_profile(text, path_context, fs, stays_inside=True)
                if not found:
                    skipped.append(f"{text} (nothing matches)")
                for path in found:
                    yield path, access, kind, "profile"
            except UnsetVariableError as unset:
                skipped.append(f"{text} ({unset})")
        for text in getattr(request, name):
            yield path_context.of_flag(text), access, wanted, "user"


def _state_directories(
    profile: Profile | None, path_context: PathContext, fs: Filesystem, skipped: list[str]
) -> list[Grant]:
    """Return the grants of state_dir, including those of missing directories."""
    grants: list[Grant] = []
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
        grants.append(grant)
    return grants


def _profile_denials(profile: Profile | None, path_context: PathContext, fs: Filesystem) -> Iterator[Denial]:
    for text in profile.filesystem.deny if profile else ():
        origin = f"{profile.label}, filesystem.deny" if profile else ""
        try:
            path = path_context.of_profile(text)
        except UnsetVariableError as unset:  # skipping it would leave accessible a path meant to be denied
            raise ConfigError(f"{origin}: '{text}': {unset}.") from unset
        for each in _matching(path, fs, stays_inside=False) if is_pattern(text) else (path,):
            refuse_child_relative(each, origin)
            yield from denials_of(each, origin, fs)


def _of_profile(
    text: str, path_context: PathContext, fs: Filesystem, *, stays_inside: bool
) -> tuple[str, ...]:
    """Return the paths of a profile's entry. Raises UnsetVariableError as PathContext.expand does."""
    path = path_context.of_profile(text)
    return _matching(path, fs, stays_inside=stays_inside) if is_pattern(text) else (path,)


def _matching(pattern: str, fs: Filesystem, *, stays_inside: bool) -> tuple[str, ...]:
    # Imported here: few profiles have patterns.
    from nono.policy.files.path_patterns import matches

    return matches(normpath(pattern), fs, stays_inside=stays_inside)


def _bypasses(
    request: RunRequest,
    profile: Profile | None,
    path_context: PathContext,
    fs: Filesystem,
    warnings: list[str],
) -> list[Bypass]:
    """Return the paths to exempt; warns of a profile's that do not exist."""
    originals = list[str]()
    for text in profile.filesystem.bypass_protection if profile else ():
        try:
            found = _of_profile(text, path_context, fs, stays_inside=True)
        except UnsetVariableError:
            found = ()
        there = [path for path in found if fs.canonical(path) is not None]
        if not there:
            warnings.append(f"filesystem.bypass_protection: '{text}' does not exist and is ignored.")
        originals += there
    originals += (path_context.of_flag(text) for text in request.bypass_protection)
    return [(canonical_as_far(original, fs), parent_resolved(original, fs)) for original in originals]


def _workdir_offer(
    profile: Profile | None, grants: Sequence[Grant], workdir: str, path_context: PathContext
) -> Grant | None:
    wanted = profile.workdir.access if profile else "read"
    if wanted == "none":
        return None
    access = Access(wanted)
    held = accesses(grants, workdir)
    is_granted = held is not None and held.covers(access)
    return None if is_granted else Grant(workdir, access, True, "user", path_context.workdir)
