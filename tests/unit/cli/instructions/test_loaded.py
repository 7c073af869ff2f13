"""Whose keys count for the instruction files of a project."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nono.cli.instructions.loaded import load
from nono.credentials.signing.public import remember
from nono.trust.disk.concern import user_policy
from nono.trust.dsse import PublicKey
from nono.trust.policy import PREDICATE


def made() -> PublicKey:
    public = generate_private_key(SECP256R1()).public_key()
    return PublicKey(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


@pytest.mark.parametrize("spelled", ["ci", "keystore://ci", "fingerprint", "c", "keystore://other"])
def test_a_publisher_without_a_public_key_has_the_own_key_of_that_name_or_none(
    spelled: str, tmp_path: Path
) -> None:
    environ, key = {"HOME": str(tmp_path)}, made()
    remember("ci", key, environ)
    remember("beside", made(), environ)
    publisher = {"name": "builds", "key_id": key.fingerprint if spelled == "fingerprint" else spelled}
    policy = user_policy(environ)
    Path(policy).write_text(
        json.dumps({"predicate": PREDICATE, "includes": ["CLAUDE.md"], "publishers": [publisher]})
    )
    loaded = load(str(tmp_path), environ)
    is_known = spelled in ("ci", "keystore://ci", "fingerprint")
    assert [each.key for each in loaded.trust.keys] == ([key] if is_known else [])
    assert loaded.unknown == (() if is_known else ("builds",))
