"""Resolve the paths of flags, profile and groups into the grants and denials of a run."""

from collections.abc import Iterable, Iterator, Sequence
from posixpath import dirname

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
    accesses,
    directory_flag,
    group_grants,
    on_9p,
    united,
    without_keys,
    without_unsafe_temporary,
)
from nono.policy.files.links import LinkGuard, Way, way_of_profile
from nono.policy.files.masks.masking import masking_of
from nono.policy.files.masks.spellings import in_words, respelled
from nono.policy.files.own_state import OwnState, own_denials, own_state
from nono.policy.files.repositories import (
    changeable,
    kept_hooks,
    keys_in_settings,
    named_by_settings,
    repository_grants,
)
from nono.policy.files.requested import paths_of_profile, requested_grants, state_directories
from nono.policy.files.socket_rules import as_files, socket_directories, socket_grants
from nono.policy.files.state_links import links_out_of
from nono.policy.files.system.around import around
from nono.policy.files.system.cgroups import cgroup_grants
from nono.policy.files.unix_sockets import UnixSocketRules
from nono.policy.git.repository import Repository, repository_of
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
from nono.policy.socket_grant import united as united_sockets
from nono.printable import shell_word


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
    insisted: tuple[str, ...]  # warnings to show even with --silent
    names_threads: bool  # with an NVIDIA GPU
    repository: Repository | None  # the working directory's git repository


class FileRules(NamedTuple):
    """The child's access to files."""

    grants: tuple[Grant, ...]
    sockets: UnixSocketRules
    socket_directories: tuple[SocketDirectory, ...]
    deny_rules: DenyRules
    masking: Masking
    repository: Repository | None  # the repository if its settings can be changed
    hooks: str | None  # the repository's hooks, kept unchanged where a mount can do that
    warnings: tuple[str, ...]  # includes those of WantedFiles
    insisted: tuple[str, ...]


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
    workdir = canonical_as_far(path_context.workdir, fs)
    home = canonical_as_far(path_context.home, fs)
    notes = _Notes([], [], [])
    asked = _asked(request, profile, groups, path_context, fs, own, notes)
    guard, offer = asked.guard, asked.workdir_offer
    denials = (*group_denials(groups, path_context, fs), *_profile_denials(profile, path_context, guard, fs))
    shared = () if offer is None else (offer,)
    named = named_by_settings((*asked.grants, *shared), DenyRules(denials), path_context, fs, notes.warnings)
    safe = [
        each for each in named if guard.planted(Way(each.original)) is None and not own.overlaps(each, fs)
    ]
    grants = (*asked.grants, *safe)
    sockets = guard.kept(
        [*socket_grants(request, profile, path_context, fs, own.roots, notes.skipped)], notes.insisted
    )
    for grant in (*grants, *shared) if request.allow_cwd else grants:
        own.refuse(grant, fs)
    notes.warnings.extend(_of_patterns(profile))
    bypasses = _bypasses(request, profile, path_context, guard, fs, notes)
    return WantedFiles(
        grants=grants,
        sockets=united_sockets(sockets),
        denials=denials,
        bypasses=tuple(bypasses),
        state_directories=asked.state_directories,
        workdir=workdir,
        workdir_offer=offer,
        own_state=own,
        skipped=tuple(dict.fromkeys(notes.skipped)),
        warnings=tuple(notes.warnings),
        insisted=tuple(notes.insisted),
        names_threads=asked.names_threads,
        repository=repository_of(workdir, home, fs),
    )


class _Notes(NamedTuple):
    """What a person is told about the files of a run, collected as they are resolved; see WantedFiles."""

    skipped: list[str]
    warnings: list[str]
    insisted: list[str]


class _Asked(NamedTuple):
    """The grants of a run before git's settings name more, and the judge of the links on the way to them."""

    grants: tuple[Grant, ...]
    state_directories: tuple[Grant, ...]
    workdir_offer: Grant | None
    names_threads: bool
    guard: LinkGuard


def _asked(
    request: RunRequest,
    profile: Profile | None,
    groups: Sequence[Group],
    path_context: PathContext,
    fs: Filesystem,
    own: OwnState,
    notes: _Notes,
) -> _Asked:
    """Collect the grants of groups, profile and request, without those behind a planted link."""
    workdir = canonical_as_far(path_context.workdir, fs)
    home = canonical_as_far(path_context.home, fs)
    guarded = (home, *fs.aliases(home, of_tree=True), *own.paths)
    of_groups, unsafe = without_unsafe_temporary(
        group_grants(groups, path_context, fs), path_context, guarded, fs
    )
    notes.warnings.extend(unsafe)
    of_groups, with_keys = without_keys(around(of_groups, guarded, fs), path_context.home, fs)
    asked = [(grant, Way(grant.original, is_typed=False)) for grant in of_groups]
    asked += requested_grants(request, profile, path_context, fs, own.roots, notes.skipped)
    states = [*state_directories(profile, path_context, fs, notes.skipped)]
    offer = _workdir_offer(profile, (), workdir, path_context)
    where_it_stands = [(offer, Way(workdir))] if offer is not None else []
    guard = LinkGuard((*asked, *states, *where_it_stands), path_context, fs)
    kept = guard.kept(asked, notes.insisted)
    _refuse_planted(guard, states, kept, request, path_context)
    grants = [*kept, *(grant for grant, _ in states)]
    notes.warnings.extend(
        f"{each.original} is not granted: it seems to hold a key. "
        f"--read-file {shell_word(each.original)} grants it."
        for each in with_keys
        if accesses(grants, each.path) is None
    )
    offer = _workdir_offer(profile, grants, workdir, path_context)
    of_gpu, names_threads = _of_gpu(request, profile, fs)
    grants += (*of_gpu, *cgroup_grants(groups, fs))
    if request.allow_cwd and offer is None and accesses(grants, workdir) is None:
        notes.warnings.append(
            "--allow-cwd grants nothing: the profile's workdir.access is none; --allow . does."
        )
    state_grants = tuple(sorted((grant for grant, _ in states), key=lambda grant: grant.path))
    return _Asked(tuple(grants), state_grants, offer, names_threads, guard)


def _of_gpu(request: RunRequest, profile: Profile | None, fs: Filesystem) -> tuple[Sequence[Grant], bool]:
    """Return the grants of --allow-gpu, and whether its threads are named."""
    if not request.allow_gpu:
        return (), False
    # Imported here: few runs use one.
    from nono.policy.files.system.gpu import gpu_grants

    return gpu_grants(profile, fs)


def _of_patterns(profile: Profile | None) -> Iterator[str]:
    """Yield a warning for each pattern that is denied."""
    for text in filter(is_pattern, profile.filesystem.deny if profile else ()):
        yield f"filesystem.deny '{text}' covers what is there now, and not what comes later."


def _refuse_planted(
    guard: LinkGuard,
    states: Iterable[tuple[Grant, Way]],
    kept: Sequence[Grant],
    request: RunRequest,
    path_context: PathContext,
) -> None:
    """Raise SandboxError if a planted link leads to a state directory or to --workdir.

    kept: What is granted otherwise. A state directory that a person has named by what it leads to is theirs.
    """
    named = [grant for grant in kept if grant.is_users]
    for grant, way in states:
        held = accesses(named, grant.path)
        if held is None or not held.covers(grant.access):
            flag = directory_flag(grant.access)
            guard.refuse(f"Refusing the state directory '{grant.original}'", way, flag)
    if request.workdir is not None:
        guard.refuse(f"Refusing --workdir {request.workdir}", Way(path_context.workdir), "--workdir")


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
    if wanted.repository is not None:
        own, rules = wanted.own_state, DenyRules(wanted.denials)
        of_it = repository_grants(wanted.repository, wanted.workdir, grants, rules)
        grants = (*grants, *(grant for grant in of_it if not own.overlaps(grant, fs)))
    named = as_files(wanted.sockets)
    denials = (*wanted.denials, *own_denials(grants, path_context.environ, fs))
    deny_rules = with_bypasses(denials, wanted.bypasses, (*grants, *named))
    enforceable(named, deny_rules, fs)
    kept, dropped = enforceable(grants, deny_rules, fs)
    roots = wanted.own_state.paths
    masking = masking_of(kept, deny_rules, fs, wanted.state_directories)
    hooks = kept_hooks(wanted.repository, kept, deny_rules, fs)
    protected = [*filter(None, [hooks]), *(gap.path for gap in masking.absent if not gap.denial.is_of_group)]
    return FileRules(
        grants=united(kept),
        sockets=UnixSocketRules(wanted.sockets, deny_rules, roots),
        socket_directories=socket_directories(wanted.sockets, deny_rules.denials, roots, path_context, fs),
        deny_rules=deny_rules,
        masking=masking,
        repository=changeable(wanted.repository, kept),
        hooks=hooks,
        warnings=(
            *wanted.warnings,
            *dropped,
            *on_9p(kept, fs),
            *in_words(respelled(protected, fs)),
            *keys_in_settings(kept, fs),
            *links_out_of(wanted.state_directories, kept, deny_rules, path_context, fs),
        ),
        insisted=wanted.insisted,
    )


def _profile_denials(
    profile: Profile | None, path_context: PathContext, guard: LinkGuard, fs: Filesystem
) -> Iterator[Denial]:
    if profile is None:
        return
    files = profile.filesystem
    for text in (*files.deny, *files.deny_if_present):
        is_certain = text in files.deny
        origin = f"{profile.label}, filesystem.{'deny' if is_certain else 'deny_if_present'}"
        try:
            found = paths_of_profile(text, path_context, fs, stays_inside=False)
        except UnsetVariableError as unset:  # skipping it would expose a path that should be denied
            raise ConfigError(f"{origin}: '{text}': {unset}.") from unset
        for each in found:
            if not is_certain and fs.entry(each) is None:
                continue
            refuse_child_relative(each, origin)
            # The last link is denied itself. A link before it could be redirected, so that something else is
            # denied.
            guard.refuse(f"{origin}: '{text}' cannot be denied", Way(dirname(each)), "deny what is below")
            yield from denials_of(each, origin, fs)


def _bypasses(
    request: RunRequest,
    profile: Profile | None,
    path_context: PathContext,
    guard: LinkGuard,
    fs: Filesystem,
    notes: _Notes,
) -> list[Bypass]:
    """Return the paths to exempt; warns of a profile's that do not exist, or lie behind a planted link."""
    workdir = canonical_as_far(path_context.workdir, fs)
    originals = list[str]()
    for text in profile.filesystem.bypass_protection if profile else ():
        try:
            found = paths_of_profile(text, path_context, fs, stays_inside=True)
        except UnsetVariableError:
            found = ()
        there = [path for path in found if fs.canonical(path) is not None]
        if not there:
            notes.warnings.append(f"filesystem.bypass_protection: '{text}' does not exist and is ignored.")
        for path in there:
            planted = guard.planted(way_of_profile(text, path, path_context, workdir))
            if planted is None:
                originals.append(path)
            else:
                notes.insisted.append(
                    f"filesystem.bypass_protection: '{text}' is ignored: {planted}. "
                    "If it is yours, name what it leads to."
                )
    for text in request.bypass_protection:
        path = path_context.of_flag(text)
        guard.refuse(f"Refusing --bypass-protection {text}", Way(path), "--bypass-protection")
        originals.append(path)
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
