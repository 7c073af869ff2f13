"""What `nono audit verify --json` says of a verdict."""

from __future__ import annotations

from typing import Any

import pytest

from nono.audit.chain import Integrity
from nono.audit.proof.entries import Entry
from nono.audit.proof.verdict import VERIFIED, Attestation, LedgerVerdict, LogVerdict, Verdict, document_of
from nono.audit.reading import Damage

WHOLE = Integrity(9, "c" * 64, "a" * 64)
LOG = LogVerdict(WHOLE, None, 0, {}, {}, WHOLE)
ENTRY = Entry(1, None, "s" * 16, "d" * 64, "2026-01-03T00:30:00Z", "h" * 64)
LEDGER = LedgerVerdict(1, "h" * 64, None, (ENTRY,))


def document(log: LogVerdict = LOG, ledger: LedgerVerdict = LEDGER) -> dict[str, Any]:
    verdict = Verdict("s" * 16, VERIFIED, log, {}, "d" * 64, ledger, Attestation(), (), ())
    return dict(document_of(verdict))


@pytest.mark.parametrize(
    ("log", "matches", "is_verified", "torn"),
    [
        (LOG, True, True, 0),
        (LOG._replace(stored=None), False, True, 0),
        (LOG._replace(stored=WHOLE._replace(event_count=8)), False, True, 0),
        (LOG._replace(damage=Damage(3, "x")), True, False, 0),
        (LOG._replace(computed=None), False, False, 0),
        (LOG._replace(torn_bytes=7), True, True, 7),
    ],
    ids=["whole", "no summary", "another summary", "damaged", "empty", "torn"],
)
def test_the_records_are_verified_only_if_there_are_any(
    log: LogVerdict, matches: bool, is_verified: bool, torn: int
) -> None:
    session = document(log)["session"]
    told = (session["event_count_matches"], session["records_verified"], session["torn_tail_bytes"])
    assert told == (matches, is_verified, torn)


def test_what_was_computed_stands_beside_what_was_stored() -> None:
    stored = Integrity(8, "e" * 64, "f" * 64)
    session = document(LOG._replace(stored=stored))["session"]
    names = ("event_count", "chain_head", "merkle_root")
    assert [session[f"stored_{name}"] for name in names] == list(stored)
    computed = [session["event_count"], *(session[f"computed_{name}"] for name in names[1:])]
    assert computed == list(WHOLE)


@pytest.mark.parametrize(
    ("ledger", "is_found", "matches", "is_verified"),
    [
        (LEDGER, True, True, True),
        (LEDGER._replace(entries=()), False, False, True),
        (LEDGER._replace(entries=(ENTRY, ENTRY)), True, False, True),
        (LEDGER._replace(entries=(ENTRY._replace(session_digest="e" * 64),)), True, False, True),
        (LEDGER._replace(damage=Damage(1, "x")), True, True, False),
        (LEDGER._replace(entry_count=0, entries=()), False, False, False),
    ],
    ids=["whole", "no entry", "two entries", "another digest", "damaged", "empty"],
)
def test_the_ledger_proves_a_session_by_exactly_one_entry(
    ledger: LedgerVerdict, is_found: bool, matches: bool, is_verified: bool
) -> None:
    told = document(ledger=ledger)["ledger"]
    names = ("session_found", "session_digest_matches", "ledger_chain_verified")
    assert [told[name] for name in names] == [is_found, matches, is_verified]
