from collections.abc import Mapping
from pathlib import Path

import pytest

from nono.credentials.signing import keystore
from nono.credentials.signing import public as public_halves
from nono.credentials.values.errors import CredentialNotFound, CredentialUnavailable
from nono.errors import CredentialError
from nono.trust import dsse
from nono.trust.dsse import IN_TOTO


@pytest.fixture
def environ(tmp_path: Path) -> Mapping[str, str]:
    # No keyring answers, so that the embedded store is used.
    return {"HOME": str(tmp_path), "PATH": "", "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}


def _quiet(sentence: str) -> None:
    raise AssertionError(sentence)


@pytest.mark.parametrize("reference", ["default", "keystore://work", "file"])
def test_what_a_key_signs_its_public_half_verifies(
    reference: str, environ: Mapping[str, str], tmp_path: Path
) -> None:
    if reference == "file":
        reference = f"file://{tmp_path}/keys/trust.key"
    public, _ = keystore.generate(reference, environ, replaces=False, ask=None)
    key = keystore.load(reference, environ, _quiet)
    envelope = dsse.signed(IN_TOTO, b"{}", key.sign)
    assert dsse.signers(envelope, IN_TOTO, [keystore.public_half(reference, environ)]) == {public}
    assert public in public_halves.own_public_keys(environ).values()


@pytest.mark.parametrize("reference", ["default", "file"])
def test_an_existing_key_is_replaced_only_if_asked(
    reference: str, environ: Mapping[str, str], tmp_path: Path
) -> None:
    if reference == "file":
        reference = f"file://{tmp_path}/trust.key"
    first, _ = keystore.generate(reference, environ, replaces=False, ask=None)
    with pytest.raises(CredentialError, match="would no longer verify"):
        keystore.generate(reference, environ, replaces=False, ask=None)
    assert keystore.load(reference, environ, _quiet).public == first
    second, _ = keystore.generate(reference, environ, replaces=True, ask=None)
    assert keystore.load(reference, environ, _quiet).public == second != first


def test_a_key_in_a_file_is_its_owners_alone(environ: Mapping[str, str], tmp_path: Path) -> None:
    keystore.generate(f"file://{tmp_path}/trust.key", environ, replaces=False, ask=None)
    assert (tmp_path / "trust.key").stat().st_mode & 0o777 == 0o600


def test_a_link_at_the_place_of_a_key_is_not_written_through(
    environ: Mapping[str, str], tmp_path: Path
) -> None:
    (tmp_path / "trust.key").symlink_to("elsewhere")
    with pytest.raises(CredentialError, match="exists"):
        keystore.generate(f"file://{tmp_path}/trust.key", environ, replaces=False, ask=None)
    assert not (tmp_path / "elsewhere").exists()


def test_a_missing_key_says_how_to_make_one(environ: Mapping[str, str]) -> None:
    with pytest.raises(CredentialUnavailable) as raised:
        keystore.load("default", environ, _quiet)
    assert raised.value.hint == "nono trust keygen --id default"
    with pytest.raises(CredentialNotFound):
        keystore.public_half("default", environ)


@pytest.mark.parametrize("text", ["not base64", "e30=", "-----BEGIN PRIVATE KEY-----"])
def test_what_is_no_key_is_not_quoted(text: str, environ: Mapping[str, str], tmp_path: Path) -> None:
    (tmp_path / "trust.key").write_text(text)
    (tmp_path / "trust.key").chmod(0o600)
    with pytest.raises(CredentialUnavailable) as raised:
        keystore.load(f"file://{tmp_path}/trust.key", environ, _quiet)
    assert text not in raised.value.message
