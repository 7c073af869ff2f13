"""A session that has ended, verified: what it takes, and each byte of it changed once."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import random
import shutil
import sys
import time
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from nono.audit.event import Event, session_ended, session_started
from nono.audit.ledger import EVENT_FILE, AuditLog
from nono.audit.proof import ledger
from nono.audit.proof.attestation import attested
from nono.audit.proof.check import check
from nono.audit.proof.conclusion import conclude, summary_of
from nono.audit.proof.ledger import LEDGER_FILE
from nono.audit.proof.summary import BUNDLE_FILE, SUMMARY_FILE, Executable, digest_of, document_of, to_json
from nono.audit.proof.verdict import MISMATCH, UNFINISHED, VERIFIED, Verdict
from nono.credentials.signing.key import SigningKey, new_key
from nono.kernel import mounts, namespaces
from nono.trust import bundle as bundles
from nono.trust import dsse, predicates, statement
from support.forked import child, in_child, killed_at

MASKED: Event = {"type": "masked", "path": "/x", "origin": "o"}


def began(root: Path, session_id: str) -> AuditLog:
    log = AuditLog(str(root), session_id)
    log.record(session_started(["true"]))
    log.record(MASKED)
    return log


def ended(
    root: Path,
    session_id: str = "s1",
    exit_code: int = 0,
    key: SigningKey | None = None,
    **evidence: Any,
) -> Path:
    """Record a session from its beginning to its end, signed if there is a key. Returns its directory."""
    with began(root, session_id) as log:
        log.record(session_ended(exit_code))
    summary, bundle = summary_of(log)._replace(**evidence), None
    if key is not None:
        log_sha256 = sha256(Path(log.path).read_bytes()).hexdigest()
        summary, bundle = attested(summary, None, log_sha256, key)
    conclude(str(root), summary, bundle=bundle)
    return root / "audit" / session_id


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "nono"


def problem_of(root: Path, session_id: str = "s1") -> str:
    """Return why a session is not verified."""
    verdict = check(str(root), session_id)
    assert verdict.state == MISMATCH
    return "; ".join(verdict.problems)


def test_a_session_that_ended_in_order_is_verified(root: Path) -> None:
    ended(root)
    ended(root, "s2", exit_code=3)
    verdicts = [check(str(root), session_id) for session_id in ("s1", "s2")]
    assert [(each.state, each.problems, each.log.intact) for each in verdicts] == [(VERIFIED, (), 3)] * 2


def test_a_verified_session_says_what_its_proof_does_not_cover(root: Path) -> None:
    ended(root)
    assert "not that nobody rewrote them all" in " ".join(check(str(root), "s1").notes)


@pytest.mark.parametrize("name", [EVENT_FILE, SUMMARY_FILE, LEDGER_FILE])
def test_each_byte_that_is_changed_is_noticed(root: Path, name: str) -> None:
    path = (root / "audit" if name == LEDGER_FILE else ended(root)) / name
    ended(root, "s2")
    if name == LEDGER_FILE:
        ended(root)
    content = path.read_bytes()
    unnoticed = []
    with open(path, "r+b", buffering=0) as file:
        for place, byte in enumerate(content):
            os.pwrite(file.fileno(), bytes([byte ^ 1]), place)
            if check(str(root), "s1").is_verified:
                unnoticed.append((place, byte))
            os.pwrite(file.fileno(), bytes([byte]), place)
    assert unnoticed == []
    assert check(str(root), "s1").is_verified


@pytest.mark.parametrize("name", [EVENT_FILE, SUMMARY_FILE, LEDGER_FILE])
def test_a_file_cut_anywhere_is_noticed(root: Path, name: str) -> None:
    path = (root / "audit" if name == LEDGER_FILE else ended(root)) / name
    if name == LEDGER_FILE:
        ended(root)
    content = path.read_bytes()
    verified = []
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        if check(str(root), "s1").is_verified:
            verified.append(length)
    assert verified == []


def test_each_byte_of_a_signature_that_is_changed_is_noticed(root: Path) -> None:
    path = ended(root, key=new_key()) / BUNDLE_FILE
    assert check(str(root), "s1").is_verified
    content = bytearray(path.read_bytes())
    unnoticed = []
    for place in range(0, len(content), 11):
        content[place] ^= 1
        path.write_bytes(content)
        if check(str(root), "s1").is_verified:
            unnoticed.append(place)
        content[place] ^= 1
    assert unnoticed == []


@pytest.mark.parametrize(
    "argument", ["--pin=[REDACTED]", "ä", "\udcff", "x" * (1 << 20)], ids=lambda text: text[:6]
)
def test_a_signed_command_of_any_bytes_is_verified(root: Path, argument: str) -> None:
    policy, key = {"added_flags": ["--pin"]}, new_key()
    with AuditLog(str(root), "s1") as log:
        log.record(session_started(["run", argument], policy))
        log.record(session_ended(0))
    signed = attested(summary_of(log), policy, sha256(Path(log.path).read_bytes()).hexdigest(), key)
    conclude(str(root), signed.summary, bundle=signed.bundle)
    verdict = check(str(root), "s1", expected=key.public)
    assert (verdict.problems, verdict.attestation.signature_verified) == ((), True)


def test_a_signature_that_goes_is_missed(root: Path) -> None:
    (ended(root, key=new_key()) / BUNDLE_FILE).unlink()
    assert "audit-attestation.bundle is missing" in problem_of(root)


def test_a_signature_that_nobody_names_is_no_proof(root: Path) -> None:
    signed, unsigned = ended(root, key=new_key()), ended(root, "s2")
    shutil.copy(signed / BUNDLE_FILE, unsigned)
    assert "does not name the audit-attestation.bundle beside it" in problem_of(root, "s2")


def test_a_history_that_was_written_anew_is_told_by_the_key(root: Path) -> None:
    key, stranger = new_key(), new_key()
    ended(root, key=key)
    assert check(str(root), "s1", expected=key.public).is_verified
    shutil.rmtree(root)
    ended(root, exit_code=3, key=stranger)
    assert check(str(root), "s1").is_verified
    found = check(str(root), "s1", expected=key.public)
    assert (found.state, found.attestation.expected_public_key_matches) == (MISMATCH, False)


def test_a_signature_of_another_session_does_not_count(root: Path) -> None:
    key = new_key()
    first, second = ended(root, key=key), ended(root, "s2", exit_code=3, key=key)
    shutil.copy(first / BUNDLE_FILE, second)
    assert "the signed statement is about another log" in problem_of(root, "s2")


def write_ledger_anew(root: Path, session_id: str, document: dict[str, Any]) -> None:
    (root / "audit" / LEDGER_FILE).unlink()
    logs = os.open(root / "audit", os.O_RDONLY)
    ledger.append(logs, session_id, digest_of(document), document["ended"])
    os.close(logs)


def test_a_statement_of_another_kind_is_no_signature_of_a_session(root: Path) -> None:
    """A key that signs policies and files as well has said nothing of a session by that."""
    key = new_key()
    path = ended(root, key=key) / BUNDLE_FILE
    read = bundles.parse(path.read_bytes())
    said = statement.parse(read.envelope.payload)
    for kind, state in ((said.predicate_type, VERIFIED), (predicates.MULTI_FILE, MISMATCH)):
        payload = statement.encoded(said._replace(predicate_type=kind))
        envelope = dsse.signed(dsse.IN_TOTO, payload, key.sign)
        path.write_bytes(bundles.encoded(envelope, key.public.fingerprint))
        assert check(str(root), "s1", expected=key.public).state == state
    assert f"is a statement of the type '{predicates.MULTI_FILE}'" in problem_of(root)


@pytest.mark.parametrize("name", ["more", "tracked_paths", None])
def test_a_signature_says_all_that_a_summary_says_and_no_more(root: Path, name: str | None) -> None:
    key = new_key()
    path = ended(root, key=key) / BUNDLE_FILE
    read = bundles.parse(path.read_bytes())
    said = statement.parse(read.envelope.payload)
    predicate = {**said.predicate, "more": ""} if name == "more" else {**said.predicate}
    if name == "tracked_paths":
        del predicate[name]
    payload = statement.encoded(said._replace(predicate=predicate))
    path.write_bytes(bundles.encoded(dsse.signed(dsse.IN_TOTO, payload, key.sign), key.public.fingerprint))
    if name is None:
        assert check(str(root), "s1", expected=key.public).is_verified
    else:
        assert problem_of(root) == f"the signature does not hold: what was signed has a different '{name}'"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("predicate_type", "it is a statement of the type 'other'"),
        ("key_id", "the public key does not match the key id"),
        ("bundle_filename", "session.json does not name a signature as it should"),
    ],
)
def test_a_summary_says_of_its_signature_what_it_is(root: Path, name: str, problem: str) -> None:
    path = ended(root, key=new_key()) / SUMMARY_FILE
    document = json.loads(path.read_bytes())
    document["audit_attestation"][name] = "other"
    path.write_bytes(to_json(document))
    write_ledger_anew(root, "s1", document)
    assert problem_of(root) == f"the signature does not hold: {problem}"


def test_a_log_that_begins_before_its_session_is_named(root: Path) -> None:
    with AuditLog(str(root), "s1") as log:
        for event in (MASKED, session_started(["true"]), session_ended(0)):
            log.record(event)
    conclude(str(root), summary_of(log))
    assert problem_of(root) == "the log does not begin with the start of a session"


def test_a_summary_of_two_numbers_of_records_is_named(root: Path) -> None:
    path = ended(root) / SUMMARY_FILE
    document = json.loads(path.read_bytes())
    for count, state in ((3, VERIFIED), (4, MISMATCH)):
        document["audit_event_count"] = count
        path.write_bytes(to_json(document))
        write_ledger_anew(root, "s1", document)
        assert check(str(root), "s1").state == state
    assert problem_of(root) == "session.json states two different numbers of records"


def test_a_signed_session_does_not_pass_for_another(root: Path) -> None:
    key = new_key()
    directory = ended(root, key=key)
    assert check(str(root), "s1", expected=key.public).is_verified
    document = json.loads((directory / SUMMARY_FILE).read_bytes())
    directory.rename(directory.with_name("s2"))
    write_ledger_anew(root, "s2", document)
    found = check(str(root), "s2", expected=key.public)
    assert (found.state, found.problems) == (MISMATCH, ("session.json is that of session s1",))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("executable_identity", {"resolved_path": "/bin/other", "sha256": "a" * 64}),
        ("executable_identity", None),
        ("tracked_paths", ["/other"]),
        ("merkle_roots", ["0" * 64, "0" * 64]),
    ],
)
def test_a_signature_covers_what_the_summary_says_beside_the_log(
    root: Path, name: str, value: object
) -> None:
    key = new_key()
    evidence: dict[str, Any] = {
        "executable_identity": Executable("/bin/true", "a" * 64),
        "tracked_paths": ("/p\udcff",),
        "merkle_roots": ("0" * 64, "1" * 64),
    }
    directory = ended(root, key=key, **evidence)
    assert check(str(root), "s1", expected=key.public).is_verified
    document = {**json.loads((directory / SUMMARY_FILE).read_bytes()), name: value}
    (directory / SUMMARY_FILE).write_bytes(to_json(document))
    write_ledger_anew(root, "s1", document)
    assert problem_of(root) == f"the signature does not hold: what was signed has a different '{name}'"


def test_bytes_behind_the_end_of_a_file_are_noticed(root: Path) -> None:
    for number, name in enumerate((EVENT_FILE, SUMMARY_FILE, LEDGER_FILE)):
        directory = ended(root, f"s{number}")
        path = (root / "audit" if name == LEDGER_FILE else directory) / name
        content = path.read_bytes()
        for more in (b"\n", b" ", content):
            path.write_bytes(content + more)
            assert not check(str(root), f"s{number}").is_verified, (name, more)
        path.write_bytes(content)


def test_a_history_cut_at_a_record_is_named(root: Path) -> None:
    log = ended(root) / EVENT_FILE
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    assert "missing at the end of the log: 1 of 3 records" in problem_of(root)


def test_a_record_behind_the_end_is_named(root: Path) -> None:
    with began(root, "s1") as log:
        log.record(session_ended(0))
        summary = summary_of(log)
        log.record(MASKED)
    conclude(str(root), summary)
    assert "1 more than when it ended" in problem_of(root)


def test_a_summary_that_goes_is_missed_by_the_log_and_the_ledger(root: Path) -> None:
    (ended(root) / SUMMARY_FILE).unlink()
    assert "session.json is missing, although the ledger has an entry" in problem_of(root)
    (root / "audit" / LEDGER_FILE).unlink()
    assert "session.json is missing, although the log has the end" in problem_of(root)


def test_a_ledger_that_goes_is_missed(root: Path) -> None:
    ended(root)
    (root / "audit" / LEDGER_FILE).unlink()
    assert problem_of(root) == "the ledger has no entry of this session"


def test_a_summary_written_anew_is_told_from_the_one_in_the_ledger(root: Path) -> None:
    directory = ended(root)
    with began(root, "s2") as log:
        log.record(session_ended(3))
    other = document_of(summary_of(log)._replace(session_id="s1"))
    shutil.copy(log.path, directory / EVENT_FILE)
    (directory / SUMMARY_FILE).write_bytes(to_json(other))
    assert problem_of(root) == "session.json is not the one in the ledger"


def test_a_second_entry_of_a_session_is_named(root: Path) -> None:
    ended(root)
    fd = os.open(root / "audit", os.O_RDONLY)
    ledger.append(fd, "s1", digest_of(check(str(root), "s1").summary or {}), "2026-01-02T03:04:06Z")
    os.close(fd)
    assert problem_of(root) == "the ledger has 2 entries of this session"


def test_a_summary_that_says_otherwise_than_the_log_is_named(root: Path) -> None:
    with began(root, "s1") as log:
        log.record(session_ended(3))
    conclude(str(root), summary_of(log)._replace(exit_code=0))
    assert problem_of(root) == "session.json and the log differ in 'exit_code'"


def test_only_the_owner_can_read_what_proves_a_session(root: Path) -> None:
    directory = ended(root, key=new_key())
    assert {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()} == dict.fromkeys(
        (EVENT_FILE, SUMMARY_FILE, BUNDLE_FILE), 0o600
    )


def test_a_session_is_concluded_once(root: Path) -> None:
    with began(root, "s1") as log:
        log.record(session_ended(0))
    conclude(str(root), summary_of(log))
    with pytest.raises(FileExistsError):
        conclude(str(root), summary_of(log))
    assert check(str(root), "s1").is_verified


def test_a_log_whose_supervisor_was_killed_is_verified_as_far_as_it_goes(root: Path) -> None:
    log = began(root, "s1")
    log.close()
    with open(log.path, "ab") as file:
        file.write(b'{"sequence":2,"prev')
    verdict = check(str(root), "s1")
    assert (verdict.state, verdict.problems, verdict.log.intact) == (UNFINISHED, (), 2)
    assert "intact: 2 records, then 19 bytes of a torn one" in verdict.notes[1]


def test_a_session_in_a_ledger_that_was_set_aside_is_verified(root: Path) -> None:
    ended(root)
    path = root / "audit" / LEDGER_FILE
    path.write_bytes(path.read_bytes() + b"torn")
    ended(root, "s2")
    found = check(str(root), "s1")
    assert (found.state, found.ledger.found_in is not None) == (VERIFIED, True)
    assert check(str(root), "s2").is_verified
    (aside,) = (root / "audit").glob("ledger-*.ndjson")
    aside.write_bytes(aside.read_bytes() + b"more")
    assert "is not the ledger that was set aside" in problem_of(root)
    assert check(str(root), "s2").is_verified


def test_a_ledger_to_which_somebody_appends_is_read_once_they_are_done(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(root)
    path = root / "audit" / LEDGER_FILE
    content = path.read_bytes()
    ended(root, "s2")
    whole = path.read_bytes()
    path.write_bytes(content + whole[len(content) : -20])
    lock = os.open(path.with_name(ledger.LOCK_FILE), os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    waits = list[float]()

    def append(seconds: float) -> None:
        waits.append(seconds)
        path.write_bytes(whole)
        fcntl.flock(lock, fcntl.LOCK_UN)

    monkeypatch.setattr(time, "sleep", append)
    assert check(str(root), "s2").problems == ()
    assert len(waits) == 1
    os.close(lock)


def test_a_session_that_is_not_there_is_an_error(root: Path) -> None:
    ended(root)
    with pytest.raises(FileNotFoundError):
        check(str(root), "s2")


def test_a_full_disk_leaves_no_half_of_a_proof(root: Path) -> None:
    root.mkdir(mode=0o700)

    def work() -> list[object]:
        namespaces.leave_mounts()
        onto = os.open(root, os.O_PATH)
        mounts.attach(mounts.new_file_system("tmpfs", {"size": "64k", "mode": "0700"}), onto)
        with began(root, "s1") as log:
            log.record(session_ended(0))
        with open(root / "filler", "wb", buffering=0) as filler, suppress(OSError):
            while True:
                filler.write(bytes(4096))
        try:
            conclude(str(root), summary_of(log))
        except OSError as error:
            refused = error.errno
        left = os.listdir(root / "audit/s1")
        (root / "filler").unlink()
        conclude(str(root), summary_of(log))
        return [refused, left, check(str(root), "s1").state]

    assert in_child(work) == [errno.ENOSPC, [EVENT_FILE], VERIFIED]


def test_a_copy_on_a_read_only_medium_is_verified(root: Path) -> None:
    ended(root)
    log = began(root, "s2")
    log.record(session_ended(0))
    log.close()

    def work() -> list[object]:
        namespaces.leave_mounts()
        onto = os.open(root, os.O_PATH)
        medium = mounts.copy(onto)
        mounts.make_read_only(medium)
        mounts.attach(medium, onto)
        try:
            conclude(str(root), summary_of(log))
        except OSError as error:
            return [error.errno, check(str(root), "s1").state]
        return []

    assert in_child(work) == [errno.EROFS, VERIFIED]


def calls_of_a_conclusion(root: Path) -> int:
    """Count the calls of C functions; the ledger is so long then that it stays at this number."""
    for number in range(12):
        ended(root, f"s{number}")
    with began(root, "s12") as log:
        log.record(session_ended(0))
    count = 0

    def see(_: object, event: str, function: object) -> None:
        nonlocal count
        count += event == "c_call"

    sys.setprofile(see)
    conclude(str(root), summary_of(log))
    sys.setprofile(None)
    return count


def tried(root: Path, calls: list[int]) -> dict[str, int]:
    """End a session for each number of calls, and be killed at it. Returns how often it came to what."""
    found: dict[str, int] = {}
    for number, call in enumerate(calls):
        session_id = f"k{number}"
        log = began(root, session_id)
        log.record(session_ended(0))
        log.close()
        with child(partial(killed_at, call, partial(conclude, str(root), summary_of(log)))) as run:
            run.wait()
        verdict = check(str(root), session_id)
        assert accounted_for(verdict, root / "audit" / session_id), verdict
        ended(root, f"after-{number}")
        assert check(str(root), f"after-{number}").is_verified
        found[verdict.state] = found.get(verdict.state, 0) + 1
    return found


def accounted_for(verdict: Verdict, directory: Path) -> bool:
    """Return True if a session is verified, or its verdict names all that is missing and nothing else."""
    has_summary = (directory / SUMMARY_FILE).exists()
    due = ["the ledger has no entry of this session"]
    if not has_summary:
        due = ["session.json is missing, although the log has the end of the session"]
    return verdict.log.intact == 3 and (verdict.is_verified or list(verdict.problems) == due)


def test_a_conclusion_killed_at_any_call_is_complete_or_names_what_is_missing(root: Path) -> None:
    total = calls_of_a_conclusion(root)
    found = tried(root, [*range(1, total, total // 12), total - 3])
    assert set(found) == {VERIFIED, MISMATCH}


@pytest.mark.slow
def test_a_conclusion_killed_at_500_random_calls_is_complete_or_names_what_is_missing(root: Path) -> None:
    total = calls_of_a_conclusion(root)
    tried(root, [random.randrange(1, total) for _ in range(500)])
