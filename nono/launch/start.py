"""Define one run: what its caller decides, its launcher, and everything the command will be given."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence

from nono.audit.broadcast import Broadcast
from nono.audit.event import Event, Recorder
from nono.audit.ledger import BUDGET_BYTES
from nono.audit.redact import USUAL, Redaction
from nono.launch.beside import NO_WISHES, Beside, Wishes
from nono.launch.denials import Denials
from nono.launch.prepare import Prepared
from nono.launch.session import Say, Session, Warn
from nono.launch.session_record import SessionEntry
from nono.launch.state.capability_state import CapabilityState, Identity, state_of
from nono.launch.state.file import StateFile, identity
from nono.named_tuple import NamedTuple
from nono.paths import STATE_VARIABLE
from nono.policy.capability import Access, Grant
from nono.policy.environment.inheritance import Withheld, started_in
from nono.sandbox.launcher import Launcher
from nono.sandbox.plan.plan import draw
from nono.sandbox.plan.private_view import TERMINALS, PrivateView, masked_in
from nono.supervisor.child import Child

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.audit.traffic import Traffic
    from nono.credentials.load import KeyPrompt
    from nono.launch.proxy.ca_worker import CaWorker
    from nono.launch.terminal.front import Front
    from nono.policy.effective_policy import EffectivePolicy
    from nono.policy.learning.observation import Observation
    from nono.policy.live.paths import LivePaths
    from nono.policy.why.refusals import Refusals
    from nono.supervisor.limits.cgroup import Cgroup
    from nono.supervisor.terminal import SharedTerminal

NOTHING: Mapping[str, str] = {}


class RunOptions(NamedTuple):
    """What the caller decides about one run, beside its policy."""

    warn: Warn  # takes a sentence a person must hear before the command has the terminal, or while it runs
    say: Say  # takes the lines of a summary after the command has ended
    insist: Warn  # takes a sentence a person must hear even with --silent
    has_audit: bool = True  # write an audit log
    audit_bytes: int = BUDGET_BYTES  # size of the audit log at which actions are refused
    redaction: Redaction = USUAL  # masks secrets in recorded arguments
    as_event: Event | None = None  # states the options for the log; None: they are not recorded
    name: str | None = None  # of the session; None makes one
    profile: str | None = None  # as it was named, for the record of the session
    proxy_port: int = 0  # where a proxy listens, if there is one; 0: any free port
    key_prompt: KeyPrompt | None = None  # asks a person for a missing key; None: nobody can be asked
    front: Front | None = None  # the process in front, if the command has its own terminal
    observation: Observation | None = None  # records accesses and events, to learn a profile
    refusals: Refusals | None = None  # collects the refused accesses, if the run is to be explained
    wishes: Wishes = NO_WISHES  # what goes beside the run

    @property
    def is_detached(self) -> bool:
        return self.front is not None and self.front.is_detached

    def written_to(self, terminal: SharedTerminal) -> RunOptions:
        """Return the same options for a run that shares its terminal with the command."""
        write = terminal.writer
        return self._replace(warn=write(self.warn), say=write(self.say), insist=write(self.insist))


class RunContext(NamedTuple):
    """A launcher waiting for its plan, and the run it will become."""

    prepared: Prepared
    options: RunOptions
    argv: list[str]  # the command as it is recorded, without secrets
    session: Session
    launcher: Launcher
    child: Child
    entry: SessionEntry
    events: Broadcast
    denials: Denials
    traffic: Traffic | None  # of a run with a proxy
    ca_worker: CaWorker | None  # if the run has a proxy that intercepts TLS; a hook comes before it
    cgroup: Cgroup | None  # if the run has limits
    view: PrivateView | None  # what the command sees instead of shared directories, if it has namespaces
    close: Callable[[], None]  # leaves every block of the run, which ends the command if nothing else can
    rules: Callable[[], EffectivePolicy]  # the policy in effect; reads the disk at the first call only
    beside: Beside  # what goes beside the run, such as undo
    # Known when the command is about to start:
    state: StateFile | None = None  # tells the command about its own sandbox
    env_credentials: Mapping[str, str] = NOTHING  # credentials the command itself holds, by variable
    inherited: Mapping[str, str] = NOTHING  # inherited variables, and those set for the command
    live_paths: LivePaths | None = None  # changeable rules for files, if a person is asked about files

    @property
    def is_watched(self) -> bool:
        """True if the command's file accesses are observed before the kernel checks them."""
        return self.options.observation is not None or self.options.refusals is not None

    @property
    def readable(self) -> tuple[str, ...]:
        """Return nono's files that every command may read."""
        return () if self.state is None else (self.state.path,)

    def recorded_by(self, record: Recorder) -> RunContext:
        """Return the same run with another recorder."""
        return self._replace(session=self.session._replace(record=record))

    def restrict(
        self,
        added: Mapping[str, str],
        proxy_port: int | None,
        *,
        readable: Sequence[str] = (),
        withheld: Sequence[Withheld] = (),
        own_files: Mapping[str, str] | None = None,
    ) -> int | None:
        """Make the launcher restrict itself. Returns its listener's descriptor number there, if it has one.

        added: Variables laid over the inherited environment.
        proxy_port: Where the proxy listens; None without one.
        readable: Further files that nono made for the command.
        withheld: Variables to drop from all these, because they hold a key.
        own_files: What files private to the command hold, by masked path.
        """
        prepared = self.prepared
        if proxy_port is not None:
            self.entry.proxy_listens(proxy_port)
        own = own_grants((*self.readable, *readable))
        masking = prepared.capabilities.masking
        if self.view is not None:
            masking = masked_in(self.view, masking)
        capabilities = prepared.capabilities._replace(
            grants=(*prepared.capabilities.grants, *own), masking=masking
        )
        plan = draw(
            capabilities, prepared.facts, prepared.enforcement, proxy_port=proxy_port, contents=own_files
        )
        workdir = prepared.capabilities.workdir
        environment = started_in(workdir, self.inherited, prepared.resolved.environment)
        environment |= {**self.env_credentials, **added}
        for each in withheld:
            environment.pop(each.name, None)
        state = self.state if self.state is not None and self.state.create() else None
        if state is not None:
            environment[STATE_VARIABLE] = state.path
        self.launcher.begin_restrict(plan, prepared.command(environment))
        if state is not None:
            state.write(self._own_state(own, withheld))
        if self.session.log is not None:
            # Imported here, while the launcher restricts itself, so that nobody waits for it at the end.
            from nono.launch.record import proof  # noqa: F401 - imported for later
        listener = self.launcher.end_restrict()
        if plan.own_root_fs and plan.masks:
            self.child.watch_masks(self.launcher.masked, self.launcher.end_namespaces_at_once)
        return listener

    def _own_state(self, own: Iterable[Grant], withheld: Iterable[Withheld]) -> CapabilityState:
        prepared, rules = self.prepared, self.rules()
        rules = rules._replace(handed_out=tuple(own), withheld=(*withheld, *rules.withheld))
        return state_of(rules, prepared.enforcement, prepared.facts.landlock_abi, self._identity)

    def _identity(self, path: str) -> Identity | None:
        """Return the identity of a file, like identity(); None if the command sees another file there."""
        is_own = self.view is not None and path in (*self.view.directories, TERMINALS)
        return None if is_own else identity(path)

    def go(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Start the command under its limits. Raises LaunchError if it cannot be executed.

        meanwhile: Called while the kernel loads the command.
        """
        if self.cgroup is not None:
            # Not earlier: processes that it forked for nono must not count against the limits.
            self.cgroup.take(self.launcher.pid)
        self.launcher.go()
        meanwhile()
        self.launcher.wait_for_exec()


def own_grants(readable: Sequence[str]) -> tuple[Grant, ...]:
    """Return read grants for files that nono makes for the command."""
    return tuple(Grant(path, Access.READ, os.path.isdir(path), "system", path) for path in readable)
