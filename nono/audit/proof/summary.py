"""Define the summary of a session that has ended, session.json, and the digest kept in the ledger."""

from __future__ import annotations

from collections.abc import Mapping

from nono.audit.chain import Integrity, compact
from nono.digests import sha256
from nono.disk import json_text
from nono.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SUMMARY_FILE, BUNDLE_FILE = "session.json", "audit-attestation.bundle"
ALGORITHM = "sha256"
SCHEME = "alpha"
_DIGEST_TAG = b"nono.audit.session-digest.alpha\n"


class Executable(NamedTuple):
    """The program that ran, as it was before it started."""

    resolved_path: str
    sha256: str


class Summary(NamedTuple):
    """What is kept of a session beside its log, which has everything else."""

    session_id: str
    started: str  # RFC 3339, local time, as in the log
    ended: str
    command: tuple[str, ...]  # redacted
    exit_code: int
    audit_integrity: Integrity | None
    executable_identity: Executable | None = None
    tracked_paths: tuple[str, ...] = ()
    merkle_roots: tuple[str, ...] = ()  # of the writable directories, before and after; or none
    snapshot_count: int = 0  # that undo has taken during the run
    audit_attestation: Mapping[str, str] | None = None


def document_of(summary: Summary) -> dict[str, Any]:
    """Return the summary as JSON values, in the order in which it is written."""
    integrity, executable = summary.audit_integrity, summary.executable_identity
    attestation = summary.audit_attestation
    return {
        "session_id": summary.session_id,
        "started": summary.started,
        "ended": summary.ended,
        "command": list(summary.command),
        "executable_identity": None if executable is None else executable._asdict(),
        "tracked_paths": list(summary.tracked_paths),
        "snapshot_count": summary.snapshot_count,
        "exit_code": summary.exit_code,
        "merkle_roots": list(summary.merkle_roots),
        "network_events": [],  # empty, because they are in the log
        "audit_event_count": 0 if integrity is None else integrity.event_count,
        "audit_integrity": None if integrity is None else integrity_of(integrity),
        "audit_attestation": None if attestation is None else dict(attestation),
    }


def integrity_of(integrity: Integrity) -> dict[str, object]:
    return {"hash_algorithm": ALGORITHM, **integrity._asdict()}


def to_json(document: Mapping[str, Any]) -> bytes:
    return (json_text.indented(document) + "\n").encode("utf-8", "backslashreplace")


def digest_of(document: Mapping[str, Any]) -> str:
    """Return the digest of a summary in hex. Paths are hashed by their bytes, whatever their encoding."""
    executable = document["executable_identity"]
    if executable is not None:
        executable = {**executable, "resolved_path": _octets(executable["resolved_path"])}
    covered = {
        **document,
        "executable_identity": executable,
        "tracked_paths": [_octets(path) for path in document["tracked_paths"]],
    }
    return sha256(_DIGEST_TAG + compact(covered)).hexdigest()


def _octets(path: str) -> list[int]:
    return list(path.encode("utf-8", "surrogateescape"))


_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "session_id": str,
    "started": str,
    "ended": (str, type(None)),
    "command": list,
    "executable_identity": (dict, type(None)),
    "tracked_paths": list,
    "snapshot_count": int,
    "exit_code": (int, type(None)),
    "merkle_roots": list,
    "network_events": list,
    "audit_event_count": int,
    "audit_integrity": (dict, type(None)),
    "audit_attestation": (dict, type(None)),
}
_OPTIONAL = frozenset({"command_policy_summary"})
_EXECUTABLE = ["resolved_path", "sha256"]
_INTEGRITY: Mapping[str, type] = {
    "hash_algorithm": str,
    "event_count": int,
    "chain_head": str,
    "merkle_root": str,
}


def parse(content: bytes) -> dict[str, Any]:
    """Parse session.json. Raises ValueError that names the difference from what was written.

    Every byte counts: bytes outside the digest could hold statements that nobody vouches for.
    """
    try:
        document = json_text.parse(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError("is not JSON") from error
    if not isinstance(document, dict):
        raise ValueError("is not an object")
    if [name for name in document if name not in _OPTIONAL] != [*_FIELDS]:
        raise ValueError("does not have the fields of a summary, in their order")
    for name, kind in _FIELDS.items():
        if not isinstance(document[name], kind) or isinstance(document[name], bool):
            raise ValueError(f"has a field {name} of the wrong type")
    for name in ("command", "tracked_paths", "merkle_roots"):
        if not all(isinstance(each, str) for each in document[name]):
            raise ValueError(f"has a field {name} that is not a list of texts")
    executable, integrity = document["executable_identity"], document["audit_integrity"]
    if executable is not None and not (
        [*executable] == _EXECUTABLE and all(isinstance(each, str) for each in executable.values())
    ):
        raise ValueError("has a field executable_identity of the wrong type")
    if integrity is not None and not _is_integrity(integrity):
        raise ValueError("has a field audit_integrity of the wrong type")
    if to_json(document) != content:
        raise ValueError("is not spelled as it was written")
    try:
        digest_of(document)
    except ValueError as error:  # half a surrogate pair, or an invalid number
        raise ValueError("has a text or a number that cannot be hashed") from error
    return document


def _is_integrity(fields: Mapping[str, Any]) -> bool:
    is_typed = [*fields] == [*_INTEGRITY] and all(
        type(fields[name]) is kind for name, kind in _INTEGRITY.items()
    )
    return is_typed and fields["hash_algorithm"] == ALGORITHM
