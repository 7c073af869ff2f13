"""Takes a run from the fork of its launcher to the exit code of its command."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TYPE_CHECKING

from nono import paths
from nono.audit import event
from nono.audit.event import Event, Recorder
from nono.audit.ledger import AuditLog, new_session_id
from nono.audit.redact import USUAL, Redaction, redact_argv
from nono.errors import LaunchError, NonoError
from nono.kernel import process
from nono.launch import module_path
from nono.launch.prepare import (
    Prepared,
    enforcement_of,
    place_of_limits,
    program_of,
    ready_state_directories,
)
from nono.launch.state import VARIABLE, State, state_of
from nono.launch.state_file import StateFile, identity, state_file
from nono.named_tuple import NamedTuple
from nono.policy.capability import Access, Grant, Limits, NetworkMode, SandboxPolicy
from nono.policy.environment import child_environment, started_in
from nono.policy.filesystem import HostFilesystem
from nono.policy.resolve import Resolved
from nono.policy.rulebook import rulebook_of
from nono.sandbox import host, probe
from nono.sandbox.enter import Command
from nono.sandbox.launcher import Launcher, fork_launcher
from nono.sandbox.plan import draw
from nono.supervisor.child import Child, supervise, wait

if TYPE_CHECKING:
    from nono.launch.authority_ahead import AuthorityAhead
    from nono.policy.observation import Observation
    from nono.supervisor.cgroup import Cgroup
    from nono.supervisor.limit_story import Story

Warn = Callable[[str], None]


class Launch:
    """One run. A context manager: leaving the block ends a launcher that was not used."""

    def __init__(self, environ: Mapping[str, str], *, probes: bool = False) -> None:
        """probes: whether the kernel is likely to be asked what it can do, which then begins at once."""
        self._environ = environ
        self._launcher: Launcher | None = fork_launcher()
        if probes:
            self._launcher.request_facts()

    def __enter__(self) -> Launch:
        return self

    def __exit__(self, *_: object) -> None:
        if self._launcher is not None:
            self._launcher.abandon()

    def prepare(self, resolved: Resolved, command: Sequence[str], *, needs_program: bool = True) -> Prepared:
        """Find the program, and what this kernel can do for the run. NonoError when it cannot start."""
        launcher = self._unused()
        capabilities = resolved.capabilities
        chooses_rung = capabilities.network is NetworkMode.PROXY and capabilities.sandbox_policy in (
            SandboxPolicy.AUTO,
            SandboxPolicy.NETNS,
        )
        search_path = self._environ.get("PATH", os.defpath)
        program = program_of(resolved, command[0], search_path) if needs_program else None
        traps_opens = capabilities.elevation or capabilities.learns or capabilities.names_threads
        is_served = traps_opens or capabilities.wants_sockets_served
        facts = launcher.facts() if chooses_rung or is_served else host.file_system_facts()
        facts = probe.with_masks(facts, capabilities.masking)
        enforcement = enforcement_of(capabilities, facts)
        cgroups = None
        if capabilities.limits.is_set:
            launcher.settle()  # what it has forked would be in our cgroup as well
            cgroups = place_of_limits(capabilities, (os.getpid(), launcher.pid))
        module_path.withdraw(capabilities.grants)
        module_path.refuse_libraries(capabilities.grants, self._environ)
        return Prepared(resolved, facts, enforcement, program, tuple(command), cgroups)

    def execute(
        self,
        prepared: Prepared,
        *,
        audit: bool,
        proxy_port: int,
        warn: Warn,
        say: Callable[[list[str]], None],
        watch: Callable[[Event], None],
        explain: Callable[[Story], None],
        observation: Observation | None = None,
        redaction: Redaction = USUAL,
    ) -> int:
        """Run the command to its end; its exit code, 128+N when signal N ended it.

        proxy_port 0 takes a free port. warn is called with each sentence that a person must hear before
        the command has the terminal, or while it runs; say with the lines of a summary after it has ended;
        watch with every event of the audit log, whether one is kept or not; explain with the limit that ended
        the command, if one did. observation: is told what the command does with files, where that is watched.
        """
        ready_state_directories(prepared.resolved.state_directories)
        launcher = self._unused()
        # Before any secret is read: from here on nobody of our uid can look into this process.
        process.set_dumpable(False)
        process.forbid_core_dumps()
        with ExitStack() as stack:
            cgroup = stack.enter_context(_limited(prepared, launcher, warn))
            self._launcher = None
            child = stack.enter_context(supervise(launcher.pid, cgroup.kill if cgroup else None))
            stack.callback(launcher.close)
            log = stack.enter_context(_open_log(self._environ)) if audit else None
            record = watched(log.record if log is not None else record_nothing, watch)
            record(event.session_started(redact_argv(prepared.argv, redaction), redaction.difference()))
            if prepared.enforcement.rung is not None:
                record(event.enforced_by(prepared.enforcement.rung.value))
            limits = prepared.capabilities.limits
            if limits.is_set:
                record(event.resource_limits(limits.memory_bytes, limits.max_processes))
            if cgroup is not None and cgroup.gap is not None:
                warn(cgroup.gap)
                record(event.not_enforced(cgroup.gap))
            for mask in prepared.capabilities.masking.masks:
                record(event.masked(mask.path, mask.denial.origin))
            for gap in (*prepared.enforcement.gaps, *prepared.enforcement.notes):
                record(event.not_enforced(gap))
            # Before any secret is in memory, as it forks.
            ahead = stack.enter_context(_authority_ahead(prepared, self._environ))
            try:
                state = stack.enter_context(state_file(self._environ, warn))
                handed_out = _handed_out(prepared.resolved, self._environ, warn)
                start = Start(
                    prepared,
                    launcher,
                    child,
                    self._environ,
                    handed_out,
                    ahead,
                    state,
                    record,
                    observation,
                    redaction,
                    cgroup,
                )
                if prepared.enforcement.is_served:
                    exit_code = _run_served(start, log)
                elif prepared.enforcement.rung is None:
                    exit_code = _run_alone(start)
                else:
                    exit_code = _run_proxied(start, log, proxy_port, warn, say)
            except NonoError as error:
                record(event.session_ended(error.exit_code))
                raise
            if cgroup is not None:
                _tell_of_limits(limits, cgroup, exit_code, record, explain)
            record(event.session_ended(exit_code))
            return exit_code

    def _unused(self) -> Launcher:
        if self._launcher is None:
            raise LaunchError("this launch was used before")
        return self._launcher


class Start(NamedTuple):
    """A launcher that waits for its plan, and what it is to become."""

    prepared: Prepared
    launcher: Launcher
    child: Child
    environ: Mapping[str, str]
    handed_out: Mapping[str, str]  # credentials that the command itself holds, by variable
    ahead: AuthorityAhead | None  # of a run with a proxy that intercepts
    state: StateFile | None  # for the command, about itself
    record: Recorder
    observation: Observation | None  # of a run that is watched
    redaction: Redaction
    cgroup: Cgroup | None  # of a run with limits

    @property
    def readable(self) -> tuple[str, ...]:
        """What every command may read of nono's own."""
        return () if self.state is None else (self.state.path,)

    def restrict(
        self, added: Mapping[str, str], proxy_port: int | None, *, readable: Sequence[str] = ()
    ) -> int | None:
        """Have the launcher restrict itself; the number of its listener, if it has one.

        added is laid over what the command inherits. readable: what else it may read of nono's own.
        """
        prepared = self.prepared
        own = own_grants((*self.readable, *readable))
        capabilities = prepared.capabilities._replace(grants=(*prepared.capabilities.grants, *own))
        plan = draw(capabilities, prepared.facts, prepared.enforcement, proxy_port=proxy_port)
        workdir = prepared.capabilities.workdir
        environment = child_environment(self.environ, prepared.resolved.environment)
        environment = started_in(workdir, environment, prepared.resolved.environment)
        environment |= {**self.handed_out, **added}
        state = self.state if self.state is not None and self.state.create() else None
        if state is not None:
            environment[VARIABLE] = state.path
        assert prepared.program is not None  # or it was a dry run
        self.launcher.begin_restrict(plan, Command(prepared.program, prepared.argv, environment, workdir))
        if state is not None:
            state.write(self._own_state(own))
        return self.launcher.end_restrict()

    def _own_state(self, own: Iterable[Grant]) -> State:
        prepared = self.prepared
        rules = rulebook_of(prepared.resolved, HostFilesystem(), own)
        return state_of(rules, prepared.enforcement, prepared.facts.landlock_abi, identity)

    def go(self) -> None:
        """Let it execute, under its limits. LaunchError when it cannot."""
        if self.cgroup is not None:
            # Here, as what it has forked for nono until now is not to count.
            self.cgroup.take(self.launcher.pid)
        self.launcher.go()
        self.launcher.wait_for_exec()


def own_grants(readable: Sequence[str]) -> tuple[Grant, ...]:
    """What the command may read of files that nono makes for it."""
    return tuple(Grant(path, Access.READ, os.path.isdir(path), "system", path) for path in readable)


def _limited(prepared: Prepared, launcher: Launcher, warn: Warn) -> AbstractContextManager[Cgroup | None]:
    if prepared.cgroups is None:
        return nullcontext()
    # Imported here: few runs have limits.
    from nono.supervisor.cgroup import limited

    return limited(prepared.cgroups, prepared.capabilities.limits, (os.getpid(), launcher.pid), warn)


def _tell_of_limits(
    limits: Limits, cgroup: Cgroup, exit_code: int, record: Recorder, explain: Callable[[Story], None]
) -> None:
    # Imported here, as above.
    from nono.supervisor.limit_story import reached, story

    figures = cgroup.figures()
    for each in reached(limits, figures):
        record(each)
    if (told := story(limits, figures, exit_code)) is not None:
        explain(told)


def _authority_ahead(
    prepared: Prepared, environ: Mapping[str, str]
) -> AbstractContextManager[AuthorityAhead | None]:
    if prepared.enforcement.rung is None:
        return nullcontext()
    # Imported here: it is for the runs that have a proxy.
    from nono.launch.authority_ahead import authority_ahead

    return authority_ahead(prepared.resolved, environ)


def _handed_out(resolved: Resolved, environ: Mapping[str, str], warn: Warn) -> Mapping[str, str]:
    if not resolved.env_credentials:
        return {}
    # Imported here: few runs hand out a credential.
    from nono.credentials.handed_out import read_handed_out

    return read_handed_out(resolved.env_credentials, environ, warn)


def _run_alone(start: Start) -> int:
    """A run that serves nothing: without an event loop, whose import would take longer than the command."""
    start.restrict({}, None)
    start.go()
    return wait(start.child)


def _run_served(start: Start, log: AuditLog | None) -> int:
    # Imported here: the loop is for the runs whose system calls are served.
    from nono.launch.served import run

    return run(start, log)


def _run_proxied(
    start: Start, log: AuditLog | None, proxy_port: int, warn: Warn, say: Callable[[list[str]], None]
) -> int:
    # Imported here: asyncio, ssl and uvloop are for the runs that have a proxy.
    from nono.launch.proxied import run

    return run(start, log, proxy_port, warn, say)


def watched(record: Recorder, watch: Callable[[Event], None]) -> Recorder:
    """record, with watch told of what it is to record."""

    def recorded(event: Event, /) -> None:
        watch(event)
        record(event)

    return recorded


def record_nothing(_: Event) -> None:
    """The recorder of --no-audit."""


def _open_log(environ: Mapping[str, str]) -> AuditLog:
    try:
        return AuditLog(paths.state_root(environ), new_session_id())
    except OSError as error:
        raise NonoError(
            f"the audit log cannot be opened: {error.filename or paths.state_root(environ)}: "
            f"{error.strerror or error}",
            hint="a run that cannot be recorded is not started; --no-audit starts it all the same",
        ) from error
