"""A head that a key has signed: for cosign and in COSE, by nono's own key and by none."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import cwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from nono.credentials.signing.key import SigningKey, new_key
from nono.outward.attestation import PREDICATE_TYPE, NotAttestedError, head_file, signed, statement_of, verify
from nono.outward.cose import sign1
from nono.outward.head import Head
from nono.trust import bundle, dsse, statement

HEAD = Head("0123456789abcdef", 17, "a" * 64, "b" * 64)
KEYS: dict[str, Callable[[], SigningKey]] = {
    "P-256": new_key,
    "Ed25519": lambda: SigningKey(Ed25519PrivateKey.generate()),
}


@pytest.fixture(params=KEYS)
def key(request: pytest.FixtureRequest) -> SigningKey:
    make = KEYS[request.param]
    return make()


def test_a_head_that_a_trusted_key_has_signed_is_trusted(key: SigningKey) -> None:
    said = verify(signed(HEAD, "now", key.public, key.sign), HEAD, [key.public])
    assert said == ("now", key.public.fingerprint, True)


def test_a_head_that_another_key_has_signed_is_refused(key: SigningKey) -> None:
    with pytest.raises(NotAttestedError, match="none of the keys"):
        verify(signed(HEAD, "now", key.public, key.sign), HEAD, [new_key().public])


def test_a_head_is_not_trusted_without_a_key_to_compare(key: SigningKey) -> None:
    assert not verify(signed(HEAD, "now", key.public, key.sign), HEAD, []).is_trusted


def test_a_statement_is_about_one_head(key: SigningKey) -> None:
    text = signed(HEAD, "now", key.public, key.sign)
    with pytest.raises(NotAttestedError, match="another head"):
        verify(text, HEAD._replace(chain="c" * 64), [key.public])


@pytest.mark.parametrize(
    ("payload_type", "predicate_type", "is_valid"),
    [
        (dsse.IN_TOTO, PREDICATE_TYPE, True),
        ("text/plain", PREDICATE_TYPE, False),
        (dsse.IN_TOTO, "https://nono.sh/attestation/other/v1", False),
    ],
)
def test_a_key_that_has_signed_the_same_file_for_something_else_vouches_for_nothing(
    key: SigningKey, payload_type: str, predicate_type: str, is_valid: bool
) -> None:
    said = statement.parse(statement_of(HEAD, "now", None, key.public.fingerprint))
    payload = statement.encoded(said._replace(predicate_type=predicate_type))
    text = bundle.encoded(dsse.signed(payload_type, payload, key.sign), key.public.fingerprint)
    if is_valid:
        assert verify(text, HEAD, [key.public]).is_trusted
        return
    for keys in ([key.public], []):
        with pytest.raises(NotAttestedError, match="about something else"):
            verify(text, HEAD, keys)


@pytest.mark.parametrize("text", [b"", b"{}", b"[" * 100_000, b'{"mediaType":1}'])
def test_what_is_no_bundle_is_refused(text: bytes) -> None:
    with pytest.raises(NotAttestedError):
        verify(text, HEAD, [])


def test_a_statement_names_the_log_as_a_file() -> None:
    subjects = json.loads(statement_of(HEAD, "now", "d" * 64))["subject"]
    assert [each["name"] for each in subjects] == [head_file(HEAD), "audit-events.ndjson"]


@pytest.mark.skipif(shutil.which("cosign") is None, reason="cosign is not installed")
@pytest.mark.parametrize("is_changed", [False, True])
def test_cosign_verifies_the_note_that_was_signed(tmp_path: Path, is_changed: bool) -> None:
    key = new_key()
    (tmp_path / "key.pem").write_bytes(key.public.pem)
    (tmp_path / "bundle").write_bytes(signed(HEAD, "now", key.public, key.sign))
    (tmp_path / "note").write_bytes(HEAD.note() + b"!" * is_changed)
    # Of those that sign without a key: nobody, or cosign would ask the network.
    root = {"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}
    (tmp_path / "root.json").write_text(json.dumps(root))
    argv = ["cosign", "verify-blob-attestation", "--key=key.pem", "--bundle=bundle"]
    argv += [f"--type={PREDICATE_TYPE}", "--insecure-ignore-tlog", "--new-bundle-format"]
    argv += ["--trusted-root=root.json", "note"]
    checked = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (checked.returncode == 0) is not is_changed, checked.stderr


def test_another_library_reads_the_cose_message(key: SigningKey) -> None:
    public = cwt.COSEKey.from_pem(key.public.pem, kid=bytes.fromhex(key.public.fingerprint))
    assert cwt.COSE.new().decode(sign1(HEAD, key.public, key.sign), public) == HEAD.note()


def test_a_cose_message_that_was_changed_is_refused(key: SigningKey) -> None:
    message = sign1(HEAD, key.public, key.sign).replace(b"records 17", b"records 16")
    public = cwt.COSEKey.from_pem(key.public.pem, kid=bytes.fromhex(key.public.fingerprint))
    with pytest.raises(cwt.VerifyError):
        cwt.COSE.new().decode(message, public)
