"""Define the trust policy: which files are instructions, who may sign them, and how others are treated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from nono.named_tuple import NamedTuple
from nono.str_enum import StrEnum
from nono.trust import pattern
from nono.trust.dsse import PublicKey, decoded, public_key
from nono.trust.json_text import parse_object
from nono.trust.statement import is_sha256

PREDICATE = "https://nono.sh/attestation/trust-policy/v1"
FILE = "trust-policy.json"
POLICY_BYTES_MAX = 4 * 1024 * 1024
FILES_MAX, PUBLISHERS_MAX, BLOCKED_MAX = 1000, 1000, 10_000


class Enforcement(StrEnum):
    """How an untrusted file is treated, weakest first."""

    AUDIT = "audit"
    WARN = "warn"
    DENY = "deny"

    def is_as_strict_as(self, other: Enforcement) -> bool:
        return _STRICTNESS.index(self) >= _STRICTNESS.index(other)


_STRICTNESS = tuple(Enforcement)


class Keyed(NamedTuple):
    """A publisher identified by key. `public_key` None: the key of that name in the user's keystore."""

    key_id: str
    public_key: PublicKey | None


class Keyless(NamedTuple):
    """A publisher identified by claims of a Fulcio certificate; all but the issuer may contain `*`."""

    issuer: str
    repository: str
    workflow: str
    ref_pattern: str
    build_signer_uri: str | None


class Publisher(NamedTuple):
    """Somebody whose signature makes a file trusted."""

    name: str
    identity: Keyed | Keyless


class BlockedPublisher(NamedTuple):
    """A signer whose files are never accepted, whoever else signs or approves them."""

    identity: str  # key id, fingerprint, or issuer
    repository: str | None
    reason: str


class TrustPolicy(NamedTuple):
    """A policy file, or several merged."""

    includes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()  # as written, with `~` not yet expanded
    publishers: tuple[Publisher, ...] = ()
    blocked_digests: Mapping[str, str] = {}  # description by SHA-256
    blocked_publishers: tuple[BlockedPublisher, ...] = ()
    enforcement: Enforcement = Enforcement.DENY
    packages: bool = False  # remember what npx and uvx fetch, by digest

    def includes_path(self, path: str) -> bool:
        """Check that a path relative to the root is an instruction file."""
        return any(pattern.is_matched(each, path) for each in self.includes)


def is_trust_policy(text: bytes) -> bool:
    """Check that a file claims to be a trust policy: AWS uses the same file name.

    Raises ValueError if it is not JSON.
    """
    return parse_object(text, FILE).get("predicate") == PREDICATE


def parse(text: bytes) -> TrustPolicy:
    """Parse a policy file. Raises ValueError that names the field; unknown fields are refused.

    Otherwise a misspelt field would silently weaken the policy.
    """
    fields = parse_object(text, FILE)
    if fields.get("predicate") != PREDICATE:
        raise ValueError(f"{FILE}: predicate is not '{PREDICATE}'")
    unknown = fields.keys() - {
        "predicate",
        "version",  # of earlier releases, ignored
        "includes",
        "instruction_patterns",
        "files",
        "publishers",
        "blocklist",
        "enforcement",
        "packages",
    }
    if unknown:
        raise ValueError(f"{FILE}, {min(unknown)}: no such field")
    if {"includes", "instruction_patterns"} <= fields.keys():
        raise ValueError(f"{FILE}: instruction_patterns is an old name of includes; leave one of them out")
    blocklist = _object(fields.get("blocklist", {}), "blocklist", {"digests", "publishers"})
    includes = fields.get("includes", fields.get("instruction_patterns", []))
    blocked = dict(_listed(blocklist.get("digests", []), "blocklist.digests", _blocked_digest, BLOCKED_MAX))
    return TrustPolicy(
        _listed(includes, "includes", lambda row: pattern.check(_text(row)), pattern.PATTERNS_MAX),
        _listed(fields.get("files", []), "files", _text, FILES_MAX),
        _listed(fields.get("publishers", []), "publishers", _publisher, PUBLISHERS_MAX),
        blocked,
        _listed(blocklist.get("publishers", []), "blocklist.publishers", _blocked_publisher, BLOCKED_MAX),
        _enforcement(fields.get("enforcement", "deny")),
        _flag(fields.get("packages", False), "packages"),
    )


def merged(policies: Iterable[TrustPolicy]) -> TrustPolicy:
    """Merge policies: all files and blocks, the strictest enforcement, the first publisher of each name."""
    policies = tuple(policies)
    publishers: dict[str, Publisher] = {}
    digests: dict[str, str] = {}
    for policy in policies:
        for publisher in policy.publishers:
            publishers.setdefault(publisher.name, publisher)
        for digest, description in policy.blocked_digests.items():
            digests.setdefault(digest, description)
    return TrustPolicy(
        tuple(dict.fromkeys(each for policy in policies for each in policy.includes)),
        tuple(dict.fromkeys(each for policy in policies for each in policy.files)),
        tuple(publishers.values()),
        digests,
        # Keep all of them: a block for one repository must not hide one for the whole issuer.
        tuple(dict.fromkeys(each for policy in policies for each in policy.blocked_publishers)),
        max((policy.enforcement for policy in policies), key=_STRICTNESS.index, default=Enforcement.DENY),
        any(policy.packages for policy in policies),
    )


def _listed[Row](rows: object, name: str, read: Callable[[object], Row], most: int) -> tuple[Row, ...]:
    if not isinstance(rows, list):
        raise ValueError(f"{FILE}, {name}: expected a list")
    if len(rows) > most:
        raise ValueError(f"{FILE}, {name}: {len(rows)} entries, of {most} at most")
    found = []
    for number, row in enumerate(rows):
        try:
            found.append(read(row))
        except ValueError as error:
            raise ValueError(f"{FILE}, {name}[{number}]: {error}") from None
    return tuple(found)


def _object(row: object, name: str, known: set[str]) -> dict[str, object]:
    if not isinstance(row, dict):
        raise ValueError(f"{name}: expected an object")
    unknown = row.keys() - known
    if unknown:
        raise ValueError(f"{min(unknown)}: no such field")
    return row


def _text(row: object) -> str:
    if not isinstance(row, str) or not row or "\0" in row:
        raise ValueError("expected a text")
    return row


def _flag(row: object, name: str) -> bool:
    if not isinstance(row, bool):
        raise ValueError(f"{FILE}, {name}: expected true or false")
    return row


def _optional(row: object) -> str | None:
    return None if row is None else _text(row)


def _enforcement(row: object) -> Enforcement:
    try:
        return Enforcement(_text(row))
    except ValueError:
        raise ValueError(f"{FILE}, enforcement: expected audit, warn or deny") from None


def _publisher(row: object) -> Publisher:
    keyless = {"issuer", "repository", "workflow", "ref_pattern", "build_signer_uri"}
    fields = _object(row, "publisher", {"name", "key_id", "public_key", *keyless})
    name = _text(fields.get("name"))
    if "key_id" in fields:
        if keyless & fields.keys():
            raise ValueError("a publisher has a key or a certificate, not both")
        key = fields.get("public_key")
        return Publisher(name, Keyed(_text(fields["key_id"]), None if key is None else _key(_text(key))))
    if "issuer" not in fields:
        raise ValueError("a publisher needs key_id, or issuer and repository")
    if "public_key" in fields:
        raise ValueError("public_key belongs to a publisher with a key_id")
    return Publisher(
        name,
        Keyless(
            _text(fields["issuer"]),
            _text(fields.get("repository")),
            _text(fields.get("workflow", "*")),
            _text(fields.get("ref_pattern", "*")),
            _optional(fields.get("build_signer_uri")),
        ),
    )


def _key(text: str) -> PublicKey:
    return public_key(text.encode() if text.startswith("-----") else decoded(text, "public_key"))


def _blocked_digest(row: object) -> tuple[str, str]:
    fields = _object(row, "digest", {"sha256", "description", "added"})
    digest = _text(fields.get("sha256")).lower()
    if not is_sha256(digest):
        raise ValueError("sha256 is 64 digits in hex")
    return digest, _optional(fields.get("description")) or ""


def _blocked_publisher(row: object) -> BlockedPublisher:
    fields = _object(row, "publisher", {"identity", "repository", "reason", "added"})
    return BlockedPublisher(
        _text(fields.get("identity")),
        _optional(fields.get("repository")),
        _optional(fields.get("reason")) or "",
    )
