"""Take a run from the fork of its launcher to the exit code of its command."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cache, partial

from nono.audit.broadcast import Broadcast
from nono.audit.ledger import new_session_id
from nono.audit.redact import redact_argv
from nono.errors import LaunchError, NonoError
from nono.kernel import process
from nono.launch import optional
from nono.launch.around.surroundings import (
    hint_of_own_path,
    starting,
    surrounded,
    without_hidden_masks,
)
from nono.launch.beside import Beside
from nono.launch.denials import Denials
from nono.launch.lifecycle import Outcome, conclude, record_start
from nono.launch.prepare import (
    Prepared,
    enforcement_of,
    place_of_limits,
    probe_for,
    program_of,
    ready_state_directories,
)
from nono.launch.session import Observer, Session, open_log, recorder_of
from nono.launch.session_record import SessionEntry, session_record
from nono.launch.start import RunContext, RunOptions
from nono.launch.state.file import state_file
from nono.launch.trusted import module_path
from nono.named_tuple import NamedTuple
from nono.policy.effective_policy import effective_policy_of
from nono.policy.environment.inheritance import child_environment
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.resolve import Resolved
from nono.sandbox.launcher import Launcher
from nono.sandbox.plan.enforcement import has_own_datagrams
from nono.sandbox.plan.facts import MaskFacts
from nono.sandbox.plan.namespaces_verdict import has_namespaces
from nono.supervisor.child import supervise
from nono.supervisor.terminal import shared_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.launch.proxy.ca_worker import CaWorker
    from nono.sandbox.plan.facts import HostFacts
    from nono.sandbox.plan.private_view import PrivateView
    from nono.supervisor.limits.cgroup import Cgroup

_UNRECORDED = (
    "a run that cannot be recorded is not started; XDG_STATE_HOME=DIR nono ... keeps its records elsewhere, "
    "--no-audit keeps none"
)


class _Enclosed(NamedTuple):
    """A run whose launcher is where the command will be."""

    launcher: Launcher
    prepared: Prepared  # with the grants of its surroundings
    view: PrivateView | None  # what the command sees instead of shared directories, if it has namespaces
    cgroup: Cgroup | None  # if the run has limits
    ca_worker: CaWorker | None  # if the run has a proxy that intercepts TLS, and no hook comes first


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
        launcher, environ = self._unused(), self._environ
        if resolved.oauth_routes and resolved.capabilities.masking.masks:
            # Imported here, as below: few runs have a login.
            from nono.launch.proxy.shown_logins import with_shown_logins

            resolved = with_shown_logins(resolved, environ)
        resolved, facts = _with_facts(resolved, launcher, self._probes, environ)
        capabilities = resolved.capabilities
        enforcement = enforcement_of(capabilities, facts, is_supervised=True)
        resolved = starting(resolved, environ, enforcement)
        search_path = environ.get("PATH", os.defpath)
        program = self._program(resolved, command[0], search_path) if needs_program else None
        cgroups = None
        if capabilities.limits.is_set:
            launcher.end_probe()  # its children would be in our cgroup too
            self._probes.close()
            cgroups = place_of_limits(capabilities, (os.getpid(), launcher.pid))
        module_path.refuse_writable_code(capabilities.grants, environ)
        module_path.withdraw(capabilities.grants)
        prepared = Prepared(resolved, facts, enforcement, program, tuple(command), cgroups)
        if any(resolved.session_hooks):
            # Imported here, as below: few runs have hooks.
            from nono.launch.around.session_hooks import refuse_unfit

            refuse_unfit(resolved.session_hooks, capabilities.grants)
        if resolved.proxy is not None or resolved.approval is not None:
            # Imported here: other runs trust no roots.
            from nono.launch.trusted.trust_roots import refuse_writable_trust

            refuse_writable_trust(resolved, environ)
        proxy = resolved.proxy
        if resolved.services or resolved.env_credentials or (proxy is not None and proxy.upstream_proxy):
            # Imported here: other runs read no keys.
            from nono.launch.trusted.key_helpers import refuse_writable_helpers

            refuse_writable_helpers(resolved, environ)
        if environ.get("DBUS_SESSION_BUS_ADDRESS"):
            # Imported here: many machines have no desktop.
            from nono.launch.trusted.session_bus import with_judged_bus

            def is_hidden(path: str) -> bool:
                # Imported here: hardly any bus is within reach.
                from nono.launch.around.surroundings import hidden_below

                return hidden_below(path, prepared, environ) is not None

            resolved = with_judged_bus(resolved, environ, is_hidden)
        return prepared._replace(resolved=resolved)

    def _program(self, resolved: Resolved, name: str, search_path: str) -> str:
        try:
            return program_of(resolved, name, search_path)
        except NonoError as error:
            if error.hint or (hint := hint_of_own_path(name, resolved, self._environ)) is None:
                raise
            raise NonoError(error.message, hint=hint) from error

    def execute(self, prepared: Prepared, options: RunOptions) -> Outcome:
        """Run the command to its end. Returns how it ended."""
        ready_state_directories(prepared.resolved.state_directories)
        launcher = self._unused()
        # Before any secret is read: from here on no process of our uid can inspect this one.
        process.keep_memory_private()
        # Libraries append the secrets of TLS to the file that this names. A command that may write there
        # could make it a link to any file, or a FIFO. What the command inherits is in self._environ.
        os.environ.pop("SSLKEYLOGFILE", None)
        beside = Beside(options.wishes, prepared, self._environ)
        session_id = new_session_id()
        with ExitStack() as stack:
            enclosed = self._enclose(stack, launcher, beside.prepared, options, session_id)
            self._launcher = None
            self._probes.close()  # its children have ended by now, and supervise() would leave them unreaped
            if options.front is None:
                options = options.written_to(stack.enter_context(shared_terminal()))
            run = self._take_charge(stack, enclosed, options, beside, session_id)
            record_start(run)
            exit_code = self._supervise(stack, run)
            return conclude(run, exit_code)

    def _enclose(
        self,
        stack: ExitStack,
        launcher: Launcher,
        prepared: Prepared,
        options: RunOptions,
        session_id: str,
    ) -> _Enclosed:
        """Move the launcher to where the command will be."""
        cgroup = stack.enter_context(optional.limited(prepared, launcher, options.warn))
        # This forks, so it comes before any secret is in memory, and after the cgroup, which we may have
        # left. Early, because the supervisor will wait for what it makes, but after a hook, which may
        # write the roots that it reads.
        ca_worker = None
        if prepared.resolved.session_hooks.before is None:
            ca_worker = stack.enter_context(optional.certified(prepared, self._environ))
        stack.enter_context(optional.with_own_logins(prepared, self._environ))
        make_temporary = partial(optional.temporary_directory, stack, session_id, options.warn)
        front = options.front
        terminal = None if front is None else front.pty.path
        prepared, view = surrounded(prepared, self._environ, make_temporary, terminal)
        if view is not None:
            launcher.begin_namespaces(view, makes_sockets=has_own_datagrams(prepared.enforcement))
            optional.import_meanwhile(prepared, has_terminal=front is not None)
            launcher.end_namespaces()
        if front is not None:
            launcher.take_terminal(front.pty.slave)
        return _Enclosed(launcher, prepared, view, cgroup, ca_worker)

    def _take_charge(
        self,
        stack: ExitStack,
        enclosed: _Enclosed,
        options: RunOptions,
        beside: Beside,
        session_id: str,
    ) -> RunContext:
        """Register the session, supervise the launcher and open the session's log."""
        launcher, prepared, view, cgroup, ca_worker = enclosed
        argv = redact_argv(prepared.argv, options.redaction)
        # Left last, because it writes the end of the session, which comes after the end of everything else.
        entry = self._write_record(stack, enclosed, options, argv, session_id)
        child = stack.enter_context(
            supervise(launcher.pid, cgroup.kill if cgroup else None, entry.stop_request)
        )
        stack.callback(launcher.close)
        if ca_worker is not None:
            stack.callback(ca_worker.stop)  # before supervise() waits for what is left
        denials, traffic, events = Denials(), optional.traffic_of(prepared), Broadcast()
        observers = [denials.note] if traffic is None else [denials.note, traffic.note]
        session = self._open_session(stack, options, session_id, observers, events)
        return RunContext(
            prepared,
            options,
            argv,
            session=session,
            launcher=launcher,
            child=child,
            entry=entry,
            events=events,
            denials=denials,
            traffic=traffic,
            ca_worker=ca_worker,
            cgroup=cgroup,
            view=view,
            close=stack.close,
            rules=cache(lambda: effective_policy_of(prepared.resolved, HostFilesystem())),
            beside=beside,
        )

    def _write_record(
        self, stack: ExitStack, enclosed: _Enclosed, options: RunOptions, argv: list[str], session_id: str
    ) -> SessionEntry:
        """Write the record of the session, which ends when the stack is left."""
        return stack.enter_context(
            session_record(
                self._environ,
                enclosed.prepared,
                argv,
                session_id,
                enclosed.launcher.pid,
                name=options.name,
                profile=options.profile,
                warn=options.warn,
                has_audit=options.has_audit,
                is_detached=options.is_detached,
            )
        )

    def _open_session(
        self,
        stack: ExitStack,
        options: RunOptions,
        session_id: str,
        observers: Sequence[Observer],
        written: Observer,
    ) -> Session:
        """Open the log of the session until the stack is left. observers, written: As for recorder_of()."""
        log = None
        if options.has_audit:
            log = stack.enter_context(
                open_log(
                    self._environ,
                    session_id,
                    hint=_UNRECORDED,
                    warn=options.warn,
                    budget_bytes=options.audit_bytes,
                )
            )
        if options.observation is not None:
            observers = (*observers, options.observation.recorded)
        return Session(
            self._environ,
            log,
            recorder_of(log, *observers, written=written),
            warn=options.warn,
            say=options.say,
            redaction=options.redaction,
            run_id=session_id,
            insist=options.insist,
        )

    def _supervise(self, stack: ExitStack, run: RunContext) -> int:
        """Start the command and run it to its end. Returns its exit code."""
        prepared, session, beside = run.prepared, run.session, run.beside
        with beside.end_recorded(session):
            beside.begin(stack, session)
            added = optional.run_before_hook(prepared, session)
        if prepared.resolved.session_hooks.before is not None:
            run = run._replace(ca_worker=stack.enter_context(optional.certified(prepared, self._environ)))
        with beside.end_recorded(session):
            beside.keep(stack, session, prepared, run.child, run.argv, run.entry.shown()["name"])
            run = run._replace(
                state=stack.enter_context(state_file(self._environ, session.warn)),
                env_credentials=optional.read_env_credentials(prepared.resolved, self._environ, session.warn),
                inherited={**child_environment(self._environ, prepared.resolved.environment), **added},
            )
            insist = run.options.insist
            if beside.carried is not None:
                run.child.spared.add(beside.carried.pid)
            with (
                optional.repositories_watched(session, prepared, insist),
                optional.agents_watched(prepared, insist),
                optional.denied_files_watched(prepared, insist),
                optional.gh_watched(prepared, insist),
            ):
                try:
                    return optional.supervise(run)
                finally:
                    # Before anybody looks at what the command did: what it left running could do more.
                    if run.ca_worker is not None:
                        run.ca_worker.stop()
                    run.child.end()

    def _unused(self) -> Launcher:
        if self._launcher is None:
            raise LaunchError("this launch was used before")
        return self._launcher


def _with_facts(
    resolved: Resolved, launcher: Launcher, probes: ExitStack, environ: Mapping[str, str]
) -> tuple[Resolved, HostFacts]:
    """Return what the kernel can enforce, and the policy with the logins that it can keep apart.

    probes: Waits for the children that found it out when it is closed.
    """
    facts = launcher.facts(probe_for(resolved.capabilities))
    has_own = has_namespaces(resolved.capabilities, facts.own_namespaces)
    if has_own:
        resolved = without_hidden_masks(resolved, environ)
    capabilities = resolved.capabilities
    if capabilities.masking.masks:
        # Imported here: most runs mask nothing.
        from nono.sandbox import probe

        facts = probes.enter_context(probe.masks_probed(facts, capabilities.masking))
    if resolved.oauth_routes and (has_own or facts.masks == MaskFacts()):
        # Imported here: few runs have a login.
        from nono.launch.proxy.own_logins import with_own_logins, with_shared_files

        resolved = with_shared_files(resolved, environ, has_own=has_own)
        if has_own:
            resolved = with_own_logins(resolved, environ)
        if facts.masks is None and resolved.capabilities.masking.masks:
            facts = facts._replace(masks=MaskFacts())  # its namespaces can have mounts
    return resolved, facts
