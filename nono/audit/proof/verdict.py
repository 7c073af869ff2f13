"""Judge whether the log of a session, its summary and the ledger agree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nono.amounts import several
from nono.audit.chain import Integrity
from nono.audit.proof import summary as summaries
from nono.audit.proof.entries import Entry
from nono.audit.proof.history import History
from nono.audit.proof.summary import ALGORITHM, SCHEME
from nono.audit.reading import Damage, Reading
from nono.named_tuple import NamedTuple

VERIFIED, MISMATCH, UNFINISHED = "verified", "mismatch", "unfinished"
FILES_AGREE = (
    "this shows that the files agree, not that nobody rewrote them all; a signature does (nono run "
    "--audit-sign-key)"
)


class LogVerdict(NamedTuple):
    """The intact records of a log, and the summary to compare them with."""

    computed: Integrity | None  # of the intact records; None: there are none
    damage: Damage | None
    torn_bytes: int  # of an incomplete record at the end
    started: Mapping[str, Any] | None  # the first event, if it is session_started
    ended: Mapping[str, Any] | None  # the last session_ended
    stored: Integrity | None = None  # from the summary

    @property
    def intact(self) -> int:
        return 0 if self.computed is None else self.computed.event_count


class LedgerVerdict(NamedTuple):
    """The ledger's entries about one session."""

    entry_count: int
    head: str | None
    damage: Damage | None
    entries: tuple[Entry, ...]  # of the session; there should be only one
    set_aside: tuple[Entry, ...] = ()  # the first entries of ledgers that replaced damaged ones
    found_in: str | None = None  # the name of a ledger set aside
    aside_problem: str | None = None


class Attestation(NamedTuple):
    """The result of checking a session's signature. Without one, all but `present` is None or False."""

    present: bool = False
    predicate_type: str | None = None
    key_id: str | None = None
    key_id_matches: bool = False
    signature_verified: bool = False
    merkle_root_matches: bool = False
    session_id_matches: bool = False
    expected_public_key_matches: bool | None = None  # None: no expected key was given
    verification_error: str | None = None


class Verdict(NamedTuple):
    """Whether a session is proved. `problems` say why it is not, `notes` what the proof does not cover."""

    session_id: str
    state: str  # verified, mismatch, unfinished
    log: LogVerdict
    summary: Mapping[str, Any] | None
    session_digest: str | None
    ledger: LedgerVerdict
    attestation: Attestation
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def is_verified(self) -> bool:
        return self.state == VERIFIED


def judge_log(reading: Reading) -> LogVerdict:
    """Read a log to its end or its first damage."""
    started = ended = None
    for record in reading:
        kind = record.event.get("type")
        if kind == "session_started" and record.sequence == 0:
            started = record.event
        elif kind == "session_ended":
            ended = record.event
    return LogVerdict(reading.state.integrity(), reading.damage, len(reading.torn), started, ended)


def judge_ledger(lines: Iterable[bytes], session_id: str) -> LedgerVerdict:
    """Read a ledger to its end or its first damage."""
    history, found, epochs, count = History(lines), [], [], 0
    for entry in history:
        count += 1
        if entry.is_epoch:
            epochs.append(entry)
        elif entry.session_id == session_id:
            found.append(entry)
    head = None if history.last is None else history.last.chain_hash
    return LedgerVerdict(count, head, history.damage, tuple(found), tuple(epochs))


def stored_integrity(summary: Mapping[str, Any] | None) -> Integrity | None:
    fields = None if summary is None else summary["audit_integrity"]
    return None if fields is None else Integrity(*(fields[name] for name in Integrity._fields))


def judge(
    session_id: str,
    log: LogVerdict,
    summary: Mapping[str, Any] | None,
    ledger: LedgerVerdict,
    attestation: Attestation,
    *,
    is_running: bool = False,
    summary_problem: str | None = None,
    wants_key: bool = False,
) -> Verdict:
    """Compare everything known about one session.

    summary: session.json as parsed; None: it is missing, or invalid for the reason summary_problem.
    is_running: Its supervisor is alive, so that no summary is due yet.
    wants_key: A person named the key that should have signed it.
    """
    digest = None if summary is None else summaries.digest_of(summary)
    log = log._replace(stored=stored_integrity(summary))
    is_due = summary is not None or summary_problem is not None
    problems = [*_of_log(log, is_due=is_due)]
    if summary_problem is not None:
        problems.append(f"session.json {summary_problem}")
    elif summary is not None:
        problems += _of_summary(session_id, summary, log)
    elif log.ended is not None and not is_running:
        problems.append("session.json is missing, although the log has the end of the session")
    problems += _of_ledger(ledger, digest, is_due=is_due)
    if attestation.verification_error is not None:
        problems.append(f"the signature does not hold: {attestation.verification_error}")
    elif wants_key and not attestation.present:
        problems.append("the session is not signed")
    state = MISMATCH if problems else VERIFIED if is_due else UNFINISHED
    notes = tuple(_notes(log, ledger, attestation, state, is_running=is_running))
    return Verdict(session_id, state, log, summary, digest, ledger, attestation, tuple(problems), notes)


def _of_log(log: LogVerdict, *, is_due: bool) -> Iterator[str]:
    if log.damage is not None:
        yield f"the log is damaged: {log.damage}; intact before it: {several(log.intact, 'record')}"
    elif log.intact == 0:
        if is_due:
            yield "the log has no record"
    elif log.started is None:
        yield "the log does not begin with the start of a session"


def _of_summary(session_id: str, summary: Mapping[str, Any], log: LogVerdict) -> Iterator[str]:
    """Compare session.json with the log: both record how the session began and ended."""
    if summary["session_id"] != session_id:
        yield f"session.json is that of session {summary['session_id']}"
    stored, computed = log.stored, log.computed
    if stored is None:
        yield "session.json has no integrity summary: nothing says how many records there were"
    elif log.damage is None and stored != computed:
        # Report one problem, the most telling one.
        more = log.intact - stored.event_count
        if more < 0:
            yield f"missing at the end of the log: {-more} of {several(stored.event_count, 'record')}"
        elif more > 0:
            yield f"the log has {several(log.intact, 'record')}, {more} more than when it ended"
        else:
            yield "the log is not the one that session.json sums up"
    if log.torn_bytes:
        yield f"the log has {several(log.torn_bytes, 'byte')} of a torn record behind its end"
    if summary["audit_event_count"] != (0 if stored is None else stored.event_count):
        yield "session.json states two different numbers of records"
    for event, fields in ((log.started, ("started", "command")), (log.ended, ("ended", "exit_code"))):
        if event is None:
            continue  # reported above
        for field in fields:
            if event.get(field) != summary[field]:
                yield f"session.json and the log differ in '{field}'"


def _of_ledger(ledger: LedgerVerdict, digest: str | None, *, is_due: bool) -> Iterator[str]:
    if ledger.damage is not None:
        yield f"the ledger is damaged: {ledger.damage}"
    if ledger.aside_problem is not None:
        yield ledger.aside_problem
    if len(ledger.entries) > 1:
        yield f"the ledger has {len(ledger.entries)} entries of this session"
    if not ledger.entries and is_due:
        yield "the ledger has no entry of this session"
    elif ledger.entries and not is_due:
        yield "session.json is missing, although the ledger has an entry of this session"
    elif ledger.entries and digest is not None and ledger.entries[-1].session_digest != digest:
        yield "session.json is not the one in the ledger"


def _notes(
    log: LogVerdict, ledger: LedgerVerdict, attestation: Attestation, state: str, *, is_running: bool
) -> Iterator[str]:
    if state == UNFINISHED:
        yield (
            "the session is running"
            if is_running
            else "the session has no summary: its supervisor was killed, or failed"
        )
        torn = f", then {several(log.torn_bytes, 'byte')} of a torn one" if log.torn_bytes else ""
        yield f"intact: {several(log.intact, 'record')}{torn}; nothing here shows whether there were more"
    for entry in ledger.set_aside:
        yield f"a damaged ledger was set aside at {entry.completed_at}"
    if ledger.found_in is not None:
        yield f"its entry is in {ledger.found_in}, which was set aside"
    if state == VERIFIED and not attestation.present:
        yield FILES_AGREE
    elif state == VERIFIED and not attestation.expected_public_key_matches:
        yield "the signature is by the key that the session names; --public-key-file says which it has to be"


def document_of(verdict: Verdict) -> dict[str, object]:
    """Return a verdict as JSON values."""
    log, ledger, digest = verdict.log, verdict.ledger, verdict.session_digest
    computed, stored = log.computed, log.stored
    return {
        "session_id": verdict.session_id,
        "state": verdict.state,
        "verified": verdict.is_verified,
        "problems": list(verdict.problems),
        "notes": list(verdict.notes),
        "session": {
            "hash_algorithm": ALGORITHM,
            "merkle_scheme": SCHEME,
            "event_count": log.intact,
            "computed_chain_head": None if computed is None else computed.chain_head,
            "computed_merkle_root": None if computed is None else computed.merkle_root,
            "stored_event_count": None if stored is None else stored.event_count,
            "stored_chain_head": None if stored is None else stored.chain_head,
            "stored_merkle_root": None if stored is None else stored.merkle_root,
            "event_count_matches": stored is not None and stored.event_count == log.intact,
            "records_verified": log.damage is None and log.intact > 0,
            "torn_tail_bytes": log.torn_bytes,
        },
        "ledger": {
            "entry_count": ledger.entry_count,
            "session_digest": digest,
            "session_found": bool(ledger.entries),
            "session_digest_matches": len(ledger.entries) == 1
            and digest is not None
            and ledger.entries[0].session_digest == digest,
            "ledger_chain_verified": ledger.damage is None and ledger.entry_count > 0,
            "ledger_head": ledger.head,
        },
        "attestation": verdict.attestation._asdict(),
    }
