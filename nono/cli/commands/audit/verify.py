"""`nono audit verify`: say whether the record of a session is unchanged, also by the exit code."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from nono import paths
from nono.audit.proof.check import check
from nono.audit.proof.verdict import FILES_AGREE, MISMATCH, document_of
from nono.audit.stored import read_log
from nono.cli.commands.audit.found import RUNNING, the_one
from nono.cli.shapes.printed import printed
from nono.cli.text import audit_text
from nono.disk.regular_file import read_regular_file
from nono.errors import ConfigError, NonoError
from nono.named_tuple import NamedTuple
from nono.outward.rfc3161 import is_installed
from nono.outward.verification import anchor_document, verify_anchors
from nono.policy.suggestions import install_command
from nono.trust.dsse import PublicKey, public_key

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

KEY_BYTES_MAX = 64 * 1024
CA_BYTES_MAX = 4 * 1024 * 1024


class Trusted(NamedTuple):
    """Files that say whose signatures count. None: any signature that fits."""

    key: str | None = None  # the public key that should have signed the session
    anchor_ca: str | None = None  # certificates of time-stamping authorities, PEM
    anchor_key: str | None = None  # the public key that should have signed the heads


def verify(query: str, environ: Mapping[str, str], trusted: Trusted, *, as_json: bool) -> int:
    """Print the verdict on a session. Returns 0 if it is verified, otherwise 1."""
    expected = None if trusted.key is None else _public_key(trusted.key)
    anchor_keys = () if trusted.anchor_key is None else (_public_key(trusted.anchor_key),)
    roots = () if trusted.anchor_ca is None else _certificates(trusted.anchor_ca)
    found = the_one(query, environ)
    try:
        verdict = check(
            paths.state_root(environ),
            found.session_id,
            is_running=found.state == RUNNING,
            expected=expected,
        )
        with read_log(found.directory) as reading:
            anchors = verify_anchors(found.directory, reading, roots, anchor_keys)
    except OSError as error:
        raise NonoError(
            f"the session cannot be verified: {error.filename or found.directory}: {error.strerror}"
        ) from error
    if anchors.records:
        verdict = verdict._replace(notes=tuple(each for each in verdict.notes if each != FILES_AGREE))
    if anchors.problems:
        verdict = verdict._replace(state=MISMATCH, problems=(*verdict.problems, *anchors.problems))
    if as_json:
        print(printed({**document_of(verdict), "anchors": anchor_document(anchors)}))
    else:
        for line in audit_text.verdict_lines(verdict, audit_text.anchors(anchors, verdict.log.intact)):
            print(line)
    return 0 if verdict.is_verified else 1


def _certificates(path: str) -> Sequence[Certificate]:
    """Read certificates in PEM. Raises NonoError."""
    # Imported here: few verifications have any.
    from cryptography.x509 import load_pem_x509_certificates

    if not is_installed():
        raise ConfigError(
            "--anchor-ca needs packages that are not installed.", hint=install_command("anchor")
        )
    try:
        return load_pem_x509_certificates(read_regular_file(path, CA_BYTES_MAX))
    except OSError as error:
        raise NonoError(f"the certificates cannot be read: {path}: {error.strerror}") from error
    except ValueError as error:
        raise NonoError(f"'{path}' holds no certificate in PEM") from error


def _public_key(path: str) -> PublicKey:
    """Read a public key in PEM, in DER, or in base64 of DER. Raises NonoError."""
    try:
        content = read_regular_file(path, KEY_BYTES_MAX)
    except OSError as error:
        raise NonoError(f"the public key cannot be read: {path}: {error.strerror}") from error
    with suppress(ValueError):
        content = b64decode(content.strip(), validate=True)
    try:
        return public_key(content)
    except ValueError as error:
        raise NonoError(
            f"'{path}' is not a public key: {error}", hint="nono trust export-key writes one"
        ) from error
