"""Do what a person asked for beside a run: proof, anchors, checked instruction files, undo."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager

from nono.audit import event
from nono.errors import NonoError, in_words
from nono.launch.session import USUAL_PROVING, Proving, Session
from nono.named_tuple import NamedTuple
from nono.sessions.ends import NOT_STARTED
from nono.sessions.record import End

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.launch.around.undo import UndoRequest
    from nono.launch.prepare import Prepared
    from nono.launch.record.outward import Carried
    from nono.launch.record.proof import Evidence
    from nono.outward.orders import Orders
    from nono.supervisor.child import Child
    from nono.trust.disk.check import Checked
    from nono.undo.model.changes import Change
    from nono.undo.recording import Recording
    from nono.undo.written import Written


class Wishes(NamedTuple):
    """What a person wants beside the run itself."""

    proving: Proving = USUAL_PROVING  # how the log is proved afterwards
    outward: Orders | None = None  # where it is anchored and sent during the run; None: nowhere
    # Checks the instruction files; returns None if the check is overridden. None: no trust policy concerns
    # the run.
    instructions: Callable[[Session], Checked | None] | None = None
    undo: UndoRequest | None = None  # how its directories are kept for undo; None: not at all
    notifies: bool = False  # show waiting questions on the desktop


NO_WISHES = Wishes()


class Beside:
    """The wishes of one run being carried out. Each module is imported only if it is needed."""

    def __init__(self, wishes: Wishes, prepared: Prepared, environ: Mapping[str, str]) -> None:
        """Examine what the command must neither change nor hold. Raises NonoError."""
        self._wishes = wishes
        self.notifies = wishes.notifies
        self.prepared = prepared  # without the variables that hold keys and logins for these wishes
        self._evidence: Evidence | None = None
        self.checked: Checked | None = None  # the result for the instruction files
        self.packages: set[str] | None = None  # collects packages of npx and uvx, if the policy asks for it
        self.carried: Carried | None = None  # the process that sends the audit log to others
        self.written: Written | None = None  # collects written paths, if marks are taken between turns
        self.undo: Recording | None = None  # keeps what the run changes
        self.changed: Sequence[Change] | None = None  # set when the run has ended; None: nothing was kept
        if wishes.proving != USUAL_PROVING:
            from nono.launch.record.proof import gathered

            self._evidence = gathered(wishes.proving, prepared)
            if self._evidence.source_variable is not None:
                self._withhold({self._evidence.source_variable})
        if wishes.outward is not None:
            from nono.launch.record.outward import variables_kept

            self._withhold(variables_kept(wishes.outward, self.prepared, environ))

    def _withhold(self, names: Set[str]) -> None:
        """Withhold variables from the command."""
        resolved = self.prepared.resolved
        rules = resolved.environment._replace(withheld=resolved.environment.withheld | names)
        self.prepared = self.prepared._replace(resolved=resolved._replace(environment=rules))

    @contextmanager
    def end_recorded(self, session: Session) -> Iterator[None]:
        """Record the end of the session if a NonoError ends it."""
        try:
            yield
        except NonoError as error:
            end = End(NOT_STARTED, detail=error.message)
            session.record(event.session_ended(error.exit_code, end._asdict()))
            self._concluded(session, error.exit_code)
            raise

    def begin(self, stack: ExitStack, session: Session) -> None:
        """Check the instruction files, and start the process that sends the log to others, which forks."""
        wishes = self._wishes
        if wishes.instructions is not None:
            self.checked = wishes.instructions(session)
            if self.checked is not None and self.checked.trust.policy.packages:
                self.packages = set()
        if wishes.outward is not None and session.log is not None:
            from nono.launch.record.outward import carried

            self.carried = stack.enter_context(
                carried(wishes.outward, session, self.prepared.capabilities.grants)
            )

    def keep(
        self,
        stack: ExitStack,
        session: Session,
        prepared: Prepared,
        child: Child,
        argv: Sequence[str],
        name: str,
    ) -> None:
        """Read the key that signs, keep what the run may change, and hash it. Raises NonoError.

        After the last fork, because no other process may hold the key or keep the lock.
        """
        if self._evidence is not None:
            from nono.launch.record.proof import with_signer

            self._evidence = with_signer(self._evidence, session.environ, session.warn)
        request = self._wishes.undo
        if request is not None:
            from nono.launch.around import undo

            if prepared.resolved.proxy is not None:
                self.written = _written(stack, request, prepared, session)
            self.undo = undo.begin(request, session, child, prepared.capabilities, argv, name)
            if self.undo is not None:
                stack.callback(self.undo.close)
        if self._evidence is not None:
            from nono.launch.record.proof import with_files

            seen = () if self.undo is None else self.undo.baseline.trees
            self._evidence = with_files(self._evidence, seen, session.warn)

    def left(self, session: Session, exit_code: int) -> None:
        """Record the packages that the run has used, and keep its end for undo; a failure is reported."""
        if self.checked is not None and self.packages:
            from nono.launch.around import packages_run

            packages_run.conclude(session, self.checked.root, self.packages)
        request = self._wishes.undo
        if self.undo is not None and request is not None:
            from nono.launch.around import undo

            try:
                self.changed = undo.end(request, self.undo, session, exit_code)
            except NonoError as error:
                session.tell_failure(f"{error.message}{f'. {error.hint}' if error.hint else ''}")
        if self._evidence is not None:
            from nono.launch.record.proof import with_files_after

            # Without an end, what undo has seen last is older.
            seen = () if self.undo is None or self.changed is None else self.undo.last.trees
            self._evidence = with_files_after(self._evidence, seen, session.warn)

    def conclude(self, session: Session, exit_code: int, signals: int) -> int:
        """Wait for the last anchors, and write the proof of the session, whose end is recorded.

        signals: Readable when a person no longer wants to wait.

        Returns the exit code of nono, which is not 0 if something that was asked for is missing.
        """
        if self.undo is not None and self.changed is None:
            exit_code = exit_code or 1
        if self.carried is not None and not self.carried.finish(signals):
            exit_code = exit_code or 1
        return self._concluded(session, exit_code)

    def abort(self, session: Session, exit_code: int) -> None:
        """Write the proof of a session that ends from within abort(3), without waiting for anything."""
        self._concluded(session, exit_code)

    def _concluded(self, session: Session, exit_code: int) -> int:
        if session.log is None:
            return exit_code
        # Imported here: not needed before the command has ended.
        from nono.launch.record.proof import concluded, usual_evidence

        snapshots = 0 if self.undo is None else self.undo.last.number + 1
        return concluded(session, exit_code, self._evidence or usual_evidence(self.prepared), snapshots)


def _written(stack: ExitStack, request: UndoRequest, prepared: Prepared, session: Session) -> Written | None:
    """Collect what the run writes, for the marks between its turns; None, after a warning, if impossible."""
    from nono.launch.around import undo
    from nono.launch.around.turn_marks import watched

    covered = undo.covered(request, session, prepared.capabilities.grants)
    try:
        return stack.enter_context(watched(covered))
    except OSError as error:
        session.warn(f"what is written is not noted, so marks between turns take longer: {in_words(error)}")
        return None
