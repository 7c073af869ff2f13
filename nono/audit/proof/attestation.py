"""Sign a session: an in-toto statement about its log, in a bundle that cosign verifies too."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Protocol

from nono.audit.chain import compact, shortened
from nono.audit.ledger import EVENT_FILE
from nono.audit.proof.summary import BUNDLE_FILE, Summary, document_of
from nono.audit.proof.verdict import Attestation
from nono.named_tuple import NamedTuple
from nono.trust import bundle, dsse, statement
from nono.trust.dsse import PublicKey

PREDICATE_TYPE = "https://nono.sh/attestation/audit-session/alpha"
COMMAND_CHARACTERS_MAX = 64 * 1024  # of a command that is signed in full
_VERSION = 1
_SIGNED = (
    "session_id",
    "started",
    "ended",
    "command",
    "executable_identity",
    "tracked_paths",
    "merkle_roots",
)
_NAMED = ("predicate_type", "key_id", "public_key", "bundle_filename")


class Signer(Protocol):
    """A private key."""

    @property
    def public(self) -> PublicKey: ...
    def sign(self, message: bytes, /) -> bytes: ...


class Attested(NamedTuple):
    """A summary that names its signature, and the content of the signature's file."""

    summary: Summary
    bundle: bytes


def attested(
    summary: Summary, redaction_policy: Mapping[str, object] | None, log_sha256: str, signer: Signer
) -> Attested:
    """Sign a session. Raises ValueError if it has no integrity summary, because there is nothing to sign.

    redaction_policy: That of session_started, if it has one.
    log_sha256: The digest of the log file, so that tools without Merkle roots can verify the log too.
    """
    key_id = signer.public.fingerprint
    integrity = summary.audit_integrity
    if integrity is None:
        raise ValueError("a session without records cannot be signed")
    predicate = _predicate(document_of(summary), redaction_policy, key_id)
    subjects = _subjects(summary.session_id, integrity.merkle_root, log_sha256)
    payload = statement.encoded(statement.Statement(subjects, PREDICATE_TYPE, predicate))
    envelope = dsse.signed(dsse.IN_TOTO, payload, signer.sign)
    named = (PREDICATE_TYPE, key_id, b64encode(signer.public.der).decode("ascii"), BUNDLE_FILE)
    described = dict(zip(_NAMED, named, strict=True))
    return Attested(summary._replace(audit_attestation=described), bundle.encoded(envelope, key_id))


def _subjects(session_id: str, merkle_root: str, log_sha256: str) -> tuple[statement.Subject, ...]:
    return (
        statement.Subject(f"audit-session:{session_id}", merkle_root),
        statement.Subject(EVENT_FILE, log_sha256),
    )


def _predicate(
    document: Mapping[str, Any], redaction_policy: Mapping[str, object] | None, key_id: str
) -> dict[str, object]:
    """Return the signed part of session.json, which includes everything that the log does not contain."""
    said = {**{name: document[name] for name in _SIGNED}, "command": _bounded(document["command"])}
    predicate: dict[str, object] = {"version": _VERSION, **said}
    if redaction_policy:
        predicate["redaction_policy"] = dict(redaction_policy)
    return {
        **predicate,
        "audit_log": dict(document["audit_integrity"]),
        "signer": {"kind": "keyed", "key_id": key_id},
    }


def _bounded(command: list[str]) -> list[str]:
    """Return a command; if it is too long for a bundle, its beginning and its digest as one text.

    The log, whose root is signed, contains the whole command.
    """
    text = compact(command).decode()
    return command if len(text) <= COMMAND_CHARACTERS_MAX else [shortened(text)]


def verified(
    content: bytes | None,
    document: Mapping[str, Any],
    started: Mapping[str, Any] | None,
    log_sha256: str | None,
    expected: PublicKey | None,
) -> Attestation:
    """Judge the signature of a session.

    content: The bundle; None: it is missing.
    document: session.json, which names a signature.
    started: The first event of the log.
    log_sha256: The digest of the log file.
    expected: The key that should have signed it, according to a person.
    """
    named = document["audit_attestation"]
    found = Attestation(
        present=True,
        predicate_type=str(named.get("predicate_type")),
        key_id=str(named.get("key_id")),
        expected_public_key_matches=None if expected is None else False,
    )
    try:
        _verify(content, document, started, log_sha256, expected)
    except ValueError as error:
        return found._replace(verification_error=str(error))
    return found._replace(
        key_id_matches=True,
        signature_verified=True,
        merkle_root_matches=True,
        session_id_matches=True,
        expected_public_key_matches=None if expected is None else True,
    )


def _verify(
    content: bytes | None,
    document: Mapping[str, Any],
    started: Mapping[str, Any] | None,
    log_sha256: str | None,
    expected: PublicKey | None,
) -> None:
    """Raise ValueError for the first check that fails."""
    named, integrity = document["audit_attestation"], document["audit_integrity"]
    if integrity is None:
        raise ValueError("session.json has no integrity summary that could be signed")
    if [*named] != [*_NAMED] or named["bundle_filename"] != BUNDLE_FILE:
        raise ValueError("session.json does not name a signature as it should")
    if named["predicate_type"] != PREDICATE_TYPE:
        raise ValueError(f"it is a statement of the type '{named['predicate_type']}'")
    if content is None:
        raise ValueError(f"{BUNDLE_FILE} is missing")
    key = dsse.public_key(dsse.decoded(str(named["public_key"]), "the public key"))
    if key.fingerprint != named["key_id"] or b64encode(key.der).decode("ascii") != named["public_key"]:
        raise ValueError("the public key does not match the key id")
    if expected is not None and key != expected:
        raise ValueError("a key other than the expected one made it")
    said = _said(content, key)
    # Every signed field is known.
    redaction_policy = None if started is None else started.get("redaction_policy")
    predicate = _predicate(document, redaction_policy, key.fingerprint)
    if said.predicate_type != PREDICATE_TYPE:
        raise ValueError(f"what was signed is a statement of the type '{said.predicate_type}'")
    if said.subjects != _subjects(document["session_id"], integrity["merkle_root"], log_sha256 or ""):
        raise ValueError("the signed statement is about another log")
    for name in {**predicate, **said.predicate}:
        if said.predicate.get(name) != predicate.get(name):
            raise ValueError(f"what was signed has a different '{name}'")


def _said(content: bytes, key: PublicKey) -> statement.Statement:
    """Return the statement that a key has signed.

    Raises ValueError if it has not, or if the bundle contains anything else.
    """
    read = bundle.parse(content)
    if read.hint != key.fingerprint or bundle.encoded(read.envelope, read.hint) != content:
        raise ValueError(f"{BUNDLE_FILE} is not spelled as it was written")
    if key not in dsse.signers(read.envelope, dsse.IN_TOTO, (key,)):
        raise ValueError("the key that session.json names did not make it")
    return statement.parse(read.envelope.payload)
