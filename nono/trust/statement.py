"""Encode in-toto statements: what a signer says about files, identified by digest (attestation v1)."""

from __future__ import annotations

import json
from collections.abc import Mapping

from nono.named_tuple import NamedTuple
from nono.trust.json_text import parse_object

STATEMENT = "https://in-toto.io/Statement/v1"
SUBJECTS_MAX = 1000
_HEX = frozenset("0123456789abcdef")


class Subject(NamedTuple):
    """A file or artefact that a statement is about."""

    name: str
    sha256: str  # lower-case hex


class Statement(NamedTuple):
    """A statement. Trust it only as far as its signature."""

    subjects: tuple[Subject, ...]
    predicate_type: str
    predicate: Mapping[str, object]


def encoded(statement: Statement) -> bytes:
    """Return the payload to sign."""
    return json.dumps(
        {
            "_type": STATEMENT,
            "subject": [
                {"name": each.name, "digest": {"sha256": each.sha256}} for each in statement.subjects
            ],
            "predicateType": statement.predicate_type,
            "predicate": statement.predicate,
        },
        separators=(",", ":"),
    ).encode()


def parse(payload: bytes) -> Statement:
    """Parse a payload. Raises ValueError with the reason."""
    fields = parse_object(payload, "the statement")
    match fields:
        case {
            "_type": str(kind),
            "subject": list(rows),
            "predicateType": str(predicate_type),
            "predicate": dict(predicate),
        }:
            pass
        case _:
            raise ValueError("the statement needs _type, subject, predicateType and predicate")
    if kind != STATEMENT:
        raise ValueError(f"the statement is of type '{kind}', not '{STATEMENT}'")
    if not 0 < len(rows) <= SUBJECTS_MAX:
        raise ValueError(f"the statement has 1 to {SUBJECTS_MAX} subjects, not {len(rows)}")
    subjects = tuple(map(_subject, rows))
    if len({each.name for each in subjects}) != len(subjects):
        raise ValueError("the statement names one subject twice")
    return Statement(subjects, predicate_type, predicate)


def is_sha256(text: object) -> bool:
    """Check that text is a SHA-256 in lower-case hex."""
    return isinstance(text, str) and len(text) == 64 and _HEX.issuperset(text)


def _subject(row: object) -> Subject:
    match row:
        case {"name": str(name), "digest": {"sha256": str(digest)}} if name and is_sha256(digest):
            return Subject(name, digest)
    raise ValueError("a subject of the statement needs a name and a sha256 in lower-case hex")
