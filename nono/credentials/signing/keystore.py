"""Create, store and find signing keys: in the system keyring, the embedded store, or files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from posixpath import dirname

from nono.credentials import resolver
from nono.credentials.signing import public
from nono.credentials.signing.key import SigningKey, new_key, signing_key
from nono.credentials.sources import keyring
from nono.credentials.store.vault import Vault
from nono.credentials.values.errors import CredentialNotFound, CredentialUnavailable
from nono.credentials.values.reference import FileReference, KeyringReference, check_name, parse_reference
from nono.errors import CredentialError
from nono.printable import printable
from nono.secret import Secret
from nono.trust.dsse import PublicKey, decoded, public_key

SERVICE, PUBLIC_SERVICE = "nono-trust", "nono-trust-pub"
DEFAULT = "default"
_KEYSTORE = "keystore://"

Warn = Callable[[str], None]


def load(reference: str, environ: Mapping[str, str], warn: Warn) -> SigningKey:
    """Return the key of a reference: a name, keystore://NAME, file:///PATH or any credential reference.

    Blocks and raises like resolver.resolve_credential().
    """
    name = keystore_name(reference)
    if name is None:
        parsed = parse_reference(reference)
        return signing_key(resolver.read(parsed, environ, warn), parsed.redacted())
    shown = f"signing key '{name}'"
    secret = Vault(environ).get(_embedded(name))
    if secret is None:
        try:
            secret = keyring.read(KeyringReference(SERVICE, name), environ, warn)
        except CredentialUnavailable as error:
            raise CredentialUnavailable(
                f"{shown} is not in the embedded store, and {error.message}", hint=public.keygen_hint(name)
            ) from None
        except CredentialNotFound:
            raise CredentialNotFound(
                f"{shown} is neither in the embedded store nor in the system keyring",
                hint=public.keygen_hint(name),
            ) from None
    return signing_key(secret, shown)


def generate(
    reference: str, environ: Mapping[str, str], *, replaces: bool, ask: Callable[[], Secret | None] | None
) -> tuple[PublicKey, str]:
    """Create a key and store it. Returns its public half and the place.

    replaces: Replace an existing key.
    ask: As for Vault.set().

    Raises CredentialError if the key exists and is not to be replaced, or for a reference to another place.
    """
    name = keystore_name(reference)
    key = new_key()
    if name is None:
        parsed = parse_reference(reference)
        if not isinstance(parsed, FileReference):
            raise CredentialError(
                f"{parsed.redacted()}: a key is made in the keystore or in a file",
                hint="keystore://NAME or file:///home/me/trust.key",
            )
        _write_files(parsed.path, key, replaces=replaces)
        where = parsed.path
    else:
        if not replaces and _exists(name, environ):
            raise CredentialError(
                f"a signing key '{name}' exists; files signed with it would no longer verify.",
                hint="--force replaces it, --id NAME makes another",
            )
        where = _store(name, key, environ, ask)
    public.remember(reference if name is None else name, key.public, environ)
    return key.public, where


def public_half(reference: str, environ: Mapping[str, str]) -> PublicKey:
    """Return a key's public half without reading the private one.

    Raises CredentialNotFound if there is none, CredentialError for a reference to another place.
    """
    name = keystore_name(reference)
    if name is None:
        parsed = parse_reference(reference)
        if not isinstance(parsed, FileReference):
            raise CredentialError(
                f"{parsed.redacted()}: only keys in the keystore or in files have a public half"
            )
        return public.read(f"{parsed.path}.pub", reference)
    with suppress(CredentialNotFound):
        return public.read(public.path_of(name, environ), name)
    with suppress(CredentialNotFound, CredentialUnavailable, ValueError):
        text = keyring.read(KeyringReference(PUBLIC_SERVICE, name), environ)
        return public_key(decoded(text.reveal(), "the public key"))
    raise CredentialNotFound(f"there is no public key '{name}'", hint=public.keygen_hint(name))


def keystore_name(reference: str) -> str | None:
    """Return the name of a key in the keystore; None for a reference to another place.

    Raises CredentialError for what is neither.
    """
    if reference.startswith(("/", "./", "../", "~")):
        raise CredentialError(
            f"'{printable(reference)}' is a path: the signing key of a file is written file:///PATH",
            hint="or the name of a key that `nono trust keygen` has made",
        )
    if reference.startswith(_KEYSTORE) or "://" not in reference:
        return check_name(reference.removeprefix(_KEYSTORE))
    return None


def _embedded(name: str) -> str:
    return check_name(f"{SERVICE}-{name}")


def _exists(name: str, environ: Mapping[str, str]) -> bool:
    if Vault(environ).get(_embedded(name)) is not None:
        return True
    try:
        keyring.read(KeyringReference(SERVICE, name), environ)
    except (CredentialNotFound, CredentialUnavailable):
        return False
    return True


def _store(
    name: str, key: SigningKey, environ: Mapping[str, str], ask: Callable[[], Secret | None] | None
) -> str:
    vault = Vault(environ)
    try:
        keyring.write(KeyringReference(SERVICE, name), key.secret(), environ)
    except CredentialUnavailable:
        vault.set(_embedded(name), key.secret(), ask)
        return vault.path
    vault.remove(_embedded(name))
    with suppress(CredentialUnavailable):  # it is also in a file
        keyring.write(KeyringReference(PUBLIC_SERVICE, name), Secret(public.text_of(key.public)), environ)
    return resolver.SYSTEM_KEYRING


def _write_files(path: str, key: SigningKey, *, replaces: bool) -> None:
    try:
        os.makedirs(dirname(path), mode=0o700, exist_ok=True)
        public.write_private(path, key.secret().reveal(), replaces=replaces)
        public.write_private(f"{path}.pub", public.text_of(key.public), replaces=True)
    except FileExistsError:
        raise CredentialError(
            f"'{path}' exists; files signed with its key would no longer verify.", hint="--force replaces it"
        ) from None
    except OSError as error:
        raise CredentialError(f"'{path}' cannot be written: {error.strerror}") from error
