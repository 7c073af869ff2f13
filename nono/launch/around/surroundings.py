"""Find what surrounds a command: the caller's terminals, its own caches, and its view of the system."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping

from nono import paths
from nono.errors import NonoError
from nono.kernel import landlock, landlock_rights
from nono.launch.around.own_environment import own_environment
from nono.launch.prepare import Prepared, ready_state_directories
from nono.policy.capability import Access, CapabilitySet, Grant
from nono.policy.environment.inheritance import (
    RUNTIME_DIRECTORY,
    EnvironmentRules,
    Withheld,
    child_environment,
    judge,
)
from nono.policy.files.grants import accesses
from nono.policy.files.tool_caches.caches import Caches, own_caches
from nono.policy.host_filesystem import HostFilesystem, is_read_only
from nono.policy.path_expansion import PathContext, is_within
from nono.policy.resolve import Resolved
from nono.printable import shell_word
from nono.sandbox.plan import private_view
from nono.sandbox.plan.enforcement import Enforcement, hides_services
from nono.sandbox.plan.plan import has_own_root
from nono.sandbox.plan.private_view import TERMINALS, PrivateView

PTMX = "/dev/ptmx"
SHARED_TMP, VAR_TMP = "/tmp", "/var/tmp"
BASES = (  # below which services have directories of their own
    ("XDG_CACHE_HOME", ".cache"),
    ("XDG_CONFIG_HOME", ".config"),
    ("XDG_DATA_HOME", ".local/share"),
    ("XDG_STATE_HOME", ".local/state"),
    (RUNTIME_DIRECTORY, ".cache"),  # where there is none
)
_OF_PROGRAMS = (
    # Firefox gives up where it may not map ids in a user namespace. With this it makes none, and seccomp
    # alone confines its processes, beside nono.
    ("MOZ_ASSUME_USER_NS", "0"),
    # fakeroot takes EPERM for an answer to chown(2). To an id that a user namespace lacks it gets EINVAL.
    ("FAKEROOTDONTTRYCHOWN", "1"),
)
# Nx 24 waits a minute for its daemon, to which it connects only if root or the user owns each directory above
# the socket. In a user namespace root's belong to nobody.
_WITHOUT_DAEMON_OF_NX = ("NX_DAEMON", "false")


def surrounded(
    prepared: Prepared,
    environ: Mapping[str, str],
    make_temporary: Callable[[], str | None] = lambda: None,
    terminal: str | None = None,
) -> tuple[Prepared, PrivateView | None]:
    """Return a run that is about to start with the grants of its surroundings, and its view of them.

    The view is None without namespaces.

    make_temporary: Creates a temporary directory for the run; called if it has no private /tmp. None: there
      is none, and one that stays, beside the caches, takes its place.
    terminal: The command's own; None: the caller's terminals.
    """
    resolved, view, caches = _surroundings(
        prepared.resolved,
        environ,
        namespaces=prepared.enforcement.namespaces,
        starts=True,
        terminals=None if terminal is None else [terminal],
    )
    own = view.directories if view is not None else ()
    has_own_tmp = SHARED_TMP in own
    # Otherwise SQLite uses the shared /var/tmp, which access(2) calls writable, whatever Landlock allows.
    is_found = bool(environ.get("TMPDIR")) or VAR_TMP in own
    given = os.path.realpath(environ.get("TMPDIR") or SHARED_TMP)
    is_usable = (has_own_tmp and given == SHARED_TMP and is_found) or any(
        is_within(given, grant.path) and grant.access is Access.READWRITE
        for grant in prepared.capabilities.grants
    )
    rules, capabilities = resolved.environment, resolved.capabilities
    is_settled = is_usable or "TMPDIR" in rules.passed or "TMPDIR" in dict(rules.fixed)
    temporary = None if is_settled else SHARED_TMP if has_own_tmp else make_temporary()
    if temporary is not None:
        grant = Grant(temporary, Access.READWRITE, True, "system", temporary)
        capabilities = capabilities._replace(grants=(*capabilities.grants, grant))
    elif not is_settled and caches is not None:
        # Not granted by itself: an earlier command may have made it a link to anywhere.
        temporary = _made_below(caches)
    if temporary is not None:
        rules = rules._replace(fixed=(*rules.fixed, ("TMPDIR", temporary)))
        # Without the variable pnpm 12 keeps its locks in /tmp, whatever TMPDIR says.
        if temporary != SHARED_TMP and _lacks_runtime_directory(rules, environ):
            rules = rules._replace(fixed=(*rules.fixed, (RUNTIME_DIRECTORY, temporary)))
    knows_root = (
        not prepared.enforcement.namespaces
        or os.geteuid() == 0
        or has_own_root(capabilities, prepared.enforcement)
    )
    rules = with_told_programs(rules, environ, knows_root=knows_root)
    return prepared._replace(resolved=resolved._replace(environment=rules, capabilities=capabilities)), view


def _lacks_runtime_directory(rules: EnvironmentRules, environ: Mapping[str, str]) -> bool:
    """Return True if the command would find no XDG_RUNTIME_DIR, and nobody has asked for that."""
    if RUNTIME_DIRECTORY in dict(rules.fixed):
        return False
    verdict = judge(RUNTIME_DIRECTORY, environ.get(RUNTIME_DIRECTORY, ""), rules)
    if isinstance(verdict, Withheld):
        return verdict.rule == "named_only"
    return not environ.get(RUNTIME_DIRECTORY)


def with_told_programs(
    rules: EnvironmentRules, environ: Mapping[str, str], *, knows_root: bool
) -> EnvironmentRules:
    """Tell programs by their variables what they find inside, unless a person has said something else.

    knows_root: The owner of `/` is root or, where the command has a root directory of its own, the user.
    """
    found = _OF_PROGRAMS if knows_root else (*_OF_PROGRAMS, _WITHOUT_DAEMON_OF_NX)
    told = tuple(each for each in found if each[0] not in environ)
    return rules._replace(fixed=(*told, *rules.fixed))


def with_surroundings(resolved: Resolved, environ: Mapping[str, str], *, namespaces: bool) -> Resolved:
    """Return the policy of a run at the caller's terminals with the grants of its surroundings.

    Creates nothing: the run need not start.
    """
    if namespaces and not resolved.capabilities.mediates_unix_sockets:
        resolved = _without_services(resolved, environ)
    return _surroundings(resolved, environ, namespaces=namespaces, starts=False, terminals=None)[0]


def _surroundings(
    resolved: Resolved,
    environ: Mapping[str, str],
    *,
    namespaces: bool,
    starts: bool,
    terminals: list[str] | None,
) -> tuple[Resolved, PrivateView | None, str | None]:
    """Return a policy with the grants of its surroundings, the command's view of them, and its caches' path.

    The view is None without namespaces, the path if there are no caches.

    starts: The run is about to start, so create the directories that it needs.
    terminals: The command's own; None: the caller's.
    """
    roots = _protected(environ)
    resolved, caches = _with_caches(resolved, environ, starts=starts)
    resolved = _with_own_environment(resolved, environ, roots, starts=starts)
    capabilities = resolved.capabilities
    terminals = _terminals() if terminals is None else terminals
    view = None
    if namespaces:
        below = [terminal for terminal in terminals if os.path.dirname(terminal) == TERMINALS]
        view = private_view.private_view(capabilities, roots, below[0] if below else None)
        own = _rendezvous(capabilities, resolved.path_context)
        if starts:
            ready_state_directories(own)
        view = private_view.with_directories(view, [each.path for each in own], capabilities)
        view = private_view.without_hosts(view, HostFilesystem().host_maps(), capabilities, roots)
    ptmx = os.path.realpath(PTMX) if os.path.exists(PTMX) else None
    denied = [denial.path for denial in capabilities.denials]
    grants = (*capabilities.grants, *private_view.own_grants(view, terminals, ptmx, denied))
    if view is not None and not landlock_rights.holds_ioctl(landlock.abi_version()):
        view = private_view.with_devices_held(view, grants)
    return resolved._replace(capabilities=capabilities._replace(grants=grants)), view, caches


def _without_services(resolved: Resolved, environ: Mapping[str, str]) -> Resolved:
    """Return the policy of a run whose mounts keep its command from services outside."""
    # Imported here: `nono wrap` hides nothing.
    from nono.launch.around.outside_services import refuse_too_many, session_of
    from nono.sandbox.plan.outside_services import kept_from

    roots = _protected(environ)
    shared = private_view.shared(resolved.capabilities, roots)
    capabilities = kept_from(session_of(environ, tuple(shared)), resolved.capabilities, roots)
    refuse_too_many(capabilities.closed_sockets)  # not those that a directory of its own covers
    rules = resolved.environment
    if capabilities.runtime_dir is not None:
        rules = rules._replace(granted=rules.granted | {RUNTIME_DIRECTORY})
    return resolved._replace(capabilities=capabilities, environment=rules)


def _with_services_fixed(capabilities: CapabilitySet, environ: Mapping[str, str]) -> CapabilitySet:
    """Return the capabilities of a command whose connects are judged, and which moves no services outside.

    A later run whose connects nobody judges would not find them.
    """
    shared = tuple(private_view.shared(capabilities, _protected(environ)))
    places = [os.path.realpath(paths.xdg(environ, *each)) for each in BASES]
    written = [grant.path for grant in capabilities.grants if grant.access.writes]
    if not shared and not any(is_within(place, path) for place in places for path in written):
        return capabilities
    # Imported here: few commands may write so much.
    from nono.launch.around.outside_services import refuse_too_many, session_of
    from nono.sandbox.plan.outside_services import fixed

    capabilities = fixed(session_of(environ, shared), capabilities)
    own = [path for path in private_view.DIRECTORIES if path not in shared]
    moving = [path for path in written if path not in own]
    refuse_too_many(
        [each for each in capabilities.fixed_sockets if any(is_within(each, path) for path in moving)]
    )
    return capabilities


def _rendezvous(capabilities: CapabilitySet, paths: PathContext) -> list[Grant]:
    """Return where agents outside find what they obey, and the run could put something of its own."""
    # Imported here: `nono wrap` has no directories of its own.
    from nono.policy.learning.agent_programs import RENDEZVOUS, state_directories

    writing = [grant for grant in capabilities.grants if grant.access.writes]
    found = []
    for state, names in RENDEZVOUS.items():
        for around in filter(os.path.isdir, state_directories(state, paths, os.path.realpath)):
            for path in (os.path.join(around, name) for name in names):
                is_granted = (accesses(writing, around) or accesses(writing, path)) is not None
                # Nobody puts anything into a state that is mounted read-only, and no directory can be made.
                if is_granted and (os.path.lexists(path) or not is_read_only(around)):
                    found.append(Grant(path, Access.READWRITE, True, "system", path))
    return found


def hidden_below(path: str, prepared: Prepared, environ: Mapping[str, str]) -> str | None:
    """Return the temporary directory of which the command has another, without what is at `path`."""
    if not prepared.enforcement.namespaces:
        return None
    own = private_view.hidden_below(path, prepared.capabilities, _protected(environ))
    return None if own == private_view.PROCESSES else own


def without_hidden_masks(resolved: Resolved, environ: Mapping[str, str]) -> Resolved:
    """Return the policy of a run with namespaces without masks for what its own directories hide.

    Nothing that is granted later lies beside a denied path there.
    """
    capabilities = resolved.capabilities
    masking = capabilities.masking
    denied = (*(mask.path for mask in masking.masks), *(gap.path for gap in masking.absent))
    own = tuple(f"{directory}/" for directory in private_view.DIRECTORIES)
    if not any(path.startswith(own) for path in denied):
        return resolved
    view = private_view.private_view(capabilities, _protected(environ), None)
    masking = private_view.masked_in(view, masking)
    return resolved._replace(capabilities=capabilities._replace(masking=masking))


def starting(resolved: Resolved, environ: Mapping[str, str], enforcement: Enforcement) -> Resolved:
    """Return the policy with where its command starts: in "/", and a warning, if it cannot stay here.

    It says which services outside are hidden, too. A directory needs no grant to be entered: what is granted
    can then be named from there. Warnings about paths are kept where the command sees these.
    """
    if hides_services(enforcement):
        resolved = _without_services(resolved, environ)
    elif enforcement.namespaces:
        capabilities = _with_services_fixed(resolved.capabilities, environ)
        resolved = resolved._replace(capabilities=capabilities)
    namespaces, capabilities = enforcement.namespaces, resolved.capabilities
    resolved = resolved._replace(
        insisted=(
            *resolved.insisted,
            *(
                each.text
                for each in resolved.of_paths
                if not namespaces
                or private_view.hidden_below(each.path, capabilities, _protected(environ)) is None
            ),
        ),
        of_paths=(),
    )
    reason = _why_not_entered(capabilities, environ, namespaces=namespaces)
    if reason is None:
        return resolved
    return resolved._replace(
        capabilities=capabilities._replace(workdir="/"),
        warnings=(*resolved.warnings, f"the command starts in /: {reason}."),
    )


def _why_not_entered(
    capabilities: CapabilitySet, environ: Mapping[str, str], *, namespaces: bool
) -> str | None:
    workdir = capabilities.workdir
    if any(is_within(workdir, mask.denial.path) for mask in capabilities.masking.masks):
        return f"{workdir} is denied"
    if namespaces:
        own = private_view.hidden_below(workdir, capabilities, _protected(environ))
        if own is not None:
            return f"it has a {own} of its own, without {workdir}"
    # Refused later, and without a start, if it is granted: somebody wants the command there.
    if not os.access(workdir, os.X_OK) and accesses(capabilities.grants, workdir) is None:
        return f"{workdir} cannot be entered"
    return None


def _protected(environ: Mapping[str, str]) -> list[str]:
    return [os.path.realpath(root) for root in paths.protected_roots(environ)]


def _with_caches(
    resolved: Resolved, environ: Mapping[str, str], *, starts: bool
) -> tuple[Resolved, str | None]:
    capabilities, rules = resolved.capabilities, resolved.environment
    caches = _caches_of(resolved)
    if caches is None or (starts and not _made(caches)):
        return resolved, None
    search_path = _search_path(rules, environ)
    if search_path is not None and caches.programs:
        # Behind all others: what an earlier command has put there takes no program's place.
        search_path = os.pathsep.join((search_path, *caches.programs))
        rules = rules._replace(fixed=(*rules.fixed, ("PATH", search_path)))
    resolved = resolved._replace(
        capabilities=capabilities._replace(grants=(*capabilities.grants, caches.grant)),
        environment=rules._replace(fixed=(*caches.variables, *rules.fixed)),
    )
    return resolved, caches.grant.path


def _search_path(rules: EnvironmentRules, environ: Mapping[str, str]) -> str | None:
    """Return the PATH of the command; None if it has none, or one that the person insists on."""
    asked = {name: value for name, value in environ.items() if name == "PATH"}
    return None if "PATH" in rules.passed else child_environment(asked, rules).get("PATH")


def hint_of_own_path(name: str, resolved: Resolved, environ: Mapping[str, str]) -> str | None:
    """Return a hint if a program that is not on the caller's PATH is one that runs here have installed."""
    caches = _caches_of(resolved)
    if caches is None or "/" in name or _search_path(resolved.environment, environ) is None:
        return None
    candidates = [os.path.join(each, name) for each in caches.programs]
    if not any(os.path.isfile(each) and os.access(each, os.X_OK) for each in candidates):
        return None
    return f"runs here have installed it, and find it inside: nono run ... -- env {shell_word(name)}"


def _caches_of(resolved: Resolved) -> Caches | None:
    return own_caches(
        resolved.capabilities.grants,
        resolved.deny_rules,
        resolved.environment,
        resolved.path_context,
        HostFilesystem(),
    )


def _with_own_environment(
    resolved: Resolved, environ: Mapping[str, str], roots: Iterable[str], *, starts: bool
) -> Resolved:
    capabilities, rules = resolved.capabilities, resolved.environment
    search_path = _search_path(rules, environ)
    own = own_environment(
        capabilities.grants, resolved.deny_rules, roots, resolved.path_context, search_path, makes=starts
    )
    if own.search_path is not None:
        rules = rules._replace(fixed=(*rules.fixed, ("PATH", own.search_path)))
    grants = (*capabilities.grants, *own.grants)
    return resolved._replace(capabilities=capabilities._replace(grants=grants), environment=rules)


def _made(caches: Caches) -> bool:
    """Create the directory and what is in it. Returns False if that fails: a command needs no caches."""
    try:
        ready_state_directories((caches.grant,))
    except NonoError:
        return False
    for file in caches.files:
        _made_empty(file)
    for directory in caches.directories:
        _made_directory(directory)
    return True


def _made_empty(file: str) -> None:
    """Create a file where there is nothing. If that is impossible, its program says what it lacks."""
    try:
        # O_EXCL: an earlier command may have made it a link or a FIFO, which is not opened here.
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError:
        return


def _made_directory(path: str) -> None:
    """Create a directory where there is nothing. If that is impossible, its program says what it lacks."""
    try:
        os.mkdir(path, 0o700)  # a link of an earlier command is not followed
    except OSError:
        return


def _made_below(caches: str) -> str | None:
    """Create a directory for temporary files, kept from run to run. None: that is impossible."""
    path = os.path.join(caches, "tmp")
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
    except OSError:
        return None
    return path


def _terminals() -> list[str]:
    """List the terminals on the standard streams, each once."""
    found: dict[str, None] = {}
    for descriptor in range(3):
        try:
            found[os.ttyname(descriptor)] = None
        except OSError:  # not a terminal, or one of another namespace
            continue
    return list(found)
