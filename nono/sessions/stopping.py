"""End a session from outside: ask its supervisor, then insist, and kill the whole tree if nothing responds.

The request is a file in the sessions directory, which no sandbox can access; SIGTERM announces it. So the
supervisor knows who requested the end, and a command cannot pretend that it was `nono stop`.
"""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import suppress

from nono.clock import unix_ms
from nono.disk.descriptor import is_readable
from nono.errors import NonoError
from nono.named_tuple import NamedTuple
from nono.sessions.ends import STOP as STOPPED
from nono.sessions.listing import sweep
from nono.sessions.processes import ProcessStat, all_processes, below, pid_namespace, process_stat
from nono.sessions.record import DETACHED, EXITED, LOST, End, Record
from nono.sessions.registry import STOP, Registry

SETTLING_S = 8.0  # for what the command leaves running (nono.supervisor.child), and the record
ROUND_S = 0.02
KILLING_S = 5.0


class StopRequest(NamedTuple):
    """The request that SIGTERM announces to a supervisor."""

    by: str
    force: bool  # kill the command instead of asking it


def to_json(request: StopRequest) -> bytes:
    return json.dumps(request._asdict()).encode("ascii")


def parse(content: bytes | None) -> StopRequest | None:
    """Return the request, or None if there is none."""
    try:
        document = json.loads(content or b"")
        return StopRequest(str(document["by"]), bool(document["force"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def stop(registry: Registry, record: Record, *, force: bool, timeout_s: float) -> bool:
    """End a living session. Returns True if it had to be forced. Raises NonoError.

    force: Kill the command at once. Otherwise it gets SIGTERM, and is killed after timeout_s.
    """
    if (record.host, record.pid_namespace) != (os.uname().nodename, pid_namespace()):
        raise NonoError(
            f"session {record.session_id} runs on another machine, or in another container.",
            hint="run nono stop there",
        )
    try:
        supervisor = os.pidfd_open(record.supervisor_pid)
    except OSError:
        return force  # it has ended in the meantime
    try:
        # Compared after opening the descriptor, which from then on refers to this process or to none.
        if not _is_supervisor(record, process_stat(record.supervisor_pid)):
            return force
        by = f"nono stop (pid {os.getpid()}, uid {os.getuid()})"
        if not force:
            _ask(registry, record, supervisor, StopRequest(by, force=False))
            if is_readable(supervisor, within_s=timeout_s):
                return False
        _ask(registry, record, supervisor, StopRequest(by, force=True))
        if not is_readable(supervisor, within_s=SETTLING_S):
            _end_tree(record.supervisor_pid, supervisor)
            _write_end(registry, record, by)
        return True
    finally:
        if is_readable(supervisor):
            # Its supervisor removes it, but may have ended before it was written.
            with suppress(OSError):
                registry.remove(record.session_id + STOP)
        os.close(supervisor)


def _is_supervisor(record: Record, found: ProcessStat | None) -> bool:
    return found is not None and found.is_alive and found.started_ticks == record.started_epoch


def _ask(registry: Registry, record: Record, supervisor: int, request: StopRequest) -> None:
    try:
        registry.put(record.session_id + STOP, to_json(request))
    except OSError as error:
        raise NonoError(f"the session cannot be asked to end: {registry.path}: {error.strerror}") from error
    # A stopped job handles SIGTERM only when it is continued.
    for number in (signal.SIGTERM, signal.SIGCONT):
        _signal(supervisor, number)


def _signal(pidfd: int, number: int) -> None:
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise NonoError("the session belongs to another user, and only that user can stop it.") from error


def _end_tree(pid: int, supervisor: int) -> None:
    """Kill every descendant of an unresponsive supervisor, then the supervisor.

    The supervisor is stopped first: as their subreaper it keeps all descendants, however they were forked.
    """
    _signal(supervisor, signal.SIGSTOP)
    gives_up = time.monotonic() + KILLING_S
    while (living := _descendants(pid)) and time.monotonic() < gives_up:
        for each, seen in living.items():
            _kill(each, seen)
        time.sleep(ROUND_S)
    _signal(supervisor, signal.SIGKILL)
    is_readable(supervisor, within_s=KILLING_S)


def _write_end(registry: Registry, record: Record, by: str) -> None:
    """Write the end that the supervisor could not write."""
    end = End(STOPPED, signal.SIGKILL.name, by, "its supervisor did not answer")
    with suppress(OSError):
        sweep(registry, record)
        registry.write(
            record._replace(
                status=EXITED, attachment=DETACHED, exit_code=LOST, ended_unix_ms=unix_ms(), end=end
            )
        )


def _kill(pid: int, seen: ProcessStat) -> None:
    """Kill the process that was seen, and no other that has its number by now."""
    with suppress(OSError):
        pidfd = os.pidfd_open(pid)
        try:
            now = process_stat(pid)
            if now is not None and now.started_ticks == seen.started_ticks:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)


def _descendants(pid: int) -> dict[int, ProcessStat]:
    """Return every living descendant of `pid` by its number."""
    processes = all_processes()
    return {each: processes[each] for each in below(pid, processes) if processes[each].is_alive}
