"""Judge one instruction file by its content, its signatures, and a person's approvals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from nono.named_tuple import NamedTuple
from nono.str_enum import StrEnum
from nono.trust import dsse, predicates, statement
from nono.trust.bundle import Bundle
from nono.trust.claims import Claims, is_blocked, is_publisher
from nono.trust.dsse import PublicKey
from nono.trust.policy import Enforcement, Keyless, TrustPolicy

BUNDLES_KEPT = 16  # parsed bundles, of 1 MiB each: those of the directories above a file


class Status(StrEnum):
    """What is known about a file."""

    VERIFIED = "verified"  # a publisher signed this content
    APPROVED = "approved"  # a person approved this content
    UNSIGNED = "unsigned"
    CHANGED = "changed"  # since a person approved or a publisher signed it
    INVALID = "invalid"  # the signature is malformed or covers something else
    UNTRUSTED = "untrusted"  # signed by nobody whom the policy names, or not signed
    UNREADABLE = "unreadable"
    BLOCKED = "blocked"  # by the blocklist


_TRUSTED = (Status.VERIFIED, Status.APPROVED)


class TrustedKey(NamedTuple):
    """A publisher's key, and the names by which bundles may refer to it."""

    publisher: str
    key_id: str  # as written in the policy
    key: PublicKey

    @property
    def names(self) -> frozenset[str]:
        return frozenset({self.key_id, self.key.fingerprint})


class Trust(NamedTuple):
    """Everything a run trusts, already looked up."""

    policy: TrustPolicy
    keys: tuple[TrustedKey, ...]
    approved: Mapping[str, str] = {}  # SHA-256 by path
    signed: frozenset[str] = frozenset()  # paths that had a valid signature earlier


class Signed(NamedTuple):
    """A bundle found beside a file, or in a directory above it."""

    name: str  # the name under which it must list the file
    bundle: Bundle | str  # str: why it cannot be read
    is_manifest: bool = False
    claims: Claims | str | None = None  # of a bundle without a key; str: why verification failed


class Evidence(NamedTuple):
    """What was found about one file, read once."""

    path: str  # relative to the root, or absolute if it is elsewhere
    sha256: str
    bundles: tuple[Signed, ...] = ()  # the file's own first, then those of parent directories, nearest first


class _Opened(NamedTuple):
    """What a bundle says, and which of the trusted keys signed it."""

    statement: statement.Statement
    key: TrustedKey | None
    digests: Mapping[str, str]  # SHA-256 by name


class Verdict(NamedTuple):
    """The judgement of one file."""

    path: str
    status: Status
    reason: str  # "" for an approved or verified file
    sha256: str | None = None  # None: it could not be read
    signer: str | None = None  # the publisher's name

    @property
    def is_trusted(self) -> bool:
        return self.status in _TRUSTED

    def is_refused(self, enforcement: Enforcement) -> bool:
        """Check that the file must not be read."""
        return self.status is Status.BLOCKED or (enforcement is Enforcement.DENY and not self.is_trusted)


def unreadable(path: str, why: str) -> Verdict:
    """Return the verdict on a file that cannot be read completely."""
    return Verdict(path, Status.UNREADABLE, f"it cannot be checked: {why}")


def judge(evidence: Evidence, trust: Trust) -> Verdict:
    """Judge one file. A block outranks a signature, and a signature outranks an approval."""
    path, digest = evidence.path, evidence.sha256
    if digest in trust.policy.blocked_digests:
        why = trust.policy.blocked_digests[digest] or "no reason is given"
        return Verdict(path, Status.BLOCKED, f"its content is on the blocklist: {why}", digest)
    findings = [_judge_bundle(evidence, signed, trust) for signed in evidence.bundles]
    by_rank = (Status.BLOCKED, Status.VERIFIED)
    for status in by_rank:
        for found in findings:
            if found.status is status:
                return found
    if trust.approved.get(path) == digest:
        return Verdict(path, Status.APPROVED, "", digest)
    if path in trust.approved:
        return Verdict(path, Status.CHANGED, "it has changed since it was approved", digest)
    # Use the first bundle about this file; a manifest above that does not list the file says nothing.
    for found in findings:
        if found.status is not Status.UNSIGNED:
            return found
    if path in trust.signed:
        return Verdict(path, Status.UNSIGNED, "it was signed, and its signature is gone", digest)
    return Verdict(path, Status.UNSIGNED, "nobody has signed or approved it", digest)


def signer_of(
    bundle: Bundle, predicate_type: str, keys: Iterable[TrustedKey]
) -> tuple[statement.Statement, TrustedKey | None]:
    """Return the statement of a bundle and the key that signed it; None if none of the keys did.

    Raises ValueError if the statement is malformed, has another type, or names another key than the signing
    one.
    """
    said = statement.parse(bundle.envelope.payload)
    if said.predicate_type != predicate_type:
        raise ValueError(f"its signature is a '{said.predicate_type}'")
    known = {key.key: key for key in reversed([*keys])}
    for found in dsse.signers(bundle.envelope, dsse.IN_TOTO, known):
        named = predicates.key_id_of(said.predicate)
        if named not in known[found].names:
            raise ValueError(f"its signature names the key '{named}', which did not make it")
        return said, known[found]
    return said, None


def _judge_bundle(evidence: Evidence, signed: Signed, trust: Trust) -> Verdict:
    path, digest = evidence.path, evidence.sha256

    def verdict(status: Status, reason: str = "", signer: str | None = None) -> Verdict:
        return Verdict(path, status, reason, digest, signer)

    if isinstance(signed.bundle, str):
        return verdict(Status.INVALID, f"its signature cannot be read: {signed.bundle}")
    kind = predicates.MULTI_FILE if signed.is_manifest else predicates.INSTRUCTION_FILE
    opened = _opened(signed.bundle, kind, trust.keys)
    if isinstance(opened, str):
        return verdict(Status.INVALID, opened)
    said, key, mentioned = opened
    if signed.name not in mentioned:
        if signed.is_manifest:
            return verdict(Status.UNSIGNED)
        return verdict(Status.INVALID, f"its signature is about '{said.subjects[0].name}'")
    claimed = {*_names_claimed(signed.bundle, said), *(key.names if key is not None else ())}
    for blocked in trust.policy.blocked_publishers:
        by_claims = isinstance(signed.claims, Claims) and is_blocked(signed.claims, blocked)
        if by_claims or (blocked.identity in claimed and blocked.repository is None):
            why = blocked.reason or "no reason is given"
            return verdict(Status.BLOCKED, f"its signer '{blocked.identity}' is on the blocklist: {why}")
    if isinstance(signed.claims, str):
        return verdict(Status.UNTRUSTED, signed.claims)
    signer = _publisher(signed.claims, trust.policy) if key is None else key.publisher
    if signer is None:
        by = "without a key and " if signed.bundle.hint is None else ""
        return verdict(Status.UNTRUSTED, f"it is signed {by}by no publisher of the policy")
    if mentioned[signed.name] != digest:
        return verdict(Status.CHANGED, f"it has changed since {signer} signed it", signer)
    return verdict(Status.VERIFIED, signer=signer)


# As evidence.py parses it once, it is verified once, not again for each file that it lists.
@lru_cache(BUNDLES_KEPT)
def _opened(bundle: Bundle, predicate_type: str, keys: tuple[TrustedKey, ...]) -> _Opened | str:
    try:
        said, key = signer_of(bundle, predicate_type, keys)
    except ValueError as error:
        return str(error)
    return _Opened(said, key, {each.name: each.sha256 for each in said.subjects})


def _publisher(claims: Claims | None, policy: TrustPolicy) -> str | None:
    """Return the name of the publisher that matches the claims of a certificate."""
    if claims is None:
        return None
    for publisher in policy.publishers:
        if isinstance(publisher.identity, Keyless) and is_publisher(claims, publisher.identity):
            return publisher.name
    return None


def _names_claimed(bundle: Bundle, said: statement.Statement) -> Iterator[str]:
    """Yield the names by which a bundle calls its signer. Use them for blocking only, never for trust."""
    if bundle.hint:
        yield bundle.hint
    named = predicates.key_id_of(said.predicate)
    if named is not None:
        yield named
