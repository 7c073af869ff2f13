"""Read, store and remove a credential in any of the places that can hold one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from nono.credentials.sources import environment, keyring, store
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
from nono.printable import shell_word
from nono.secret import Secret

SYSTEM_KEYRING = "system keyring"


class Place(NamedTuple):
    """Where a credential was stored."""

    where: str  # ``system keyring`` or the path of the embedded store
    lock: str | None = None  # what protects the key of the embedded store; None: the store is plain text


class StoredName(NamedTuple):
    """A stored credential and its place: ``system keyring`` or the path of the embedded store."""

    name: str
    where: str


def resolve_credential(
    text: str, environ: Mapping[str, str], warn: Callable[[str], None] = lambda sentence: None
) -> Secret:
    """Return the secret that a reference points to. Never call it on an event loop.

    It blocks: up to two minutes while a person unlocks a keyring, half a minute for a password manager.

    warn: Called with a sentence about something that works but should be changed.

    Raises CredentialError if the reference itself is malformed, and CredentialNotFound and
    CredentialUnavailable as the sources do.
    """
    return read(parse_reference(text), environ, warn)


def read(reference: CredentialReference, environ: Mapping[str, str], warn: Callable[[str], None]) -> Secret:
    """Resolve a reference that was already parsed, like resolve_credential().

    Raises CredentialError for ``cmd://`` too, whose command runs when a request needs it.
    """
    match reference:
        case EnvironmentReference():
            return environment.read(reference, environ)
        case FileReference():
            from nono.credentials.sources import file  # imported here, like each password manager below

            return file.read(reference, warn)
        case KeyringReference():
            return keyring.read(reference, environ, warn)
        # Each password manager is imported where it is used, because a run has at most one.
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


def save(
    name: str, secret: Secret, environ: Mapping[str, str], ask: Callable[[], Secret | None] | None = None
) -> Place:
    """Store under `name` and return the place. `ask`: asks for the passphrase of a new embedded store.

    The keyring is used if it answers within 2 s and accepts the value; the embedded store then drops the
    name. If the embedded store is used, an older value in the keyring stays there, hidden by the new one.
    Raises CredentialUnavailable if it is stored nowhere.
    """
    reference = StoredReference(check_name(name))
    vault = Vault(environ)
    try:
        keyring.write(reference.in_keyring(), secret, environ)
    except CredentialUnavailable:
        return Place(vault.path, vault.set(name, secret, ask))
    vault.remove(name)
    return Place(SYSTEM_KEYRING)


def remove(name: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Remove a credential from every place that has it, and return those places.

    Raises CredentialNotFound if no place has it, CredentialUnavailable if the embedded store does not have it
    and no keyring answers.
    """
    reference = StoredReference(check_name(name))
    vault = Vault(environ)
    removed_from = [vault.path] if vault.remove(name) else []
    try:
        if keyring.delete(reference.in_keyring(), environ):
            removed_from.append(SYSTEM_KEYRING)
    except CredentialUnavailable as error:
        if not removed_from:
            raise _not_stored(name, error, "nono credential list") from None
    if not removed_from:
        raise CredentialNotFound(f"credential '{name}' is not stored", hint="nono credential list")
    return tuple(removed_from)


def names(environ: Mapping[str, str], *, may_ask: bool = True) -> tuple[StoredName, ...]:
    """List all stored credentials by name; a name in both places appears twice, the one in use first.

    may_ask: False: nobody is asked for the passphrase of the store; CredentialUnavailable is raised then.
    A keyring that does not answer within 2 s, or cannot list, contributes nothing.
    """
    vault = Vault(environ)
    stored = [StoredName(name, vault.path) for name in vault.names(may_ask=may_ask)]
    with suppress(CredentialUnavailable):
        stored += [StoredName(name, SYSTEM_KEYRING) for name in keyring.accounts(KEYRING_SERVICE, environ)]
    return tuple(sorted(stored, key=lambda entry: entry.name))


def _read_stored(
    reference: StoredReference, environ: Mapping[str, str], warn: Callable[[str], None]
) -> Secret:
    """Try the embedded store first: it answers at once, and holds only values that no keyring took."""
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
        set_it = f"nono credential set {shell_word(reference.name)}"
        raise _not_stored(reference.name, error, set_it) from None


def _not_stored(name: str, error: CredentialUnavailable, hint: str) -> CredentialUnavailable:
    message = f"credential '{name}' is not in the embedded store, and {error.message}"
    return CredentialUnavailable(message, hint=hint)
