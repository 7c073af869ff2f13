"""Find what can protect the key of the embedded store: systemd-creds for this user, or a passphrase."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress

from nono.credentials.store import kernel_keyring
from nono.credentials.store.box import Lock, key_from, new_key, new_salt
from nono.credentials.values.errors import CredentialUnavailable
from nono.digests import sha256
from nono.secret import Secret
from nono.typed.line import in_front

SYSTEMD_CREDS, PASSPHRASE = "systemd-creds", "passphrase"
TIMEOUT_S = 10.0  # for systemd-creds, which may ask a TPM
KEPT_S = 8 * 3600  # a key, in the kernel's keyring of the user
_NAME = "--name=nono-credentials"

AskNew = Callable[[], Secret | None]  # asks for the passphrase of a new store; None: the person wants none


def new_lock(environ: Mapping[str, str], ask: AskNew | None) -> tuple[Secret, Lock] | None:
    """Return a key for a new store and its lock; None if nothing can protect one.

    ask: None if nobody is there.
    """
    key = new_key()
    sealed = _systemd_creds(environ, "encrypt", key.reveal())
    if sealed is not None:
        return key, Lock(SYSTEMD_CREDS, "".join(sealed.reveal().split()))
    passphrase = ask() if ask is not None else None
    if passphrase is None:
        return None
    lock = Lock(PASSPHRASE, new_salt())
    key = key_from(passphrase, lock.value)
    _keep(lock, key)
    return key, lock


def key_of(
    lock: Lock,
    path: str,
    environ: Mapping[str, str],
    *,
    opens: Callable[[Secret], bool],
    may_ask: bool = True,
) -> Secret:
    """Return the key that `lock` protects, asking for a passphrase if needed.

    opens: Tells whether a key is the right one for the store at `path`.
    may_ask: False while a command may have the terminal.

    Raises CredentialUnavailable if nothing can supply the key, or nobody can be asked.
    """
    if lock.kind not in (SYSTEMD_CREDS, PASSPHRASE):
        raise CredentialUnavailable(f"{path}: not a credential store of this version of nono")
    kept = kernel_keyring.kept(_kept_name(lock))
    if kept is not None:
        key = Secret(kept.decode("ascii", "replace"))
        if opens(key):
            return key
    if lock.kind == PASSPHRASE:
        return _asked_for(lock, path, opens, may_ask=may_ask)
    key_given = _systemd_creds(environ, "decrypt", lock.value)
    if key_given is None or not opens(key_given):
        raise CredentialUnavailable(
            f"{path}: systemd-creds does not give out its key",
            hint="it was encrypted for another user or machine; store the credentials again after moving "
            "it away",
        )
    # It gives the key to every program of the user, as the keyring does, and takes two processes each time.
    _keep(lock, key_given)
    return key_given


def _asked_for(lock: Lock, path: str, opens: Callable[[Secret], bool], *, may_ask: bool) -> Secret:
    if not may_ask or not _can_ask():
        raise CredentialUnavailable(
            f"{path}: it is encrypted, and nobody is there to type its passphrase",
            hint="nono credential list, in a terminal, opens it for some hours",
        )
    # Imported here: a passphrase is typed once in some hours.
    from nono.typed.hidden import read_hidden

    try:
        typed = read_hidden("  Passphrase of nono's credentials (not shown): ")
    except EOFError:
        typed = ""
    key = key_from(Secret(typed), lock.value)
    if not opens(key):
        raise CredentialUnavailable(f"{path}: that is not its passphrase")
    _keep(lock, key)
    return key


def _can_ask() -> bool:
    return os.isatty(0) and os.isatty(2) and in_front()


def _keep(lock: Lock, key: Secret) -> None:
    with suppress(OSError):  # without it the person is asked again
        kernel_keyring.keep(_kept_name(lock), key.reveal().encode(), KEPT_S)


def _kept_name(lock: Lock) -> str:
    # What systemd-creds sealed is long, and /proc/keys shows names to everybody who may search for the key.
    value = lock.value if lock.kind == PASSPHRASE else sha256(lock.value.encode()).hexdigest()
    return f"nono:credentials:{value}"


def _systemd_creds(environ: Mapping[str, str], action: str, text: str) -> Secret | None:
    """Encrypt or decrypt `text` for this user (systemd-creds(1), since systemd 256); None if impossible."""
    # Imported here: a run with other sources needs neither subprocess nor an event loop.
    from nono.credentials.helpers.command import helper_environment, run_helper_and_wait
    from nono.credentials.helpers.outcome import Succeeded
    from nono.credentials.helpers.program import find_program

    try:
        program = find_program("systemd-creds", environ)
    except CredentialUnavailable:
        return None
    argv = [program, "--user", _NAME, action, "-", "-"]
    outcome = run_helper_and_wait(
        argv, helper_environment(environ), timeout_s=TIMEOUT_S, stdin=text.encode("ascii", "replace")
    )
    return outcome.stdout if isinstance(outcome, Succeeded) else None
