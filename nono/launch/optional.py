"""Enter the parts of a run that not every run has. Each is imported by the runs that have it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from posixpath import join

from nono.errors import in_words
from nono.launch.around.slow_lookups import ToldIfSlow
from nono.launch.prepare import Prepared
from nono.launch.session import Session, Warn
from nono.launch.start import RunContext
from nono.policy.resolve import Resolved
from nono.printable import shell_word
from nono.sandbox.launcher import Launcher
from nono.supervisor.child import wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.audit.traffic import Traffic
    from nono.launch.around.granted_repositories import Watched
    from nono.launch.around.left.agent_snapshots import Snapshots
    from nono.launch.around.repository_watch import Change
    from nono.launch.proxy.ca_worker import CaWorker
    from nono.launch.terminal.own_terminal import OwnTerminal, Visitor
    from nono.supervisor.limits.cgroup import Cgroup


def traffic_of(prepared: Prepared) -> Traffic | None:
    """Return the counters of a run's requests, if it has a proxy."""
    if prepared.enforcement.rung is None:
        return None
    from nono.audit.traffic import Traffic

    return Traffic()


def limited(prepared: Prepared, launcher: Launcher, warn: Warn) -> AbstractContextManager[Cgroup | None]:
    """Create the cgroup of a run with limits."""
    if prepared.cgroups is None:
        return nullcontext()
    from nono.supervisor.limits.cgroup import limited

    return limited(prepared.cgroups, prepared.capabilities.limits, (os.getpid(), launcher.pid), warn)


def certified(prepared: Prepared, environ: Mapping[str, str]) -> AbstractContextManager[CaWorker | None]:
    """Fork the process that makes the CA of a run with a proxy."""
    if prepared.enforcement.rung is None:
        return nullcontext()
    from nono.launch.proxy.ca_worker import ca_worker

    return ca_worker(prepared.resolved, environ)


def with_own_logins(prepared: Prepared, environ: Mapping[str, str]) -> AbstractContextManager[None]:
    """Make places for the logins that the command has to itself."""
    masking = prepared.capabilities.masking
    if all(mask.own is None for mask in masking.masks):
        return nullcontext()
    from nono.launch.proxy.own_logins import places_ready

    return places_ready(masking, environ)


def temporary_directory(stack: ExitStack, session_id: str, warn: Warn) -> str | None:
    """Create a directory for temporary files until the stack is left; None, after a warning, on failure."""
    # Imported here: with namespaces, /tmp is the command's own.
    from nono.launch.around.temporary_directory import temporary_directory

    try:
        return stack.enter_context(temporary_directory(session_id))
    except OSError as error:
        warn(f"the run has no directory for temporary files: {in_words(error)}")
        return None


def run_before_hook(prepared: Prepared, session: Session) -> Mapping[str, str]:
    """Run the hook before the command, if there is one. Returns the variables that it adds."""
    if prepared.resolved.session_hooks.before is None:
        return {}
    from nono.launch.around.session_hooks import run_before

    return run_before(prepared, session)


def run_after_hook(prepared: Prepared, session: Session, exit_code: int) -> None:
    """Run the hook after the command, if there is one."""
    if prepared.resolved.session_hooks.after is not None:
        from nono.launch.around.session_hooks import run_after

        run_after(prepared, session, exit_code)


def read_env_credentials(resolved: Resolved, environ: Mapping[str, str], warn: Warn) -> Mapping[str, str]:
    """Read the credentials that the command itself holds, by variable."""
    if not resolved.env_credentials:
        return {}
    from nono.credentials.env_credentials import read_env_credentials
    from nono.launch.trusted.search_path import beside_command

    beside = beside_command(environ, resolved.capabilities.grants)
    return read_env_credentials(resolved.env_credentials, beside, warn)


@contextmanager
def repositories_watched(session: Session, prepared: Prepared, insist: Warn) -> Iterator[None]:
    """Record what changes in git repositories, or is made one, where a person has granted a directory.

    It is said even in a silent run.
    """
    from nono.launch.around.granted_repositories import Watched, places_of

    capabilities = prepared.resolved.capabilities
    places = places_of(capabilities.workdir, capabilities.grants)
    watched = [Watched(place, above=place == capabilities.workdir) for place in places]
    own = prepared.resolved.repository
    if own is not None and own not in [each.repository for each in watched]:
        watched.append(Watched(own.top, own))
    everything: list[Watched | Snapshots] = [*watched, *_snapshots(prepared)]
    try:
        yield
    finally:
        with ToldIfSlow(lambda: ", ".join(each.place for each in everything), insist):
            changes = list(dict.fromkeys(change for each in everything for change in _changes(each, insist)))
        # Said first, and whatever happened: a command that fills the disk lets nothing be recorded.
        for change in changes:
            insist(change.sentence)
    for change in changes:
        session.record(change.event)


def _snapshots(prepared: Prepared) -> Sequence[Snapshots]:
    """Return the repositories of agents that the run may change."""
    from nono.launch.around.granted_repositories import snapshots_of

    resolved = prepared.resolved
    places = [*snapshots_of(resolved.capabilities.grants, resolved.path_context)]
    if not places:
        return ()
    from nono.launch.around.left.agent_snapshots import Snapshots  # few runs have an agent

    return [Snapshots(place) for place in places]


def _changes(watched: Watched | Snapshots, insist: Warn) -> Sequence[Change]:
    """Return what git runs now and did not before; warns if that cannot be told."""
    from nono.launch.around.repository_files import LookError

    try:
        found = [*watched.changes()]
    except LookError as error:
        insist(
            f"nono cannot tell whether this run changed what git runs outside ({error.reason}): look at "
            f"the hooks and settings of git in {shell_word(watched.place)}"
        )
        return ()
    if not found:
        return ()
    # Imported here: most runs change nothing.
    from nono.launch.around.repository_watch import cut

    return [*cut(found, watched.place)]


@contextmanager
def agents_watched(prepared: Prepared, insist: Warn) -> Iterator[None]:
    """Say, even in a silent run, which settings and programs of agents it has changed that run outside."""
    from nono.launch.around.left import agent_installs, agent_settings

    paths = prepared.resolved.path_context
    places = agent_settings.places_of(prepared.capabilities, paths)
    installs = agent_installs.places_of(prepared.capabilities, paths)
    before, installed = agent_settings.look(places), agent_installs.look(installs)
    try:
        yield
    finally:  # whatever happened, as above
        with ToldIfSlow(lambda: ", ".join(places), insist):
            sentences = list(agent_settings.sentences(places, before))
            sentences += agent_installs.sentences(installs, installed)
        for sentence in sentences:
            insist(sentence)


@contextmanager
def denied_files_watched(prepared: Prepared, insist: Warn) -> Iterator[None]:
    """Say, even in a silent run, which denied files git holds empty now."""
    repository, masking = prepared.resolved.repository, prepared.capabilities.masking
    if repository is None or not masking.masks:
        yield
        return
    from nono.launch.around.left import emptied_files

    files = emptied_files.files_of(masking, repository)
    before = emptied_files.look(repository, files) if files else frozenset()
    try:
        yield
    finally:  # whatever happened, as above
        with ToldIfSlow(lambda: repository.top, insist):
            sentences = list(emptied_files.sentences(repository, files, before)) if files else []
        for sentence in sentences:
            insist(sentence)


@contextmanager
def gh_watched(prepared: Prepared, insist: Warn) -> Iterator[None]:
    """Say, even in a silent run, that gh has kept a token where the command can read it."""
    directory = dict(prepared.resolved.environment.fixed).get("GH_CONFIG_DIR")
    if directory is None:
        yield
        return
    file = join(directory, "hosts.yml")
    before = _changed_ns(file)
    try:
        yield
    finally:  # whatever happened, as above
        if _changed_ns(file) not in (None, before):
            # Imported here: few runs log in with gh.
            from nono.launch.around.left import gh_logins

            for sentence in gh_logins.told(file):
                insist(sentence)


def _changed_ns(file: str) -> int | None:
    try:
        return os.lstat(file).st_ctime_ns
    except OSError:
        return None


def import_meanwhile(prepared: Prepared, *, has_terminal: bool) -> None:
    """Import what the run needs later: the launcher is moving, and there would be nothing else to do."""
    if prepared.enforcement.rung is not None:
        from nono.launch import outset, run_proxy  # noqa: F401 - imported for later

        return
    if has_terminal:
        from nono.launch.terminal import own_terminal  # noqa: F401 - imported for later
        from nono.sessions import meeting  # noqa: F401 - imported for later
    from nono.launch.record import proof  # noqa: F401 - imported for later


def supervise(run: RunContext) -> int:
    """Run the command to its end. Returns its exit code."""
    enforcement = run.prepared.enforcement
    if enforcement.rung is not None:
        # Imported here, as below: only these runs have one.
        from nono.launch import outset
        from nono.launch.run_proxy import with_proxy

        return outset.supervise(run, with_proxy)
    if enforcement.is_served or run.beside.carried is not None:
        # Imported here: only runs that are served, or whose log is sent to others, need it.
        from nono.launch import outset

        return outset.supervise(run, outset.without_proxy)
    # Nothing is served, so use no event loop: importing one would take longer than the command.
    run.restrict({}, None)
    if run.options.front is None:
        run.go()
        return wait(run.child)
    # Imported here: other runs share their terminal with the caller, or have none.
    from nono.launch.terminal.own_terminal import Shown, wait_on_poll

    shown = Shown(run.options.front, run.child, run.entry, run.session, run.env_credentials)
    return wait_on_poll(shown, run.go, partial(_go_on, run))


def _go_on(run: RunContext, terminal: OwnTerminal, visitors: Sequence[Visitor]) -> int:
    # Imported here: most sessions are asked nothing.
    from nono.audit.dedup import DedupRecorder
    from nono.launch import outset, supervised

    with outset.ended_in_order(run, DedupRecorder(run.session.record)):
        return supervised.go_on(run, terminal, visitors)
