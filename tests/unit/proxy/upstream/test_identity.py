"""A client's key is loaded without a question, which nobody could answer in the middle of a run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

CHECK = """
import sys
from nono.policy.schema.route_rules import TlsIdentity
from nono.proxy.upstream.identity import check_identity
try:
    check_identity(TlsIdentity(cert=sys.argv[1], key=sys.argv[1]))
except OSError:
    print("refused")
else:
    print("loaded")
"""


@pytest.mark.parametrize(
    ("encryption", "said"),
    [(NoEncryption(), "loaded"), (BestAvailableEncryption(b"passphrase"), "refused")],
    ids=["plain", "encrypted"],
)
def test_a_key_with_a_passphrase_is_refused_without_asking_for_it(
    tmp_path: Path, encryption: KeySerializationEncryption, said: str
) -> None:
    issued = trustme.CA().issue_cert("client.test")
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    own = tmp_path / "own.pem"
    own.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption) + issued.cert_chain_pems[0].bytes()
    )
    ended = subprocess.run(
        [sys.executable, "-c", CHECK, str(own)],
        input="passphrase\n",  # which OpenSSL reads where there is no terminal
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=60,
        check=True,
    )
    assert (ended.stdout.strip(), ended.stderr) == (said, "")
