"""Store and read public halves of keys, without the private ones."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from posixpath import dirname, join

from nono import paths
from nono.credentials.values.errors import CredentialNotFound, CredentialUnavailable
from nono.disk.regular_file import read_regular_file
from nono.errors import CredentialError
from nono.printable import shell_word
from nono.private_dir import open_private_dir
from nono.trust.dsse import PublicKey, decoded, public_key

_PUBLIC_BYTES_MAX = 4096


def own_public_keys(environ: Mapping[str, str]) -> dict[str, PublicKey]:
    """Return the public halves of the keys that this user created here, by reference."""
    found = {}
    directory = _directory(environ)
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return {}
    for name in names:
        with suppress(CredentialError, ValueError):
            reference = bytes.fromhex(name.removesuffix(".b64")).decode()
            found[reference] = read(join(directory, name), reference)
    return found


def remember(reference: str, key: PublicKey, environ: Mapping[str, str]) -> None:
    """Store the public half of a key created here. Raises CredentialError if it cannot be written."""
    path = path_of(reference, environ)
    try:
        os.close(open_private_dir(dirname(path), create=True))
        write_private(path, text_of(key), replaces=True)
    except OSError as error:
        if "://" in reference:
            return  # its name may be too long for a file, and a copy is beside the key
        raise CredentialError(f"'{path}' cannot be written: {error.strerror}") from error


def read(path: str, reference: str) -> PublicKey:
    """Read a public key, in base64 or PEM. Raises CredentialNotFound or CredentialUnavailable."""
    try:
        text = read_regular_file(path, _PUBLIC_BYTES_MAX).decode("ascii").strip()
        return public_key(text.encode() if text.startswith("-----") else decoded(text, "the public key"))
    except FileNotFoundError:
        raise CredentialNotFound(f"there is no public key '{path}'", hint=keygen_hint(reference)) from None
    except OSError as error:
        raise CredentialUnavailable(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise CredentialUnavailable(f"{path}: {error}") from error


def write_private(path: str, text: str, *, replaces: bool) -> None:
    """Write a new file that only its owner may read; a link at that name is not followed."""
    if replaces:
        with suppress(FileNotFoundError):
            os.unlink(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags, 0o600), "w", encoding="ascii") as file:
        file.write(f"{text}\n")
        file.flush()
        os.fsync(file.fileno())


def path_of(reference: str, environ: Mapping[str, str]) -> str:
    """Return the path of the file for a key's public half."""
    return join(_directory(environ), f"{reference.encode().hex()}.b64")


def text_of(key: PublicKey) -> str:
    return b64encode(key.der).decode()


def keygen_hint(reference: str) -> str:
    option = "--keyref" if "://" in reference else "--id"
    return f"nono trust keygen {option} {shell_word(reference)}"


def _directory(environ: Mapping[str, str]) -> str:
    return join(paths.config_dir(environ), "trusted-keys")
