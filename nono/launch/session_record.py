"""Keep the record of one run in the registry of sessions, from before its command starts to its end."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from nono.errors import NonoError, reason_of
from nono.kernel.signals import signal
from nono.launch.prepare import Prepared
from nono.launch.session import Warn
from nono.policy.capability import NetworkMode
from nono.sessions.ends import Seen, end_of
from nono.sessions.names import name_from
from nono.sessions.processes import killed_for_memory
from nono.sessions.record import ATTACHED, DETACHED, End
from nono.sessions.registry import Entry, Registry, directory_of, new_record, registered
from nono.supervisor.child import Child

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.approval.listing import Listed
    from nono.credentials.values.credential import LeakDetector
    from nono.sessions.meeting import Meeting
    from nono.sessions.record import Record
    from nono.sessions.stopping import StopRequest
    from nono.sessions.wire import Size
    from nono.supervisor.limits.report import LimitReport
    from nono.supervisor.poll_loop import Loop
    from nono.supervisor.relay.recording import Recording

_OUT_OF_LIMIT, _SHORT_OF_PROCESSES = "memory_limit_exceeded", "process_limit_hit"


class SessionEntry:
    """The record of this run. Without a directory for it, nothing is written."""

    def __init__(self, entry: Entry | None, session_id: str) -> None:
        self._entry = entry
        self._session_id = session_id
        self._killed_before = killed_for_memory() if entry is None else entry.record.oom_kills

    def stop_request(self) -> StopRequest | None:
        if self._entry is None:
            return None
        # Imported here: few runs are ended by SIGTERM.
        from nono.sessions.stopping import parse

        return parse(self._entry.stop_request())

    def now(self) -> Record | None:
        """Return the current record, or None."""
        return None if self._entry is None else self._entry.record

    def asks(self, questions: tuple[Listed, ...]) -> None:
        """Write the open questions of the session to their file."""
        # Imported here: few runs ask.
        from nono.approval.listing import to_json

        if self._entry is not None:
            self._entry.asks(to_json(questions) if questions else None)

    def listen(self) -> Meeting | None:
        """Listen at the session's socket; None if it has no record to listen beside.

        Raises NonoError.
        """
        if self._entry is None:
            return None
        # Imported here: runs without a loop do not listen.
        from nono.sessions.meeting import listen

        try:
            return listen(self._entry.registry, self._session_id)
        except OSError as error:
            raise NonoError(f"nobody could attach to the session: {reason_of(error)}") from error

    def recorded(
        self, loop: Loop, size: Size, bytes_max: int, leaks: Sequence[LeakDetector], warn: Warn
    ) -> Recording | None:
        """Begin to record the screen of the session, without the secrets that `leaks` recognise."""
        # Imported here: few sessions are recorded.
        from nono.supervisor.relay.recording import Place, Recording

        if self._entry is None:
            return None
        record = self._entry.record
        place = Place(self._entry.registry.fd, record.session_id, bytes_max, record.name or "")
        try:
            return Recording(loop, place, size, lambda: [each.stream() for each in leaks])
        except OSError as error:
            warn(f"the screen of the session is not recorded: {error.strerror}")
            return None

    def attached(self, is_attached: bool) -> None:
        if self._entry is not None:
            self._entry.update(attachment=ATTACHED if is_attached else DETACHED)

    def shown(self) -> dict[str, str]:
        """Return id and name of the session."""
        name = None if self._entry is None else self._entry.record.name
        return {"id": self._session_id, "name": name or ""}

    def proxy_listens(self, port: int) -> None:
        if self._entry is not None:
            self._entry.update(network=f"proxy (localhost:{port})")

    def end_of(self, child: Child, exit_code: int, limit: LimitReport | None) -> End:
        """Return why the command ended. `limit`: The limit that ended it, or None."""
        child.serve_signals()  # a signal for the whole group may have ended the command first
        is_killed = child.ended_by == signal.SIGKILL
        seen = Seen(
            exit_code,
            child.ended_by,
            child.received,
            child.stopped_by,
            child.lost,
            is_out_of_limit=limit is not None and limit.code == _OUT_OF_LIMIT,
            is_short_of_processes=limit is not None and limit.code == _SHORT_OF_PROCESSES,
            is_out_of_memory=is_killed and 0 <= self._killed_before < killed_for_memory(),
        )
        return end_of(seen)

    def ended(self, exit_code: int, end: End) -> None:
        """Write the end of the session."""
        if self._entry is not None:
            self._entry.ended(exit_code, end)


@contextmanager
def session_record(
    environ: Mapping[str, str],
    prepared: Prepared,
    argv: list[str],
    session_id: str,
    child_pid: int,
    *,
    name: str | None,
    profile: str | None,
    warn: Warn,
    has_audit: bool,
    is_detached: bool,
) -> Iterator[SessionEntry]:
    """Write the record of a run that is about to start; leaving the block writes its end, unless written.

    Warns if there is no place for it. Raises NonoError in that case if the session was given a name, or
    nobody could find it otherwise.
    """
    network = prepared.capabilities.network
    try:
        registry = Registry(environ, create=True)
    except OSError as error:
        _without_record(environ, name, error, warn, is_needed=is_detached)
        yield SessionEntry(None, session_id)
        return
    with registry:
        record = new_record(
            session_id,
            name=name or name_from(os.urandom(2)),
            child_pid=child_pid,
            command=argv,
            profile=profile,
            network={NetworkMode.BLOCKED: "blocked", NetworkMode.PROXY: "proxy"}.get(network, "allowed"),
            has_audit=has_audit,
        )
        if is_detached:
            record = record._replace(attachment=DETACHED)
        try:
            registry.write(record)
        except OSError as error:
            _without_record(environ, name, error, warn, is_needed=is_detached)
            yield SessionEntry(None, session_id)
            return
        with registered(registry, record) as entry:
            yield SessionEntry(entry, session_id)
        if not registry.is_in_place():
            warn(f"somebody has moved or removed {registry.path}: `nono ps --all` will not show this run")


def _without_record(
    environ: Mapping[str, str], name: str | None, error: OSError, warn: Warn, *, is_needed: bool
) -> None:
    """Warn; raise NonoError if a person counts on the record: by its name, or to attach to the session."""
    sentence = f"{directory_of(environ)}: {reason_of(error)}"
    if name is not None or is_needed:
        named = "" if name is None else f" '{name}'"
        raise NonoError(f"the session{named} cannot be recorded: {sentence}") from error
    warn(f"`nono ps` will not show this run: {sentence}")
