"""`nono audit verify`: says whether the record of a session is as it was written, by exit code as well."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from contextlib import suppress

from nono import paths
from nono.audit.proof.check import check
from nono.audit.proof.verdict import document_of
from nono.cli.commands.audit.found import RUNNING, the_one
from nono.cli.text import audit_text
from nono.errors import NonoError
from nono.regular_file import read_regular_file
from nono.trust.dsse import PublicKey, public_key

KEY_BYTES_MAX = 64 * 1024


def verify(query: str, environ: Mapping[str, str], *, key_file: str | None, as_json: bool) -> int:
    """Print the verdict on a session. Returns 0 if it is verified, otherwise 1.

    key_file: Has the public key by which the session should be signed.
    """
    expected = None if key_file is None else _public_key(key_file)
    found = the_one(query, environ)
    try:
        verdict = check(
            paths.state_root(environ),
            found.session_id,
            is_running=found.state == RUNNING,
            expected=expected,
        )
    except OSError as error:
        raise NonoError(
            f"the session cannot be verified: {error.filename or found.directory}: {error.strerror}"
        ) from error
    if as_json:
        print(json.dumps(document_of(verdict), indent=2))
    else:
        for line in audit_text.verdict_lines(verdict):
            print(line)
    return 0 if verdict.is_verified else 1


def _public_key(path: str) -> PublicKey:
    """Read a public key: PEM, or DER, or that in base64. Raises NonoError."""
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
