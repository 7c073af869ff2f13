"""Take a run from the fork of its launcher to the exit code of its command."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import cache, partial

from nono.audit import event
from nono.audit.broadcast import Broadcast
from nono.audit.event import Event
from nono.audit.ledger import BUDGET_BYTES, AuditLog, new_session_id
from nono.audit.redact import USUAL, Redaction, redact_argv
from nono.errors import LaunchError
from nono.kernel import process
from nono.launch.around.surroundings import surrounded
from nono.launch.beside import NO_WISHES, Beside, Wishes
from nono.launch.denials import Denials
from nono.launch.prepare import (
    Prepared,
    enforcement_of,
    place_of_limits,
    program_of,
    ready_state_directories,
)
from nono.launch.session import Say, Session, Warn, open_log, recorder_of
from nono.launch.session_record import session_record
from nono.launch.start import RunContext
from nono.launch.state.file import state_file
from nono.launch.trusted import module_path
from nono.named_tuple import NamedTuple
from nono.policy.capability import NetworkMode, SandboxPolicy
from nono.policy.effective_policy import EffectivePolicy, effective_policy_of
from nono.policy.environment.inheritance import child_environment
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.resolve import Resolved
from nono.sandbox.launcher import Launcher, Probe
from nono.sandbox.plan.facts import MaskFacts
from nono.sandbox.plan.namespaces_verdict import has_namespaces
from nono.sessions.record import End
from nono.supervisor.child import supervise, wait
from nono.supervisor.terminal import shared_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.audit.traffic import Traffic
    from nono.credentials.load import KeyPrompt
    from nono.launch.proxy.ca_worker import CaWorker
    from nono.launch.terminal.front import Front
    from nono.launch.terminal.own_terminal import OwnTerminal, Visitor
    from nono.policy.learning.observation import Observation
    from nono.policy.why.refusals import Refusals
    from nono.supervisor.cgroup.cgroup import Cgroup
    from nono.supervisor.cgroup.limit_report import LimitReport
    from nono.undo.model.changes import Change


class Outcome(NamedTuple):
    """How a run ended."""

    exit_code: int  # the command's; 128+N if signal N ended it
    session_id: str
    denials: Denials
    traffic: Traffic | None  # of a run with a proxy
    end: End  # why it ended, and who ended it
    limit: LimitReport | None  # the limit that ended the command, if one did
    rules: Callable[[], EffectivePolicy]  # the policy that was in effect
    changed: Sequence[Change] | None  # in the directories that undo covers; None: nothing was kept


_UNRECORDED = "a run that cannot be recorded is not started; --no-audit starts it all the same"


class Launch:
    """One run. A context manager: leaving the block ends an unused launcher."""

    def __init__(self, environ: Mapping[str, str], launcher: Launcher) -> None:
        """Take over a launcher that was just forked."""
        self._environ = environ
        self._launcher: Launcher | None = launcher
        self._probes = ExitStack()

    def __enter__(self) -> Launch:
        return self

    def __exit__(self, *_: object) -> None:
        if self._launcher is not None:
            self._launcher.abandon()
        self._probes.close()

    def prepare(self, resolved: Resolved, command: Sequence[str], *, needs_program: bool = True) -> Prepared:
        """Find the program and choose how this kernel enforces the run. Raises NonoError if it cannot."""
        launcher = self._unused()
        if resolved.oauth_routes and resolved.capabilities.masking.masks:
            # Imported here, as below: few runs have a login.
            from nono.launch.proxy.shown_logins import with_shown_logins

            resolved = with_shown_logins(resolved, self._environ)
        capabilities = resolved.capabilities
        chooses_rung = capabilities.network is NetworkMode.PROXY and capabilities.sandbox_policy in (
            SandboxPolicy.AUTO,
            SandboxPolicy.NETNS,
        )
        search_path = self._environ.get("PATH", os.defpath)
        program = program_of(resolved, command[0], search_path) if needs_program else None
        traps_opens = (
            capabilities.elevation
            or capabilities.learns
            or capabilities.names_threads
            or capabilities.checks_instructions
        )
        is_served = traps_opens or capabilities.wants_sockets_served
        has_own_network = capabilities.sandbox_policy is SandboxPolicy.NETNS
        facts = launcher.facts(Probe(chooses_rung or is_served, has_own_network))
        if capabilities.masking.masks:
            # Imported here: most runs mask nothing.
            from nono.sandbox import probe

            facts = self._probes.enter_context(probe.masks_probed(facts, capabilities.masking))
        if resolved.oauth_routes and has_namespaces(capabilities, facts.own_namespaces):
            from nono.launch.proxy.own_logins import with_own_logins

            resolved = with_own_logins(resolved, self._environ)
            capabilities = resolved.capabilities
            if facts.masks is None and capabilities.masking.masks:
                facts = facts._replace(masks=MaskFacts())  # its namespaces can have mounts
        enforcement = enforcement_of(capabilities, facts, is_supervised=True)
        cgroups = None
        if capabilities.limits.is_set:
            launcher.end_probe()  # its children would be in our cgroup too
            self._probes.close()
            cgroups = place_of_limits(capabilities, (os.getpid(), launcher.pid))
        module_path.refuse_writable_code(capabilities.grants, self._environ)
        module_path.withdraw(capabilities.grants)
        prepared = Prepared(resolved, facts, enforcement, program, tuple(command), cgroups)
        if any(resolved.session_hooks):
            # Imported here, as below: few runs have hooks.
            from nono.launch.around.session_hooks import refuse_unfit

            refuse_unfit(prepared)
        if resolved.proxy is not None or resolved.approval is not None:
            # Imported here: other runs trust no roots.
            from nono.launch.trusted.trust_roots import refuse_writable_trust

            refuse_writable_trust(resolved, self._environ)
        return prepared

    def execute(
        self,
        prepared: Prepared,
        *,
        audit: bool,
        proxy_port: int,
        warn: Warn,
        say: Say,
        insist: Warn,
        observation: Observation | None = None,
        redaction: Redaction = USUAL,
        audit_bytes: int = BUDGET_BYTES,
        key_prompt: KeyPrompt | None = None,
        name: str | None = None,
        profile: str | None = None,
        options: Event | None = None,
        refusals: Refusals | None = None,
        front: Front | None = None,
        wishes: Wishes = NO_WISHES,
    ) -> Outcome:
        """Run the command to its end.

        audit: Write an audit log.
        proxy_port: Where the proxy listens; 0 takes a free port.
        warn: Takes a sentence a person must hear before the command has the terminal, or while it runs.
        say: Takes the lines of a summary after the command has ended.
        insist: Takes a sentence a person must hear even with --silent.
        observation: Records the command's file accesses and every event of the audit log.
        redaction: Rules for masking secrets in recorded arguments.
        audit_bytes: Size of the audit log at which actions are refused.
        key_prompt: Asks a person for a missing key; None if nobody can be asked.
        name: Of the session; None makes one.
        profile: As it was named, for the record of the session.
        options: The event that states those of the run; None: they are not recorded.
        refusals: Collects the file accesses that the run does not grant.
        front: The process in front, if the command gets its own terminal; None: it shares the caller's.
        wishes: What goes beside the run.
        """
        ready_state_directories(prepared.resolved.state_directories)
        launcher = self._unused()
        # Before any secret is read: from here on no process of our uid can inspect this one.
        process.set_dumpable(False)
        process.forbid_core_dumps()
        beside = Beside(wishes, prepared, self._environ, warn)
        prepared = beside.prepared
        denials, traffic, session_id = Denials(), _traffic(prepared), new_session_id()
        with ExitStack() as stack:
            cgroup = stack.enter_context(_limited(prepared, launcher, warn))
            # This forks, so it comes before any secret is in memory, and after the cgroup, which we may have
            # left. Early, because the supervisor will wait for what it makes, but after a hook, which may
            # write the roots that it reads.
            waits_for_hook = prepared.resolved.session_hooks.before is not None
            ca_worker = None if waits_for_hook else stack.enter_context(_ca_worker(prepared, self._environ))
            stack.enter_context(_own_logins(prepared, self._environ))
            make_temporary = partial(_temporary_directory, stack, session_id, warn)
            prepared, view = surrounded(
                prepared,
                self._environ,
                make_temporary,
                None if front is None else front.pty.path,
            )
            if view is not None:
                launcher.begin_namespaces(view)
            if view is not None:
                _import_meanwhile(prepared, has_terminal=front is not None)
                launcher.end_namespaces()
            if front is not None:
                launcher.take_terminal(front.pty.slave)
            self._launcher = None
            if front is None:
                terminal = stack.enter_context(shared_terminal())
                warn, say, insist = terminal.writer(warn), terminal.writer(say), terminal.writer(insist)
            argv = redact_argv(prepared.argv, redaction)
            # Left last, because it writes the end of the session, which comes after the end of everything
            # else.
            entry = stack.enter_context(
                session_record(
                    self._environ,
                    prepared,
                    argv,
                    session_id,
                    launcher.pid,
                    name,
                    profile,
                    warn,
                    has_audit=audit,
                    is_detached=front is not None and front.is_detached,
                )
            )
            child = stack.enter_context(
                supervise(launcher.pid, cgroup.kill if cgroup else None, entry.stop_request)
            )
            stack.callback(launcher.close)
            if ca_worker is not None:
                stack.callback(ca_worker.stop)  # before supervise() waits for what is left
            log = stack.enter_context(self._log(session_id, warn, audit_bytes)) if audit else None
            counted = () if traffic is None else (traffic.note,)
            watched = () if observation is None else (observation.recorded,)
            events = Broadcast()
            record = recorder_of(log, denials.note, *counted, *watched, written=events)
            session = Session(self._environ, log, record, warn, say, redaction, session_id)
            _record_start(session, prepared, argv, options, cgroup)
            with beside.end_recorded(session):
                beside.begin(stack, session)
                added = _before_hook(prepared, session)
            if waits_for_hook:
                ca_worker = stack.enter_context(_ca_worker(prepared, self._environ))
            with beside.end_recorded(session):
                beside.keep(stack, session, prepared, child, argv, entry.shown()["name"])
                run = RunContext(
                    prepared,
                    session,
                    launcher,
                    child,
                    entry,
                    events,
                    traffic,
                    front,
                    ca_worker,
                    observation,
                    cgroup,
                    proxy_port,
                    state=stack.enter_context(state_file(self._environ, warn)),
                    env_credentials=_env_credentials(prepared.resolved, self._environ, warn),
                    inherited={
                        **added,
                        **child_environment(self._environ, prepared.resolved.environment),
                    },
                    view=view,
                    close=stack.close,
                    key_prompt=key_prompt,
                    rules=cache(lambda: effective_policy_of(prepared.resolved, HostFilesystem())),
                    live_paths=None,
                    refusals=refusals,
                    beside=beside,
                )
                with _repository_watched(session, prepared, insist):
                    exit_code = _run(run)
            return _outcome(run, denials, exit_code)

    def _log(self, session_id: str, warn: Warn, budget_bytes: int) -> AuditLog:
        return open_log(self._environ, session_id, hint=_UNRECORDED, warn=warn, budget_bytes=budget_bytes)

    def _unused(self) -> Launcher:
        if self._launcher is None:
            raise LaunchError("this launch was used before")
        return self._launcher


def _import_meanwhile(prepared: Prepared, *, has_terminal: bool) -> None:
    """Import what the run needs later: the launcher is moving, and there would be nothing else to do."""
    if prepared.enforcement.rung is not None:
        from nono.launch import outset, run_proxy  # noqa: F401 - imported for later

        return
    if has_terminal:
        from nono.launch.terminal import own_terminal  # noqa: F401 - imported for later
        from nono.sessions import meeting  # noqa: F401 - imported for later
    from nono.launch.record import proof  # noqa: F401 - imported for later


def _traffic(prepared: Prepared) -> Traffic | None:
    if prepared.enforcement.rung is None:
        return None
    # Imported here: only runs with a proxy have requests.
    from nono.audit.traffic import Traffic

    return Traffic()


def _temporary_directory(stack: ExitStack, session_id: str, warn: Warn) -> str | None:
    # Imported here: most runs have namespaces.
    from nono.launch.around.temporary_directory import temporary_directory

    try:
        return stack.enter_context(temporary_directory(session_id))
    except OSError as error:
        warn(f"the run has no directory for temporary files: {error}")
        return None


def _limited(prepared: Prepared, launcher: Launcher, warn: Warn) -> AbstractContextManager[Cgroup | None]:
    if prepared.cgroups is None:
        return nullcontext()
    # Imported here: few runs have limits.
    from nono.supervisor.cgroup.cgroup import limited

    return limited(prepared.cgroups, prepared.capabilities.limits, (os.getpid(), launcher.pid), warn)


def _own_logins(prepared: Prepared, environ: Mapping[str, str]) -> AbstractContextManager[None]:
    masking = prepared.capabilities.masking
    if all(mask.own is None for mask in masking.masks):
        return nullcontext()
    # Imported here: few runs have a login.
    from nono.launch.proxy.own_logins import places_ready

    return places_ready(masking, environ)


@contextmanager
def _repository_watched(session: Session, prepared: Prepared, insist: Warn) -> Iterator[None]:
    """Record what changed in the working directory's git repository, and tell it, even a silent run."""
    repository = prepared.resolved.repository
    if repository is None:
        yield
        return
    # Imported here: not every command works in a repository.
    from nono.launch.around import repository_watch

    before = repository_watch.look(repository)
    yield
    for change in repository_watch.changes(repository, before):
        session.record(change.event)
        insist(change.sentence)


def _outcome(run: RunContext, denials: Denials, exit_code: int) -> Outcome:
    """Record how a run has ended, write its proof and keep its end for undo."""
    session, beside = run.session, run.beside
    beside.left(session, exit_code)
    limit = _limit_reached(run, exit_code)
    end = run.entry.end_of(run.child, exit_code, limit)
    session.record(event.session_ended(exit_code, end._asdict()))
    run.entry.ended(exit_code, end)
    _after_hook(run.prepared, session, exit_code)
    exit_code = beside.conclude(session, exit_code, run.child.signal_descriptor)
    return Outcome(exit_code, session.run_id, denials, run.traffic, end, limit, run.rules, beside.changed)


def _limit_reached(run: RunContext, exit_code: int) -> LimitReport | None:
    """Record the limits that were reached.

    Returns the report about the limit that ended the command, or None.
    """
    if run.cgroup is None:
        return None
    # Imported here, as above.
    from nono.supervisor.cgroup.limit_report import limit_report, reached

    limits, figures = run.prepared.capabilities.limits, run.cgroup.figures()
    for each in reached(limits, figures):
        run.session.record(each)
    return limit_report(limits, figures, exit_code)


def _record_start(
    session: Session, prepared: Prepared, argv: list[str], options: Event | None, cgroup: Cgroup | None
) -> None:
    """Record the command, how it is enforced, and every gap in the enforcement."""
    record = session.record
    record(event.session_started(argv, session.redaction.difference()))
    if options is not None:
        record(options)
    if prepared.enforcement.rung is not None:
        record(event.enforced_by(prepared.enforcement.rung.value))
    limits = prepared.capabilities.limits
    if limits.is_set:
        record(event.resource_limits(limits.memory_bytes, limits.max_processes))
    if cgroup is not None and cgroup.gap is not None:
        session.warn(cgroup.gap)
        record(event.not_enforced(cgroup.gap))
    secrets = {each.name: each.rule for each in prepared.resolved.withheld if each.is_secret}
    if secrets:
        record(event.variables_withheld(secrets))
    for mask in prepared.capabilities.masking.masks:
        record(event.masked(mask.path, mask.denial.origin))
    for gap in (*prepared.enforcement.gaps, *prepared.enforcement.notes):
        record(event.not_enforced(gap))


def _ca_worker(prepared: Prepared, environ: Mapping[str, str]) -> AbstractContextManager[CaWorker | None]:
    if prepared.enforcement.rung is None:
        return nullcontext()
    # Imported here: only runs with a proxy need it.
    from nono.launch.proxy.ca_worker import ca_worker

    return ca_worker(prepared.resolved, environ)


def _before_hook(prepared: Prepared, session: Session) -> Mapping[str, str]:
    """Run the hook before the command, if it has one. Returns the variables that it adds."""
    if prepared.resolved.session_hooks.before is None:
        return {}
    from nono.launch.around.session_hooks import run_before

    return run_before(prepared, session)


def _after_hook(prepared: Prepared, session: Session, exit_code: int) -> None:
    if prepared.resolved.session_hooks.after is not None:
        from nono.launch.around.session_hooks import run_after

        run_after(prepared, session, exit_code)


def _env_credentials(resolved: Resolved, environ: Mapping[str, str], warn: Warn) -> Mapping[str, str]:
    if not resolved.env_credentials:
        return {}
    # Imported here: few runs pass a credential to the command.
    from nono.credentials.env_credentials import read_env_credentials

    return read_env_credentials(resolved.env_credentials, environ, warn)


def _run(run: RunContext) -> int:
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
    if run.front is None:
        run.go()
        return wait(run.child)
    # Imported here: other runs share their terminal with the caller, or have none.
    from nono.launch.terminal.own_terminal import Shown, wait_on_poll

    shown = Shown(run.front, run.child, run.entry, run.session, run.env_credentials)
    return wait_on_poll(shown, run.go, partial(_go_on, run))


def _go_on(run: RunContext, terminal: OwnTerminal, visitors: Sequence[Visitor]) -> int:
    # Imported here: most sessions are asked nothing.
    from nono.audit.dedup import DedupRecorder
    from nono.launch import outset, supervised

    with outset.ended_in_order(run, DedupRecorder(run.session.record)):
        return supervised.go_on(run, terminal, visitors)
