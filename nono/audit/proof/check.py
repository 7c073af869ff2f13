"""Read everything that proves a session, and have it judged."""

from __future__ import annotations

import os
from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

from nono.audit.ledger import EVENT_FILE
from nono.audit.proof import summary
from nono.audit.proof.entries import aside_name
from nono.audit.proof.ledger import LEDGER_FILE, settled_size
from nono.audit.proof.summary import BUNDLE_FILE, SUMMARY_FILE
from nono.audit.proof.verdict import Attestation, LedgerVerdict, Verdict, judge, judge_ledger, judge_log
from nono.audit.reading import Reading
from nono.audit.stored import audit_directory, digest_of_file, directory_of, lines_of, open_file, read_log
from nono.disk.descriptor import read_at_most
from nono.private_dir import open_private_dir

if TYPE_CHECKING:
    from nono.trust.dsse import PublicKey

SUMMARY_BYTES_MAX = 64 * 1024 * 1024
BUNDLE_BYTES_MAX = 4 * 1024 * 1024  # of a signature
EPOCHS_MAX = 1000  # ledgers set aside, one after the other


def check(
    state_root: str, session_id: str, *, is_running: bool = False, expected: PublicKey | None = None
) -> Verdict:
    """Verify a session; a missing file is part of the verdict.

    is_running: Its supervisor is alive.
    expected: The key that should have signed it.

    Raises OSError if its directory cannot be read.
    """
    directory = directory_of(state_root, session_id)
    try:
        with read_log(directory) as reading:
            log = judge_log(reading)
    except FileNotFoundError:
        os.stat(directory)  # raises OSError if the session itself is missing
        log = judge_log(Reading(()))
    document, problem = None, None
    try:
        document = read_summary(directory)
    except FileNotFoundError:
        pass
    except ValueError as error:
        problem = str(error)
    return judge(
        session_id,
        log,
        document,
        check_ledger(state_root, session_id),
        _attestation(directory, document, log.started, expected),
        is_running=is_running,
        summary_problem=problem,
        wants_key=expected is not None,
    )


def _attestation(
    directory: str,
    document: Mapping[str, Any] | None,
    started: Mapping[str, Any] | None,
    expected: PublicKey | None,
) -> Attestation:
    if document is None:
        return Attestation()
    try:
        with open_file(directory, BUNDLE_FILE) as file:
            content = read_at_most(file.fileno(), BUNDLE_BYTES_MAX + 1)
    except FileNotFoundError:
        content = None
    if document["audit_attestation"] is None:
        stray = None if content is None else f"session.json does not name the {BUNDLE_FILE} beside it"
        return Attestation(verification_error=stray)
    # Imported here: few sessions are signed.
    from nono.audit.proof.attestation import verified

    return verified(content, document, started, digest_of_file(directory, EVENT_FILE), expected)


def read_summary(directory: str) -> dict[str, Any]:
    """Return session.json. Raises ValueError like parse(), OSError like open_file()."""
    with open_file(directory, SUMMARY_FILE) as file:
        content = read_at_most(file.fileno(), SUMMARY_BYTES_MAX + 1)
    if len(content) > SUMMARY_BYTES_MAX:
        raise ValueError("is too large")
    return summary.parse(content)


def check_ledger(state_root: str, session_id: str) -> LedgerVerdict:
    """Look up a session in the ledger, and in the ledgers set aside before it."""
    directory = audit_directory(state_root)
    verdict = _ledger(directory, LEDGER_FILE, session_id)
    if verdict.entries:
        return verdict
    older = verdict
    for _ in range(EPOCHS_MAX):
        if not older.set_aside:
            break
        epoch = older.set_aside[0]
        name = aside_name(epoch.session_digest)
        older = _ledger(directory, name, session_id)
        if digest_of_file(directory, name) != epoch.session_digest:
            return verdict._replace(aside_problem=f"{name} is not the ledger that was set aside")
        if older.entries:
            # Damage is why this ledger was set aside; everything before the damage holds.
            return verdict._replace(entries=older.entries, found_in=name)
    return verdict


def _ledger(directory: str, name: str, session_id: str) -> LedgerVerdict:
    try:
        with open_file(directory, name) as file:
            if name != LEDGER_FILE:
                return judge_ledger(lines_of(file), session_id)
            # Another session may be ending: what it appends must not be read in part.
            return judge_ledger(
                BytesIO(read_at_most(file.fileno(), _settled(directory, file.fileno()))), session_id
            )
    except FileNotFoundError:
        return LedgerVerdict(0, None, None, ())


def _settled(directory: str, ledger: int) -> int:
    directory_fd = open_private_dir(directory, create=False)
    try:
        return settled_size(directory_fd, ledger)
    finally:
        os.close(directory_fd)
