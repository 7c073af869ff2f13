"""Ask a password manager's program for one value, and interpret its errors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nono.credentials.helpers.outcome import Failed, Succeeded, told
from nono.credentials.helpers.program import find_program
from nono.credentials.values.errors import CredentialNotFound, CredentialUnavailable
from nono.errors import CredentialError
from nono.secret import Secret

TIMEOUT_S = 30.0  # a person may have to approve it by fingerprint or passphrase


@dataclass(frozen=True, slots=True)
class Manager:
    """The command line of a password manager."""

    program: str
    variables: tuple[str, ...]  # its own environment variables; a name that ends in '_' is a prefix
    locked: re.Pattern[str]  # matches its standard error when somebody must sign in or unlock first
    absent: re.Pattern[str]  # matches its standard error when there is no such entry
    install_hint: str
    unlock_hint: str


def ask(manager: Manager, arguments: Sequence[str], shown: str, environ: Mapping[str, str]) -> Secret:
    """Return all that the program prints, which may be empty.

    shown: the redacted reference, for messages, which never repeat the program's output.

    Raises CredentialNotFound if it knows no such entry, CredentialUnavailable if it is missing, locked, or
    fails.
    """
    # Imported here: a run with other sources needs neither subprocess nor an event loop.
    from nono.credentials.helpers.command import helper_environment, run_helper_and_wait

    try:
        program = find_program(manager.program, environ)
    except CredentialUnavailable as error:
        raise CredentialUnavailable(
            f"{shown}: {error.message}", hint=error.hint or manager.install_hint
        ) from None
    outcome = run_helper_and_wait(
        [program, *arguments], helper_environment(environ, *manager.variables), timeout_s=TIMEOUT_S
    )
    match outcome:
        case Succeeded():
            return outcome.stdout
        case Failed():
            raise _refused(manager, outcome.said, outcome.exit_status, shown)
        case _:
            raise CredentialUnavailable(
                f"{shown}: {manager.program} {told(outcome)}", hint=manager.unlock_hint
            )


def locked(manager: Manager, shown: str) -> CredentialUnavailable:
    return CredentialUnavailable(
        f"{shown}: {manager.program} is locked, or not signed in", hint=manager.unlock_hint
    )


def _refused(manager: Manager, said: Secret, exit_status: int, shown: str) -> CredentialError:
    # Locked first: a locked vault may also report that it could not find the item.
    if manager.locked.search(said.reveal()):
        return locked(manager, shown)
    if manager.absent.search(said.reveal()):
        return CredentialNotFound(f"{shown}: {manager.program} knows no such entry")
    return CredentialUnavailable(
        f"{shown}: {manager.program} failed (exit status {exit_status})",
        hint=f"run {manager.program} in a terminal to see what it says",
    )
