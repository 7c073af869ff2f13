"""Read credentials from the system keyring, in a thread that is abandoned if the keyring does not answer.

A keyring call is D-Bus traffic with a daemon that may be absent, stuck, or waiting for a password in a window
nobody sees, and the library has no timeout. The thread is a daemon thread, so a call that never returns does
not keep the process alive.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing

from nono.credentials.sources import keyring_backend
from nono.credentials.values.content import decode_go_keyring, require_credential, secret_from_text
from nono.credentials.values.errors import CredentialNotFound, CredentialUnavailable
from nono.credentials.values.reference import KeyringReference
from nono.errors import LaunchError, NonoError
from nono.printable import shell_word
from nono.secret import Secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queue import SimpleQueue

    from keyring.backend import KeyringBackend

    from nono.credentials.sources.keyring_backend import Library
    from nono.credentials.sources.secret_service import SecretService

    type Readable = SecretService | Library

AVAILABILITY_TIMEOUT_S = 2.0  # for a daemon to answer
UNLOCK_TIMEOUT_S = 120.0  # for a person to unlock it, unless the variable says otherwise
_REMINDER_S = 3.0  # then a person is told what is waited for
_TURN_S = 0.2  # between two looks for a signal that would end the wait
_UNLOCK_VARIABLE = "NONO_KEYRING_TIMEOUT_SECS"
_MAX_DUPLICATES = 16

_BUS = "DBUS_SESSION_BUS_ADDRESS"

_NO_DAEMON_HINT = (
    "nono credential set NAME keeps a credential without a keyring; env:// and file:// need none either"
)


def read(
    reference: KeyringReference,
    environ: Mapping[str, str],
    warn: Callable[[str], None] = lambda sentence: None,
) -> Secret:
    """Return the entry's value, after asking for the keyring to be unlocked if it is locked.

    warn: told of a malformed time limit in `environ`.

    Raises CredentialNotFound if there is no such entry, CredentialUnavailable if no keyring answers, it
    stayed locked, several entries match the name, or the value cannot be a credential.
    """
    shown = reference.redacted()
    if environ.get(_UNLOCK_VARIABLE) and not _is_seconds(environ[_UNLOCK_VARIABLE]):
        warn(f"{_UNLOCK_VARIABLE} is not a number of seconds; the keyring gets {UNLOCK_TIMEOUT_S:g} s")
    readable = _readable(environ)

    def get() -> str | int | None:
        with closing(readable):
            attributes = {"service": reference.service, "username": reference.account}
            count = len(readable.accounts(attributes))
            return count if count > 1 else readable.password(reference.service, reference.account)

    value = _within(_unlock_timeout_s(environ), shown, get)
    if isinstance(value, int):
        raise CredentialUnavailable(
            f"Multiple entries ({value}) found for {shown}: resolve manually",
            hint=f"secret-tool search --all service {shell_word(reference.service)} lists them",
        )
    if value is None:
        raise CredentialNotFound(f"{shown}: the system keyring has no such entry")
    return decode_go_keyring(value, shown) if reference.go_keyring else secret_from_text(value, shown)


def write(reference: KeyringReference, secret: Secret, environ: Mapping[str, str]) -> None:
    """Store or replace an entry. Raises CredentialUnavailable if storing was not confirmed.

    After a timeout the thread may still succeed later, if somebody unlocks the keyring after all.
    """
    require_credential(secret, reference.redacted())
    backend = _backend(environ)
    _within(
        _unlock_timeout_s(environ),
        reference.redacted(),
        lambda: backend.set_password(reference.service, reference.account, secret.reveal()),
    )


def delete(reference: KeyringReference, environ: Mapping[str, str]) -> bool:
    """Remove an entry. Returns False if there was none.

    Raises CredentialUnavailable if the keyring gave no answer.
    """
    backend = _backend(environ)

    def remove() -> bool:
        for removed in range(_MAX_DUPLICATES):  # the library deletes one of several equal entries at a time
            if backend.get_password(reference.service, reference.account) is None:
                return removed > 0
            backend.delete_password(reference.service, reference.account)
        return True

    return _within(_unlock_timeout_s(environ), reference.redacted(), remove)


def accounts(service: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the accounts stored under `service`, sorted; they are attributes, readable without unlocking.

    Empty too for a keyring that cannot list (only the Secret Service can). Raises CredentialUnavailable if
    the keyring gave no answer.
    """
    with closing(_readable(environ)) as readable:
        return _within(
            AVAILABILITY_TIMEOUT_S, f"keyring://{service}", lambda: readable.accounts({"service": service})
        )


def _readable(environ: Mapping[str, str]) -> Readable:
    """Return the keyring that answers, to be closed.

    Raises CredentialUnavailable if none does, within 2 s.
    """
    answering = None
    # Without a bus it would take a thousand times as long to import what finds that out.
    if environ.get(_BUS) and keyring_backend.prefers_secret_service(environ):
        # Imported here: most keys are found before the keyring is needed; outside the time that a daemon has.
        from nono.credentials.sources import secret_service

        answering = _within(AVAILABILITY_TIMEOUT_S, "system keyring", secret_service.connect)
    if answering is None and keyring_backend.may_find_another(environ):
        return keyring_backend.Library(_backend(environ))
    if answering is None:
        raise CredentialUnavailable("no system keyring answers here", hint=_NO_DAEMON_HINT)
    return answering


def _backend(environ: Mapping[str, str]) -> KeyringBackend:
    """Return the keyring that answers. Raises CredentialUnavailable if none does, within 2 s."""
    keyring_backend.load()  # outside the time that a daemon has, as above
    backend = _within(AVAILABILITY_TIMEOUT_S, "system keyring", lambda: _answering(environ))
    if backend is None:
        raise CredentialUnavailable("no system keyring answers here", hint=_NO_DAEMON_HINT)
    return backend


def _answering(environ: Mapping[str, str]) -> KeyringBackend | None:
    backend = keyring_backend.choose(environ)
    if backend is None or not keyring_backend.is_secret_service(backend):
        return backend
    # The library asks the bus who has the name, and a daemon that is stuck has it too.
    from nono.credentials.sources import secret_service

    answering = secret_service.connect()
    if answering is None:
        return None
    answering.close()
    return backend


def _unlock_timeout_s(environ: Mapping[str, str]) -> float | None:
    """Return the time limit for unlocking; None for no limit. A malformed value counts as not given."""
    text = environ.get(_UNLOCK_VARIABLE, "")
    return (float(text) or None) if _is_seconds(text) else UNLOCK_TIMEOUT_S


def _is_seconds(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9


def _within[T](timeout_s: float | None, shown: str, work: Callable[[], T]) -> T:
    """Return the result of `work`. Raises CredentialUnavailable if it took longer, or failed.

    Only the type of a failure is reported: a backend's message may quote the value it could not store.

    Raises LaunchError if a signal that ends nono came meanwhile. A run blocks them until its command is
    served.
    """
    # Imported here: most keys are found before the keyring is needed.
    import threading
    from queue import SimpleQueue as Answers

    answers: SimpleQueue[tuple[T] | str] = Answers()

    def run() -> None:
        try:
            answers.put((work(),))
        except BaseException as error:
            answers.put(type(error).__name__)

    threading.Thread(target=run, name="nono-keyring", daemon=True).start()
    answer = _awaited(answers, timeout_s)
    if not isinstance(answer, str):
        return answer[0]
    raise _failure(answer, shown, timeout_s)


def _awaited[T](answers: SimpleQueue[tuple[T] | str], timeout_s: float | None) -> tuple[T] | str:
    """Return the answer, or "timeout". Raises LaunchError for a signal that ends nono."""
    # Imported here, as above; signal would hold up a run that has its keys elsewhere.
    import signal
    from queue import Empty

    began, is_told = time.monotonic(), False
    while True:
        waited_s = time.monotonic() - began
        left_s = _TURN_S if timeout_s is None else timeout_s - waited_s
        try:
            return answers.get(timeout=max(0, min(left_s, _TURN_S)))
        except Empty:
            if left_s <= 0:
                return "timeout"
        ending = signal.sigpending() & {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
        if ending:
            raise LaunchError("ended while the system keyring was asked", exit_code=128 + min(ending))
        if waited_s >= _REMINDER_S and not is_told:
            is_told = True
            print("nono: waiting for the system keyring; it may ask for its password", file=sys.stderr)


def _failure(reason: str, shown: str, timeout_s: float | None) -> NonoError:
    match reason:
        case "timeout":
            text = f"the system keyring did not answer within {timeout_s:g} s"
        case "KeyringLocked" | "LockedException" | "PromptDismissedException":
            text = "the system keyring is locked, and was not unlocked"
        case _:
            text = f"the system keyring failed ({reason})"
    return CredentialUnavailable(f"{shown}: {text}", hint=_NO_DAEMON_HINT)
