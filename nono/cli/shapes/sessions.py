"""Define the shapes of output about sessions, and about the questions that wait in them."""

from __future__ import annotations

from nono.approval.listing import NEEDS_YOU, Listed
from nono.cli.shapes.parts import ANY, Schema, an_object, from_tuple, listed, mapping, number, text
from nono.sessions.record import Record

_QUESTION = {
    "id": "nono approvals allow takes it, or at least its first 4 characters",
    "kind": "file, endpoint, host or limit",
    "what": "the question in one line; what comes from the command is escaped",
    "target": "what a rule for it would name; empty if no rule can be made",
    "asked_unix_ms": "when it was asked, in milliseconds since 1970",
    "expires_unix_ms": "when it is answered with a no, in milliseconds since 1970",
    "writes": "whether the rule would be for writing as well",
}
_FIELDS = {"fields": mapping(text(), "all that is known of it, by name")}

_RECORD = {
    "session_id": "16 hexadecimal digits",
    "supervisor_pid": "process id of nono",
    "child_pid": "process id of the command",
    "started": "RFC 3339, local time",
    "started_epoch": "start of the supervisor, in clock ticks since boot; with its pid it names one process",
    "status": "running, paused or exited",
    "attachment": "attached or detached",
    "exit_code": "of the command; -1: nono did not live to see it; null: it runs",
    "command": "words of the command line, secrets left out",
    "profile": "name or file; null: none",
    "network": "blocked, allowed, or proxy (localhost:PORT)",
    "rollback_session": "id of its audit log; null: --no-audit",
    "host": "name of the machine",
    "boot": "boot id of the kernel",
    "pid_namespace": "inode of the namespace in which the pids are counted",
    "end": "why it ended, and who ended it; null: it runs",
    "cause": "exit, signal, out_of_memory, limit, stop, terminal_closed, not_started, failed, "
    "supervisor_killed or restarted",
    "signal": "such as SIGTERM; null: none",
    "by": "who ended it; null: nobody knows",
    "oom_kills": "processes that the kernel had ended for want of memory when it began; -1: unknown",
}

QUESTION = {**from_tuple(Listed, _QUESTION, without=("fields",)), **_FIELDS}
SESSION: dict[str, Schema] = {
    **from_tuple(Record, _RECORD),
    "state": text("needs you: it waits for an answer", "running", "paused", "ended", NEEDS_YOU),
    "questions": listed(an_object(QUESTION), "the open ones, the oldest first"),
}
LIVE = mapping(ANY, "what the session answers to GET /v1/session, while it runs")

LISTED_QUESTION: dict[str, Schema] = {
    "session_id": text("of the session that waits"),
    "name": {"type": ["string", "null"], "description": "of that session"},
    **QUESTION,
}

EVENT: dict[str, Schema] = {"type": text("kind of event; damaged: a line that could not be read")}
NUMBERED: dict[str, Schema] = {"sequence": number("number of the record in the log")}
