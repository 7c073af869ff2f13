"""Word audit logs for a terminal: a list of logs, one log, and whether it is unchanged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from textwrap import wrap
from typing import Any, Protocol

from nono.amounts import several, size
from nono.audit.proof.verdict import MISMATCH, UNFINISHED, VERIFIED, Attestation, LedgerVerdict, Verdict
from nono.cli.text.session_text import command_line, one_line
from nono.cli.text.wrap_text import COLUMNS
from nono.outward.verification import AnchorVerdict
from nono.printable import shell_word

_LABEL = 12
_WORDS = {VERIFIED: "VERIFIED", MISMATCH: "MISMATCH", UNFINISHED: "UNFINISHED"}


class Listed(Protocol):
    """A session with an audit log."""

    @property
    def session_id(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def started(self) -> str: ...
    @property
    def ended(self) -> str | None: ...
    @property
    def command(self) -> tuple[str, ...]: ...
    @property
    def tracked_paths(self) -> tuple[str, ...]: ...
    @property
    def exit_code(self) -> int | None: ...
    @property
    def disk_size(self) -> int: ...


def listing(found: Sequence[Listed]) -> Iterator[str]:
    """Yield the list, by the first directory in which each session worked."""
    groups: dict[str, list[Listed]] = {}
    for each in found:
        groups.setdefault(each.tracked_paths[0] if each.tracked_paths else "", []).append(each)
    for index, (path, members) in enumerate(groups.items()):
        if index:
            yield ""
        yield shell_word(path) if path else "(no directory)"
        for each in members:
            yield "  ".join(_row(each)).rstrip()


def _row(each: Listed) -> tuple[str, ...]:
    state = each.state if each.exit_code in (None, 0) else f"{each.state} ({each.exit_code})"
    started = one_line(each.started[:19]).replace("T", " ")
    return (
        "",
        each.session_id,
        started,
        f"{state:<15}",
        f"{size(each.disk_size):>9}",
        command_line(each.command),
    )


def details(
    found: Listed,
    summary: Mapping[str, Any],
    kinds: Mapping[str, int],
    integrity: Mapping[str, object] | None,
) -> Iterator[str]:
    """Yield the lines about one session that precede its events.

    kinds: The number of events of each kind.
    integrity: The integrity of the records that are intact.
    """
    attestation, executable = summary.get("audit_attestation"), summary.get("executable_identity")
    yield from _field("Session", found.session_id)
    yield from _field("Status", found.state)
    yield from _field("Command", command_line(found.command))
    yield from _field("Started", one_line(found.started) or "unknown")
    yield from _field("Ended", one_line(found.ended or "-"))
    yield from _field("Exit code", "-" if found.exit_code is None else str(found.exit_code))
    if executable is not None:
        yield from _field("Program", one_line("{resolved_path} sha256 {sha256}".format(**executable)))
    yield from _field("Directories", ", ".join(map(shell_word, found.tracked_paths)) or "none")
    yield from _field(
        "Events", ", ".join(f"{count} {one_line(kind)}" for kind, count in kinds.items()) or "none"
    )
    if integrity is not None:
        yield from _field("Chain head", str(integrity["chain_head"]))
        yield from _field("Merkle root", str(integrity["merkle_root"]))
    roots = summary.get("merkle_roots", ())
    if len(roots) == 1:
        roots = (*roots, "not hashed")
    for name, root in zip(("Tree before", "Tree after"), roots, strict=False):
        yield from _field(name, one_line(root))
    if attestation is not None:
        yield from _field("Signed by", one_line(str(attestation.get("key_id"))))


def anchors(verdict: AnchorVerdict, holding: int) -> str:
    """Word what the anchors prove about a log. holding: the number of its records that are intact."""
    if not verdict.anchored:
        return "none"
    last = max(verdict.anchored, key=lambda each: (each.is_trusted, each.records))
    said = f"{last.records} of {several(holding, 'record')} by {one_line(last.by)} at {one_line(last.at)}"
    return said if last.is_trusted else f"{said}, unchecked (--anchor-ca and --anchor-key-file check it)"


def verdict_lines(verdict: Verdict, anchored: str) -> Iterator[str]:
    """Yield the verdict on one session. Its last line is one of three words."""
    log, ledger = verdict.log, verdict.ledger
    yield from _field("Session", verdict.session_id)
    yield from _field("Records", f"{log.intact} intact" if log.intact else "none")
    if log.computed is not None:
        yield from _field("Chain head", log.computed.chain_head)
        yield from _field("Merkle root", log.computed.merkle_root)
    yield from _field("Ledger", _ledger(ledger, verdict.session_digest))
    yield from _field("Signature", _signature(verdict.attestation))
    yield from _field("Anchors", anchored)
    said = chain(
        (("Problem", problem) for problem in verdict.problems), (("Note", note) for note in verdict.notes)
    )
    for label, sentence in said:
        yield from _field(label, one_line(sentence))
    yield _WORDS[verdict.state]


def _ledger(ledger: LedgerVerdict, digest: str | None) -> str:
    if ledger.damage is not None or ledger.aside_problem is not None:
        return "mismatch"
    if not ledger.entries:
        return "no entry"
    return "verified" if [each.session_digest for each in ledger.entries] == [digest] else "mismatch"


def _signature(attestation: Attestation) -> str:
    if not attestation.present:
        return "none"
    if attestation.verification_error is not None:
        return "mismatch"
    return "verified (pinned key)" if attestation.expected_public_key_matches else "self-attested"


def _field(label: str, text: str) -> Iterator[str]:
    start = f"{label + ':':<{_LABEL}} "
    for line in wrap(text, COLUMNS - len(start), break_on_hyphens=False) or [""]:
        yield start + line
        start = " " * len(start)
