"""Define the predicates of the in-toto statements that nono signs; that of a policy is in policy.py."""

from __future__ import annotations

from collections.abc import Mapping

INSTRUCTION_FILE = "https://nono.sh/attestation/instruction-file/v1"
MULTI_FILE = "https://nono.sh/attestation/multi-file/v1"


def keyed(key_id: str) -> dict[str, object]:
    """Return the predicate of a statement signed with a key, named by its fingerprint."""
    return {"version": 1, "signer": {"kind": "keyed", "key_id": key_id}}


def keyless() -> dict[str, object]:
    """Return the predicate of a statement whose certificate names the signer."""
    return {"version": 1, "signer": {"kind": "keyless"}}


def key_id_of(predicate: Mapping[str, object]) -> str | None:
    """Return the key that a predicate names, or None."""
    match predicate.get("signer"):
        case {"kind": "keyed", "key_id": str(key_id)}:
            return key_id
    return None
