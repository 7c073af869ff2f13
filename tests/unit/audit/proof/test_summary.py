"""session.json and its digest, against the published form."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest

from nono.audit.chain import Integrity
from nono.audit.proof.summary import Executable, Summary, digest_of, document_of, parse, to_json

SUMMARY = Summary(
    "s1",
    "2026-01-02T03:04:05Z",
    "2026-01-02T03:04:06Z",
    ("sh", "-c", "ä"),
    3,
    Integrity(2, "e9" * 32, "29" * 32),
    Executable("/bin/\udcff", "ab" * 32),
    ("/home/u",),
)


def test_the_digest_is_over_compact_json_with_paths_as_bytes() -> None:
    covered = (
        '{"session_id":"s1","started":"2026-01-02T03:04:05Z","ended":"2026-01-02T03:04:06Z",'
        '"command":["sh","-c","ä"],"executable_identity":{"resolved_path":[47,98,105,110,47,255],'
        f'"sha256":"{"ab" * 32}"}},"tracked_paths":[[47,104,111,109,101,47,117]],"snapshot_count":0,'
        '"exit_code":3,"merkle_roots":[],"network_events":[],"audit_event_count":2,"audit_integrity":'
        f'{{"hash_algorithm":"sha256","event_count":2,"chain_head":"{"e9" * 32}",'
        f'"merkle_root":"{"29" * 32}"}},'
        '"audit_attestation":null}'
    )
    expected = sha256(b"nono.audit.session-digest.alpha\n" + covered.encode()).hexdigest()
    assert digest_of(document_of(SUMMARY)) == expected


def test_a_summary_reads_back_as_it_was_written() -> None:
    document = document_of(SUMMARY)
    assert parse(to_json(document)) == document


CHANGES: dict[str, dict[str, Any]] = {
    "a field of another type": {"exit_code": "3"},
    "a truth for a number": {"exit_code": True},
    "a list of numbers": {"command": [1]},
    "half a surrogate pair": {"tracked_paths": ["\ud800"]},
    "an unknown field": {"comment": "all is well"},
    "an algorithm of another name": {
        "audit_integrity": {**document_of(SUMMARY)["audit_integrity"], "hash_algorithm": "md5"},
    },
    "a word in the integrity": {
        "audit_integrity": {**document_of(SUMMARY)["audit_integrity"], "comment": ""},
    },
    "a word in the executable": {
        "executable_identity": {**document_of(SUMMARY)["executable_identity"], "comment": ""},
    },
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_the_digest_does_not_cover_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"wrong type|not a list|fields of a summary|be hashed"):
        parse(to_json({**document_of(SUMMARY), **change}))


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(document_of(SUMMARY)).encode(),
        to_json(document_of(SUMMARY)).replace(b'{\n  "', b'{\n  "session_id": "s2",\n  "', 1),
        to_json(document_of(SUMMARY)).replace(b'"network_events": []', b'"network_events": [NaN]'),
        b"[]",
        b"{",
        b"[" * 100_000,
    ],
    ids=["no line breaks", "a key twice", "a number that is none", "no object", "torn", "deep nesting"],
)
def test_a_summary_that_is_spelled_otherwise_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"spelled|JSON|object"):
        parse(content)
