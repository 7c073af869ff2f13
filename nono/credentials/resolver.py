"""Reads, stores and removes a credential wherever it is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from nono.credentials.sources import environment, file, keyring, store
from nono.credentials.store.vault import Vault
from nono.credentials.values.errors import CredentialNotFound, CredentialUnavailable
from nono.credentials.values.reference import (
    KEYRING_SERVICE,
    BitwardenReference,
    CaptureReference,
    CredentialReference,
    EnvironmentReference,
    FileReference,
    KeyringReference,
    OnePasswordReference,
    PassReference,
    StoredReference,
    check_name,
    parse_reference,
)
from nono.errors import CredentialError
from nono.named_tuple import NamedTuple
from nono.secret import Secret

SYSTEM_KEYRING = "system keyring"


class StoredName(NamedTuple):
    """A stored credential and the place it is in: ``system keyring`` or the path of the embedded store."""

    name: str
    where: str


def resolve_credential(
    text: str, environ: Mapping[str, str], warn: Callable[[str], None] = lambda sentence: None
) -> Secret:
    """The secret a reference points at. Blocks: up to two minutes where a person must unlock a
    keyring, half a minute for a password manager; never to be called where an event loop runs.

    warn: told, in a sentence, of what works but should be otherwise. CredentialError: the reference itself is
    malformed. CredentialNotFound and CredentialUnavailable as the sources raise them.
    """
    return read(parse_reference(text), environ, warn)


def read(reference: CredentialReference, environ: Mapping[str, str], warn: Callable[[str], None]) -> Secret:
    """As resolve_credential, for a reference that was already parsed.

    CredentialError for ``cmd://`` too, whose command runs when a request comes.
    """
    match reference:
        case EnvironmentReference():
            return environment.read(reference, environ)
        case FileReference():
            return file.read(reference, warn)
        case KeyringReference():
            return keyring.read(reference, environ, warn)
        # The password managers are imported where one is asked: a run has one of them at most.
        case OnePasswordReference():
            from nono.credentials.sources import onepassword

            return onepassword.read(reference, environ)
        case BitwardenReference():
            from nono.credentials.sources import bitwarden

            return bitwarden.read(reference, environ)
        case PassReference():
            from nono.credentials.sources import pass_store

            return pass_store.read(reference, environ)
        case CaptureReference():
            raise CredentialError(
                f"{reference.redacted()}: its command runs when a request needs it, so it is for routes only",
                hint="name it as the credential_key of a custom credential",
            )
        case StoredReference():
            return _read_stored(reference, environ, warn)


def save(name: str, secret: Secret, environ: Mapping[str, str]) -> str:
    """Stores under name and returns where: ``system keyring``, or the path of the embedded store.

    The keyring is taken when it answers within 2 s and accepts the value; the embedded store then forgets the
    name. The other way round an older value in the keyring stays there, hidden behind the embedded store.
    CredentialUnavailable: stored nowhere.
    """
    reference = StoredReference(check_name(name))
    vault = Vault(environ)
    try:
        keyring.write(reference.in_keyring(), secret, environ)
    except CredentialUnavailable:
        vault.set(name, secret)
        return vault.path
    vault.remove(name)
    return SYSTEM_KEYRING


def remove(name: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Removes it from every place that has it, and returns those.

    CredentialNotFound: none has it. CredentialUnavailable: not in the embedded store, and no keyring answers.
    """
    reference = StoredReference(check_name(name))
    vault = Vault(environ)
    removed_from = [vault.path] if vault.remove(name) else []
    try:
        if keyring.delete(reference.in_keyring(), environ):
            removed_from.append(SYSTEM_KEYRING)
    except CredentialUnavailable as error:
        if not removed_from:
            raise _not_stored(name, error) from None
    if not removed_from:
        raise CredentialNotFound(f"credential '{name}' is not stored", hint="nono credential list")
    return tuple(removed_from)


def names(environ: Mapping[str, str]) -> tuple[StoredName, ...]:
    """All stored credentials, by name; a name that is in both places comes twice, the one in use first.

    A keyring that does not answer within 2 s, or that cannot list, contributes nothing.
    """
    vault = Vault(environ)
    stored = [StoredName(name, vault.path) for name in vault.names()]
    with suppress(CredentialUnavailable):
        stored += [StoredName(name, SYSTEM_KEYRING) for name in keyring.accounts(KEYRING_SERVICE, environ)]
    return tuple(sorted(stored, key=lambda entry: entry.name))


def where(name: str, environ: Mapping[str, str]) -> str | None:
    """Where the value that name stands for is kept, without reading it; None when it is not stored."""
    return next((entry.where for entry in names(environ) if entry.name == name), None)


def _read_stored(
    reference: StoredReference, environ: Mapping[str, str], warn: Callable[[str], None]
) -> Secret:
    """The embedded store first: it answers at once, and holds only what no keyring took."""
    try:
        return store.read(reference, environ)
    except CredentialNotFound as error:
        hint = error.hint
    try:
        return keyring.read(reference.in_keyring(), environ, warn)
    except CredentialNotFound:
        message = f"credential '{reference.name}' is neither in the embedded store nor in the system keyring"
        raise CredentialNotFound(message, hint=hint) from None
    except CredentialUnavailable as error:
        raise _not_stored(reference.name, error) from None


def _not_stored(name: str, error: CredentialUnavailable) -> CredentialUnavailable:
    message = f"credential '{name}' is not in the embedded store, and {error.message}"
    return CredentialUnavailable(message, hint=f"nono credential set {name}")
