"""Judge a session by its supervisor: alive, stopped, or gone without writing the end."""

from __future__ import annotations

from nono.named_tuple import NamedTuple
from nono.sessions import ends
from nono.sessions.processes import ProcessStat
from nono.sessions.record import DETACHED, EXITED, LOST, PAUSED, RUNNING, End, Record


class Here(NamedTuple):
    """The host and PID namespace in which pids are looked up."""

    host: str
    boot: str
    pid_namespace: int
    oom_kills: int = -1  # as in a record


def judged(record: Record, supervisor: ProcessStat | None, here: Here) -> Record:
    """Return the record updated to the present.

    supervisor: The process with the supervisor's pid; None if there is none.
    """
    if record.is_ended:
        return record
    if record.host != here.host:
        return record  # a home directory on the network: nothing is known about another machine
    if record.boot != here.boot:
        return _lost(record, End(ends.RESTARTED, by="the machine, which was restarted"))
    if record.pid_namespace != here.pid_namespace:
        return record  # its pids mean nothing here, so nothing is known
    if supervisor is None or not supervisor.is_alive or supervisor.started_ticks != record.started_epoch:
        is_short = 0 <= record.oom_kills < here.oom_kills
        why = "the machine has been out of memory since it began" if is_short else "its supervisor was killed"
        return _lost(record, End(ends.CRASHED, detail=why))
    return record._replace(status=PAUSED if supervisor.is_stopped else RUNNING, exit_code=None)


def _lost(record: Record, end: End) -> Record:
    return record._replace(status=EXITED, attachment=DETACHED, exit_code=LOST, end=end)
