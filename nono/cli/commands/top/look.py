"""Find out the state of all sessions: records, questions, processes, and what they report."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any

from nono.cli.commands.sessions.chosen import Chosen, questions
from nono.cli.commands.sessions.talk import call
from nono.cli.text.top_text import Load, Watched
from nono.errors import NonoError
from nono.named_tuple import NamedTuple
from nono.sessions.listing import open_registry, records
from nono.sessions.processes import ProcessStat, all_processes, below, pid_namespace
from nono.sessions.record import RUNNING, Record

PATIENCE_S = 1.0  # a session that does not answer delays the others no longer than this
ASKED_AT_ONCE = 8


class _Spent(NamedTuple):
    """The CPU time used up to a moment."""

    ticks: int
    at_s: float


class Look:
    """Look at the sessions of a user. Not for use by two threads at a time."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._spent: dict[str, _Spent] = {}  # by session

    def __call__(self) -> list[Watched]:
        """Return every session, the newest first. Raises NonoError."""
        registry = open_registry(self._environ)
        if registry is None:
            return []
        with registry, ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
            every = records(registry)
            # A stopped session cannot answer.
            asked = [record for record in every if record.status == RUNNING]
            told = pool.map(lambda record: _live(Chosen(registry, record)), asked)
            loads = self._loads(every)
            lives = {record.session_id: live for record, live in zip(asked, told, strict=True)}
            return [
                Watched(
                    record,
                    questions(registry, record),
                    loads.get(record.session_id),
                    lives.get(record.session_id),
                )
                for record in every
            ]

    def _loads(self, every: list[Record]) -> Mapping[str, Load]:
        """Return the load of the sessions that run here."""
        processes, now_s = all_processes(), time.monotonic()
        before, self._spent = self._spent, {}
        loads = {}
        for record in every:
            if not _is_here(record, processes.get(record.supervisor_pid)):
                continue
            own = [
                processes[pid] for pid in (record.supervisor_pid, *below(record.supervisor_pid, processes))
            ]
            spent = _Spent(sum(each.cpu_ticks for each in own), now_s)
            self._spent[record.session_id] = spent
            memory = sum(each.resident_pages for each in own) * os.sysconf("SC_PAGE_SIZE")
            loads[record.session_id] = Load(_percent(before.get(record.session_id), spent), memory)
        return loads


def _is_here(record: Record, supervisor: ProcessStat | None) -> bool:
    return (
        not record.is_ended
        and (record.host, record.pid_namespace) == (os.uname().nodename, pid_namespace())
        and supervisor is not None
        and supervisor.started_ticks == record.started_epoch
    )


def _percent(before: _Spent | None, now: _Spent) -> float | None:
    if before is None or now.at_s <= before.at_s:
        return None
    # If nobody waited for a child, its time is lost when it ends.
    ticks = max(now.ticks - before.ticks, 0)
    return 100 * ticks / os.sysconf("SC_CLK_TCK") / (now.at_s - before.at_s)


def _live(session: Chosen) -> Mapping[str, Any] | None:
    """Return what a session reports about itself; None if it does not answer."""
    try:
        told = call(session, "GET", "/v1/session", patience_s=PATIENCE_S)
    except NonoError:
        return None
    return told.document if told.status == HTTPStatus.OK else None
