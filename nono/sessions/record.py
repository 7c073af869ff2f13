"""Define the record of a session, and convert it from and to JSON."""

from __future__ import annotations

from collections.abc import Mapping

from nono.disk import json_text
from nono.named_tuple import NamedTuple
from nono.paths import is_session_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RUNNING, PAUSED, EXITED = "running", "paused", "exited"
ATTACHED, DETACHED = "attached", "detached"
LOST = -1  # the exit code of a command whose supervisor did not see its end


class End(NamedTuple):
    """Why a session ended, and who ended it."""

    cause: str  # a value of nono.sessions.ends
    signal: str | None = None  # such as SIGTERM
    by: str | None = None  # None: unknown
    detail: str | None = None


class Record(NamedTuple):
    """One session. Other programs read the fields up to rollback_session."""

    session_id: str
    name: str | None
    supervisor_pid: int
    child_pid: int
    started: str  # RFC 3339, local time
    started_epoch: int  # of the supervisor, in clock ticks since boot: with the pid it identifies one process
    status: str
    attachment: str
    exit_code: int | None
    command: tuple[str, ...]  # redacted
    profile: str | None
    workdir: str
    network: str  # blocked, allowed, or proxy (localhost:PORT)
    rollback_session: str | None  # the id of the audit log; None: --no-audit
    started_unix_ms: int = 0
    ended_unix_ms: int | None = None
    host: str = ""  # host name; several hosts may share a home directory
    boot: str = ""  # the kernel's boot id
    pid_namespace: int = 0  # the one that the pids belong to
    end: End | None = None
    # How many processes the kernel had killed for memory when the session began; -1: unknown.
    oom_kills: int = -1

    @property
    def is_ended(self) -> bool:
        return self.status == EXITED


def document_of(record: Record) -> dict[str, Any]:
    """Return the record as JSON values."""
    end = None if record.end is None else record.end._asdict()
    return {**record._asdict(), "command": list(record.command), "end": end}


def to_json(record: Record) -> bytes:
    return (json_text.indented_ascii(document_of(record)) + "\n").encode("ascii")


# Optional fields may also be null; unknown fields of later versions are ignored.
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "session_id": str,
    "name": (str, type(None)),
    "supervisor_pid": int,
    "child_pid": int,
    "started": str,
    "started_epoch": int,
    "status": str,
    "attachment": str,
    "exit_code": (int, type(None)),
    "command": list,
    "profile": (str, type(None)),
    "workdir": str,
    "network": str,
    "rollback_session": (str, type(None)),
    "started_unix_ms": int,
    "ended_unix_ms": (int, type(None)),
    "host": str,
    "boot": str,
    "pid_namespace": int,
    "end": (dict, type(None)),
    "oom_kills": int,
}
_SHOWN = ("started", "attachment", "network")  # as they are
_NUMBER_MAX = 2**53  # as exact as JSON numbers are everywhere; of milliseconds, 285,000 years
_DEFAULTS: Mapping[str, object] = {
    "attachment": ATTACHED,
    "started_unix_ms": 0,
    "ended_unix_ms": None,
    "host": "",
    "boot": "",
    "pid_namespace": 0,
    "end": None,
    "oom_kills": -1,
}


def parse(content: bytes) -> Record:
    """Parse the output of to_json(). Raises ValueError that names the wrong field."""
    try:
        document = json_text.parse(content.decode("utf-8"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(document, dict):
        raise ValueError("not an object")
    values: dict[str, Any] = {}
    for name, kind in _TYPES.items():
        value = document.get(name, _DEFAULTS.get(name))
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f"{name}: {value!r}")
        if isinstance(value, int) and abs(value) > _NUMBER_MAX:
            raise ValueError(f"{name}: {value!r}")
        values[name] = value
    for name in _SHOWN:
        _refuse_unprintable(name, values[name])
    log = values["rollback_session"]
    if log is not None and not is_session_id(log):
        raise ValueError(f"rollback_session: {log!r}")
    if values["status"] not in (RUNNING, PAUSED, EXITED):
        raise ValueError(f"status: {values['status']!r}")
    if not all(isinstance(word, str) for word in values["command"]):
        raise ValueError("command: not a list of strings")
    values["command"] = tuple(values["command"])
    values["end"] = None if values["end"] is None else _end_of(values["end"])
    return Record(**values)


def is_of_session(content: bytes, session_id: str) -> bool:
    """Return True if content is a record of that session, perhaps one that only another nono can read."""
    return json_text.parse_object(content).get("session_id") == session_id


def _end_of(document: Mapping[str, object]) -> End:
    values = [document.get(field) for field in End._fields]
    if not all(value is None or isinstance(value, str) for value in values) or values[0] is None:
        raise ValueError(f"end: {document!r}")
    for name in ("cause", "signal"):
        _refuse_unprintable(name, str(document.get(name)))
    return End(*(None if value is None else str(value) for value in values))  # type: ignore[arg-type]  # cause is a str, as was checked


def _refuse_unprintable(name: str, value: str) -> None:
    if not value.isprintable():
        raise ValueError(f"{name}: {value!r}")
