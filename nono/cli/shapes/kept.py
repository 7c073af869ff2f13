"""Define the shapes of output about kept sessions: audit logs, undo snapshots, reports."""

from __future__ import annotations

from nono.audit.chain import Integrity
from nono.audit.proof.summary import Executable
from nono.audit.proof.verdict import MISMATCH, UNFINISHED, VERIFIED, Attestation
from nono.cli.shapes.parts import (
    ANY,
    NULL,
    Schema,
    an_object,
    flag,
    from_tuple,
    listed,
    mapping,
    maybe,
    number,
    text,
)
from nono.report.many import Totals
from nono.report.model import Page, Report
from nono.report.replay.compare import Result
from nono.undo.model.changes import ChangeType
from nono.undo.model.left_out import LeftOut
from nono.undo.model.snapshot import KINDS

_ANYTHING = mapping(ANY)
_HEAD: dict[str, Schema] = {
    "session_id": text("id of the log, which nono ps --json calls rollback_session"),
    "started": text("RFC 3339, local time"),
    "ended": maybe(text("RFC 3339, local time; null: it runs, or nono did not live to see its end")),
    "command": listed(text(), "words of the command line, secrets left out"),
    "tracked_paths": listed(text(), "directories that it could write to"),
    "exit_code": maybe(number("of the command; null: not known")),
}
_STATUS = text("orphaned: nono did not live to see its end", "running", "orphaned", "completed")

AUDIT_LISTED: dict[str, Schema] = {
    **_HEAD,
    "snapshot_count": number("that undo took (--rollback)"),
    "network_event_count": number("events about the network in the log"),
    "disk_size": number("bytes"),
    "is_alive": flag("the session runs"),
    "is_stale": flag("the session is orphaned"),
    "status": _STATUS,
    "tool_sandbox_active": flag("false: there are no command policies"),
    "command_policy_summary": NULL,
}
_INTEGRITY = an_object(
    {
        "hash_algorithm": text(),
        **from_tuple(Integrity, {"event_count": "records", "chain_head": "hash of the last record"}),
    },
    "what proves the log; null: it has no intact record",
)
_CHANGE = an_object(
    {
        "path": text(),
        "type": text("", *(each.value for each in ChangeType)),
        "size_delta": maybe(number("bytes; null: it is no file, before or after")),
        "old_hash": maybe(text("of the content before")),
        "new_hash": maybe(text("of the content after")),
    }
)
_TAKEN = an_object(
    {
        "number": number(),
        "kind": text("", *KINDS),
        "merkle_root": maybe(text("one digest over all that was seen; null: of a mark")),
        "turn": maybe(number("of the agent, before which it was taken; null: before or after the run")),
        "timestamp": maybe(text("seconds since 1970; null, as the next two: undo keeps it no longer")),
        "file_count": maybe(number()),
        "changes": maybe(listed(_CHANGE, "since the snapshot before")),
    }
)
AUDIT_SHOWN: dict[str, Schema] = {
    **_HEAD,
    "status": _STATUS,
    "executable_identity": maybe(an_object(from_tuple(Executable), "the program, as it was before it ran")),
    "merkle_roots": listed(text(), "of the writable directories, before and after"),
    "network_events": listed(_ANYTHING, "each with how its request ended; see Events"),
    "command_policy_events": listed(_ANYTHING, "empty: there are no command policies"),
    "audit_event_count": number("records that could be read"),
    "audit_integrity": maybe(_INTEGRITY),
    "audit_attestation": maybe(mapping(text(), "the signature over the session; null: it is not signed")),
    "snapshots": listed(_TAKEN, "that undo took (--rollback)"),
    "damage": maybe(text("why the rest of the log is not shown; null: it is whole")),
}
AUDIT_DELIVERY: dict[str, Schema] = {
    "enrolled": flag("a collector gets the log"),
    "queued": number("records that collectors have not received yet"),
    "collectors": listed(
        an_object(
            {
                "collector": text("where it listens"),
                "queued": number("records that it has not received yet"),
                "sessions": listed(text(), "their logs"),
                "refused": number("records that it never took"),
            }
        )
    ),
}
_WORDS_OF_PROOF = {
    "expected_public_key_matches": "null: nobody said which key it should be",
    "verification_error": "why the signature is not accepted; null: it is, or there is none",
}
AUDIT_VERIFIED: dict[str, Schema] = {
    "session_id": text(),
    "state": text("the verdict; the exit code is 0 for verified alone", VERIFIED, MISMATCH, UNFINISHED),
    "verified": flag(),
    "problems": listed(text(), "why it is not verified"),
    "notes": listed(text(), "what a proof does not cover"),
    "session": an_object(
        {
            "hash_algorithm": text(),
            "merkle_scheme": text(),
            "event_count": number("intact records"),
            "computed_chain_head": maybe(text()),
            "computed_merkle_root": maybe(text()),
            "stored_event_count": maybe(number()),
            "stored_chain_head": maybe(text()),
            "stored_merkle_root": maybe(text()),
            "event_count_matches": flag(),
            "records_verified": flag(),
            "torn_tail_bytes": number("of a record at the end that was never completed"),
        },
        "the log, beside what session.json says of it",
    ),
    "ledger": an_object(
        {
            "entry_count": number(),
            "session_digest": maybe(text()),
            "session_found": flag(),
            "session_digest_matches": flag(),
            "ledger_chain_verified": flag(),
            "ledger_head": maybe(text()),
        },
        "the ledger of all sessions",
    ),
    "attestation": an_object(from_tuple(Attestation, _WORDS_OF_PROOF), "the signature over the session"),
    "anchors": an_object(
        {
            "verified": flag("there is one that is trusted, and nothing is wrong"),
            "trusted_records": number("records that a trusted anchor vouches for"),
            "anchored": listed(
                an_object(
                    {
                        "file": text(),
                        "records": number("that it vouches for"),
                        "at": text("RFC 3339, by the clock of who signed"),
                        "by": text(),
                        "is_trusted": flag("its signature is valid by what was given"),
                    }
                )
            ),
            "problems": listed(text()),
        },
        "who outside vouches for the log",
    ),
}

ROLLBACK_LISTED: dict[str, Schema] = {
    **_HEAD,
    "name": maybe(text("of the session")),
    "snapshot_count": number(),
    "changed": maybe(number("paths that the run has changed; null: not known yet")),
    "disk_size": number("bytes that are kept"),
    "is_alive": flag("the run goes on"),
    "is_stale": flag("nono did not live to see its end"),
}
_SNAPSHOT = an_object(
    {
        "number": number(),
        "kind": text("", *KINDS),
        "label": text("such as the turn of an agent"),
        "timestamp": text("seconds since 1970"),
        "parent": maybe(number("of the snapshot that the changes are counted from")),
        "file_count": number(),
        "merkle_root": text("one digest over all that was seen"),
        "changes": listed(_CHANGE),
    }
)
ROLLBACK_SHOWN: dict[str, Schema] = {
    **ROLLBACK_LISTED,
    "notes": listed(text(), "what to know before a restore"),
    "left_out": an_object(from_tuple(LeftOut), "what is not kept: names, directories, patterns and paths"),
    "snapshots": listed(_SNAPSHOT, "the first is from before the run"),
}

_REPORT_WORDS = {
    "at_ms": "milliseconds since 1970",
    "started_ms": "milliseconds since 1970",
    "ended_ms": "milliseconds since 1970; null: it runs",
    "why": "the reason",
    "option": "that would allow it; null: none is offered",
    "grants": "what the option grants beyond that access, or why none is offered",
    "allowed_by": "the rules that let requests through, the first used first",
    "statuses": "how often each status was answered; 0: not at all",
    "frozen": "why no later request got it; null: it is in use",
    "cost_usd": "an estimate at list prices; null: the price is not known",
    "turn": "of the agent; null: not known",
    "damaged": "lines of the log that could not be understood",
    "left_out": "moments beyond those of the timeline",
    "prices_of": "year and month of the prices",
    "files": "null: what the run has changed was not kept (--rollback keeps it)",
    "later": "changed files that a program outside the sandbox runs or obeys",
    "days": "the oldest first",
    "ends": "how sessions ended, and how often",
    "unread": "sessions without a log that could be read",
    "differences": "what breaks first",
    "effect": "breaks: it was allowed and would be refused; asks: somebody would have to allow it; "
    "opens: it was refused and would be allowed",
    "against": "what the profile of --against says; null: none was named",
    "unjudged": "what could not be judged, and how often",
    "has_files": "the logs recorded accesses to files; else the kernel alone decided about them",
    "judged": "accesses, each counted once",
}
REPORT: dict[str, Schema] = {
    **from_tuple(Report, _REPORT_WORDS, without=("later",)),
    **from_tuple(Page, _REPORT_WORDS, without=("report",)),
}
TOTALS: dict[str, Schema] = {
    **from_tuple(Totals, _REPORT_WORDS),
    "cost_usd": maybe({"type": "number", "description": "of all models with a known price"}),
}
REPLAY: dict[str, Schema] = {
    "profile": maybe(text("by which the sessions were judged; null: options alone")),
    "against": maybe(text("the other profile of --against")),
    **from_tuple(Result, _REPORT_WORDS),
    "skipped": listed(listed(text()), "sessions that could not be judged: id and reason"),
    "breaks": flag("something that was allowed would be refused; the exit code is 1 then"),
}
