"""Word sessions for a terminal: the table of `nono ps` and the lines of `nono inspect`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from nono.approval.listing import NEEDS_YOU, Listed
from nono.clock import local_time
from nono.printable import printable_line, shell_word, without_middle
from nono.sessions import ends
from nono.sessions.record import EXITED, LOST, PAUSED, RUNNING, End, Record, document_of

WIDTH = 120
HEADERS = ("SESSION", "NAME", "STATUS", "ATTACH", "PID", "UPTIME", "PROFILE", "COMMAND")
NAME_WIDTH, PROFILE_WIDTH = 24, 16
LINE_MAX = 1000  # characters of a command or an event: an argument can have 128 KiB; --json has it whole
_CUT = "..."
COMMAND_WIDTH_WANTED = 12
LESS_NEEDED = ("PID", "PROFILE", "ATTACH")  # left out one by one where the command has less; inspect has all
_GREEN, _YELLOW, _RED, _RESET = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m"
_COLOURS = {RUNNING: _GREEN, PAUSED: _YELLOW, "attached": _GREEN, "detached": _YELLOW}
_UNITS = (("d", 86400), ("h", 3600), ("m", 60))


class Shown(Protocol):
    """A session, and what it waits for."""

    @property
    def record(self) -> Record: ...
    @property
    def questions(self) -> tuple[Listed, ...]: ...


def table(shown: Sequence[Shown], now_ms: int, width: int, is_coloured: bool) -> Iterator[str]:
    """Yield the lines of the table."""
    rows = (HEADERS, *(_row(each.record, each.questions, now_ms) for each in shown))
    columns = dict(zip(HEADERS, zip(*rows, strict=True), strict=True))
    for name in (*LESS_NEEDED, ""):
        widths = [max(map(len, column)) for column in columns.values()]
        left = width - sum(widths[:-1]) - 2 * (len(widths) - 1)
        if left >= min(widths[-1], COMMAND_WIDTH_WANTED):
            break
        columns.pop(name, None)
    widths[-1] = max(left, len(HEADERS[-1]))
    for row in zip(*columns.values(), strict=True):
        # Padded before it is coloured, otherwise the columns would not line up.
        cells = [cell[:size].ljust(size) for cell, size in zip(row, widths, strict=True)]
        if is_coloured:
            cells = [_coloured(cell) for cell in cells]
        yield "  ".join(cells).rstrip()


def _row(record: Record, questions: Sequence[Listed], now_ms: int) -> tuple[str, ...]:
    until_ms = now_ms if not record.is_ended else record.ended_unix_ms
    return (
        record.session_id,
        shell_word(record.name)[:NAME_WIDTH] if record.name else "-",
        status(record, questions, now_ms),
        "-" if record.is_ended else record.attachment,
        str(record.child_pid),
        "-" if until_ms is None else duration((until_ms - record.started_unix_ms) // 1000),
        _profile(shell_word(record.profile)) if record.profile else "-",
        command_line(record.command),
    )


def _profile(text: str) -> str:
    """Cut a profile to the width of its column: the end of a path tells most, and the start of names."""
    if len(text) <= PROFILE_WIDTH:
        return text
    kept = PROFILE_WIDTH - len(_CUT)
    return f"{_CUT}{text[-kept:]}" if "/" in text else f"{text[:kept]}{_CUT}"


def name_of(record: Record) -> str:
    """Return the session's name, quoted for a shell; its id if it has none."""
    return shell_word(record.name) if record.name else record.session_id


def short_name(record: Record) -> str:
    """Return the same for a table, with a long name cut."""
    return name_of(record)[:NAME_WIDTH] if record.name else record.session_id


def document(record: Record, questions: Sequence[Listed]) -> Mapping[str, object]:
    """Return a session as JSON types: what is recorded, its state and its open questions."""
    asked = [each.document for each in questions]
    state = "ended" if record.is_ended else record.status
    if questions and state == RUNNING:
        state = NEEDS_YOU
    return {**document_of(record), "state": state, "questions": asked}


def change_line(record: Record, questions: Sequence[Listed]) -> str:
    """Return a line that changes whenever the state of the session changes."""
    why = "" if record.end is None or record.end.cause == ends.EXIT else f"  {reason(record.end)}"
    attached = "" if record.is_ended else f" {record.attachment}"
    name = shell_word(record.name) if record.name else "-"
    command = command_line(record.command)
    return f"{record.session_id}  {name}  {status(record, questions)}{attached}{why}  {command}"


def gone_line(session_id: str) -> str:
    return f"{session_id}  no longer listed"


def status(record: Record, questions: Sequence[Listed] = (), now_ms: int | None = None) -> str:
    """Word the state of a session.

    questions: The open questions, the oldest first.
    now_ms: Used to say how long somebody has been needed; None: that is left out.
    """
    if questions and record.status == RUNNING:
        since = "" if now_ms is None else f", {duration((now_ms - questions[0].asked_unix_ms) // 1000)}"
        return f"{NEEDS_YOU} ({len(questions)}{since})"
    if record.status != EXITED:
        return record.status
    return "crashed" if record.exit_code in (None, LOST) else f"exited({record.exit_code})"


def duration(seconds: int) -> str:
    """Return a time in its largest unit."""
    for unit, size in _UNITS:
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{max(seconds, 0)}s"


def _coloured(cell: str) -> str:
    word = cell.rstrip()
    if word.startswith(NEEDS_YOU):
        return f"{_YELLOW}{cell}{_RESET}"
    is_failed = word == "crashed" or (word.startswith("exited(") and word != "exited(0)")
    colour = _RED if is_failed else _COLOURS.get(word)
    return cell if colour is None else f"{colour}{cell}{_RESET}"


def details(
    record: Record, questions: Sequence[Listed] = (), live: Mapping[str, Any] | None = None, now_ms: int = 0
) -> Iterator[str]:
    """Yield the lines about one session.

    questions: The open questions, the oldest first.
    live: What the session reports about itself; None if it does not answer.
    """
    fields = [
        ("Session", record.session_id),
        ("Name", shell_word(record.name) if record.name else "-"),
        ("Status", status(record, questions, now_ms)),
        ("Attached", "-" if record.is_ended else record.attachment),
        ("PID", f"{record.child_pid} (supervisor: {record.supervisor_pid})"),
        ("Started", record.started),
    ]
    if record.end is not None:
        if record.ended_unix_ms is not None:
            fields.append(("Ended", local_time(record.ended_unix_ms)))
        fields.append(("Exit code", "unknown" if record.exit_code in (None, LOST) else str(record.exit_code)))
        fields.append(("Reason", reason(record.end)))
    fields += [
        ("Command", command_line(record.command)),
        ("Profile", shell_word(record.profile) if record.profile else "-"),
        ("Workdir", shell_word(record.workdir)),
        ("Network", record.network),
        ("Audit log", record.rollback_session or "none"),
    ]
    if questions:
        waits = duration((now_ms - questions[0].asked_unix_ms) // 1000)
        fields.append(("Needs you", f"for {waits}: nono approvals"))
        fields += (("", f"{each.id[:8]}  {one_line(each.what)}") for each in questions)
    if live is not None:
        counts = live.get("counts", {})
        told = (f"{counts.get(name)} {name}" for name in ("allowed", "refused", "asked"))
        fields.append(("Decisions", ", ".join(told)))
        fields += (("Rule", rule_line(rule, now_ms)) for rule in live.get("rules", ()))
    return (f"{label + ':' if label else '':<11}{text}" for label, text in fields)


def rule_line(rule: Mapping[str, object], now_ms: int) -> str:
    """Word a rule that is in force."""
    expires = rule.get("expires_unix_ms")
    until = f", for {duration((expires - now_ms) // 1000)}" if isinstance(expires, int) else ""
    access = " (read)" if rule.get("kind") == "path" and rule.get("access") == "read" else ""
    return one_line(f"{rule.get('decision')} {rule.get('target')}{access}{until}, by {rule.get('by')}")


_PLAIN_REASONS = {
    ends.OUT_OF_MEMORY: "the machine was out of memory, and the kernel killed the command",
    ends.TERMINAL_CLOSED: "its terminal was closed",
    ends.RESTARTED: "the machine was restarted",
}
_KILLED = "its supervisor was killed"


def reason(end: End) -> str:
    """Word why a session ended, and who ended it."""
    if end.cause in _PLAIN_REASONS:
        return _PLAIN_REASONS[end.cause]
    detail = "" if end.detail is None else f": {one_line(end.detail)}"
    match end.cause:
        case ends.EXIT:
            return "the command exited" + (", at its limit of processes" if end.detail == "processes" else "")
        case ends.SIGNAL:
            return _signalled(end, detail)
        case ends.LIMIT if end.detail == "memory":
            return "the command reached its memory limit, and the kernel killed it"
        case ends.LIMIT:
            return f"{end.signal}: the command reached its limit{detail.replace(':', ' of', 1)}"
        case ends.STOP:
            return f"stopped by {one_line(end.by or 'somebody')}"
        case ends.NOT_STARTED:
            return f"the command was not started{detail}"
        case ends.CRASHED:
            return _KILLED if end.detail == _KILLED else _KILLED + detail
    return f"nono failed{detail}"


# A terminal of the command's own sends these past the supervisor.
_TYPED = {"SIGINT": "Ctrl-C", "SIGQUIT": "Ctrl-\\"}


def _signalled(end: End, detail: str) -> str:
    match end.by:
        case ends.ITSELF:
            return f"{end.signal}, for what the command did"
        case ends.KERNEL:
            return f"{end.signal}{detail}"
        case None:
            typed = _TYPED.get(end.signal or "")
            somebody = "somebody whom the kernel does not name"
            return f"{end.signal}, by {typed} or {somebody}" if typed else f"{end.signal}, sent by {somebody}"
        case by:
            return f"{end.signal}, sent by {one_line(by)}"


def command_line(command: Sequence[str]) -> str:
    """Return a command as a shell reads it, without the middle of a long one."""
    return without_middle(" ".join(map(shell_word, command)), LINE_MAX)


def one_line(text: str) -> str:
    """Escape what would not stay on one line of a terminal."""
    return printable_line(text).replace("\t", "\\t")
