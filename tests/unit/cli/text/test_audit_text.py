"""What a person reads of audit logs, and of whether one is unchanged."""

from __future__ import annotations

from typing import Any

import pytest

from nono.audit.chain import Integrity
from nono.audit.proof.entries import Entry
from nono.audit.proof.verdict import (
    MISMATCH,
    VERIFIED,
    Attestation,
    LedgerVerdict,
    LogVerdict,
    Verdict,
)
from nono.audit.reading import Damage
from nono.cli.commands.audit.found import COMPLETED, Found
from nono.cli.text import audit_text
from nono.cli.text.session_text import LINE_MAX
from nono.outward.verification import Anchored, AnchorVerdict

DIGEST = "d" * 64
FOUND = Found("s" * 16, "/x", COMPLETED, "2026-01-03T00:30:00+01:00", None, ("make",), ("/home/u/p",), 0, 10)


def fields(lines: list[str]) -> dict[str, str]:
    return {name.strip(): text.strip() for name, _, text in (line.partition(":") for line in lines)}


@pytest.mark.parametrize(
    ("exit_code", "state"), [(None, "completed"), (0, "completed"), (3, "completed (3)")]
)
def test_a_listed_log_has_the_exit_code_of_a_failure(exit_code: int | None, state: str) -> None:
    head, row = audit_text.listing([FOUND._replace(exit_code=exit_code)])
    assert head == "/home/u/p"
    assert row == f"  {'s' * 16}  2026-01-03 00:30:00  {state:<15}       10 B  make"


def test_no_command_of_any_length_fills_the_terminal() -> None:
    found = FOUND._replace(command=("true", "x" * 60_000))
    for lines in (audit_text.listing([found]), audit_text.details(found, {}, {}, None)):
        assert sum(map(len, lines)) < 2 * LINE_MAX


@pytest.mark.parametrize(
    ("roots", "before", "after"),
    [((), None, None), (("a",), "a", "not hashed"), (("a", "b"), "a", "b")],
)
def test_a_tree_that_was_not_hashed_at_the_end_is_said(
    roots: tuple[str, ...], before: str | None, after: str | None
) -> None:
    told = fields([*audit_text.details(FOUND, {"merkle_roots": roots}, {}, None)])
    assert (told.get("Tree before"), told.get("Tree after")) == (before, after)


def anchored(records: int, *, is_trusted: bool) -> Anchored:
    return Anchored("1.tsr", records, "2026-01-03T00:30:00Z", "CN=clock", is_trusted)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([], "none"),
        ([anchored(4, is_trusted=True)], "4 of 9 records by CN=clock at 2026-01-03T00:30:00Z"),
        (
            [anchored(4, is_trusted=False)],
            "4 of 9 records by CN=clock at 2026-01-03T00:30:00Z, unchecked "
            "(--anchor-ca and --anchor-key-file check it)",
        ),
        (
            [anchored(3, is_trusted=True), anchored(8, is_trusted=False)],
            "3 of 9 records by CN=clock at 2026-01-03T00:30:00Z",
        ),
        (
            [anchored(3, is_trusted=True), anchored(5, is_trusted=True)],
            "5 of 9 records by CN=clock at 2026-01-03T00:30:00Z",
        ),
    ],
    ids=["none", "one", "unchecked", "a trusted one counts for more", "the last"],
)
def test_an_anchor_that_anybody_may_have_made_is_not_told_as_proof(found: list[Anchored], words: str) -> None:
    assert audit_text.anchors(AnchorVerdict(tuple(found), ()), 9) == words


INTEGRITY = Integrity(9, "c" * 64, "m" * 64)
ENTRY = Entry(1, None, "s" * 16, DIGEST, "2026-01-03T00:30:00Z", "h" * 64)
LEDGER = LedgerVerdict(1, "h", None, (ENTRY,))


def verdict(**changed: Any) -> Verdict:
    log = LogVerdict(INTEGRITY, None, 0, {}, {}, INTEGRITY)
    whole = Verdict("s" * 16, VERIFIED, log, {}, DIGEST, LEDGER, Attestation(), (), ())
    return whole._replace(**changed)


@pytest.mark.parametrize(
    ("ledger", "words"),
    [
        (LEDGER, "verified"),
        (LEDGER._replace(entries=()), "no entry"),
        (LEDGER._replace(entries=(ENTRY, ENTRY)), "mismatch"),
        (LEDGER._replace(entries=(ENTRY._replace(session_digest="e" * 64),)), "mismatch"),
        (LEDGER._replace(damage=Damage(1, "x")), "mismatch"),
        (LEDGER._replace(aside_problem="x"), "mismatch"),
    ],
)
def test_the_ledger_is_verified_by_exactly_one_entry(ledger: LedgerVerdict, words: str) -> None:
    assert fields([*audit_text.verdict_lines(verdict(ledger=ledger), "none")])["Ledger"] == words


@pytest.mark.parametrize(
    ("attestation", "words"),
    [
        (Attestation(), "none"),
        (Attestation(True, expected_public_key_matches=True), "verified (pinned key)"),
        (Attestation(True), "self-attested"),
        (Attestation(True, expected_public_key_matches=True, verification_error="x"), "mismatch"),
    ],
)
def test_a_signature_without_a_given_key_is_only_self_attested(attestation: Attestation, words: str) -> None:
    assert fields([*audit_text.verdict_lines(verdict(attestation=attestation), "none")])["Signature"] == words


def test_a_verdict_ends_with_its_word_after_what_is_wrong() -> None:
    *lines, word = audit_text.verdict_lines(
        verdict(state=MISMATCH, problems=("line 3 was changed",), notes=("no anchor",)), "none"
    )
    assert word == "MISMATCH"
    assert [line.split(":")[0] for line in lines] == [
        "Session", "Records", "Chain head", "Merkle root", "Ledger", "Signature", "Anchors", "Problem",
        "Note",
    ]  # fmt: skip
