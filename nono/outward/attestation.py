"""Sign the head of a log as an in-toto statement, in a sigstore bundle that `cosign` verifies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nono.audit.ledger import EVENT_FILE
from nono.digests import sha256
from nono.named_tuple import NamedTuple
from nono.outward.head import Head
from nono.trust import bundle, dsse, statement
from nono.trust.dsse import PublicKey
from nono.trust.predicates import key_id_of, keyed
from nono.trust.statement import Statement, Subject

PREDICATE_TYPE = "https://nono.sh/attestation/audit-head/v1"

Sign = Callable[[bytes], bytes]


class NotAttestedError(ValueError):
    """The bundle is no valid statement about this head. The message is the reason."""


class Attested(NamedTuple):
    """A verified statement about a head."""

    at: str  # RFC 3339, by the signer's clock
    key_id: str  # as the statement names it
    is_trusted: bool  # True: one of the given keys signed it


def statement_of(head: Head, at: str, log_sha256: str | None, key_id: str | None = None) -> bytes:
    """Return a statement about the note of the head, and about the log file if its digest is given."""
    subjects = [Subject(head_file(head), sha256(head.note()).hexdigest())]
    if log_sha256 is not None:
        subjects.append(Subject(EVENT_FILE, log_sha256))
    signer: Mapping[str, object] = {"version": 1} if key_id is None else keyed(key_id)
    predicate = {**signer, **head._asdict(), "at": at, "note": head.note().decode("ascii")}
    return statement.encoded(Statement(tuple(subjects), PREDICATE_TYPE, predicate))


def signed(head: Head, at: str, key: PublicKey, sign: Sign, log_sha256: str | None = None) -> bytes:
    """Return the bundle of a statement. sign: Signs with the private half of `key`."""
    payload = statement_of(head, at, log_sha256, key.fingerprint)
    return bundle.encoded(dsse.signed(dsse.IN_TOTO, payload, sign), key.fingerprint)


def verify(text: bytes, head: Head, keys: Sequence[PublicKey]) -> Attested:
    """Verify a bundle about a head. Raises NotAttestedError.

    keys: The trusted keys. Without any, the content is compared but the signature is not verified.
    """
    try:
        envelope = bundle.parse(text).envelope
        said = statement.parse(envelope.payload)
    except ValueError as error:
        raise NotAttestedError(str(error)) from error
    if envelope.payload_type != dsse.IN_TOTO or said.predicate_type != PREDICATE_TYPE:
        raise NotAttestedError("it is a statement about something else")
    if Subject(head_file(head), sha256(head.note()).hexdigest()) not in said.subjects:
        raise NotAttestedError("it is about another head")
    if keys and not dsse.signers(envelope, dsse.IN_TOTO, keys):
        raise NotAttestedError("none of the keys that are trusted has signed it")
    at: Any = said.predicate.get("at")
    return Attested(str(at), key_id_of(said.predicate) or "", bool(keys))


def head_file(head: Head) -> str:
    """Return the name of the file with the note of a head."""
    return f"{head.records:08d}.head"
