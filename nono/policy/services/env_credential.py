"""Resolve credentials that a run passes to the command itself, in a variable and without the proxy."""

import re
from collections.abc import Iterable, Mapping

from nono.errors import UsageError, invalid
from nono.policy.schema.routes import EnvCredential
from nono.policy.services.env_names import may_hold_credential

EnvCredentials = tuple[tuple[str, str], ...]  # (credential reference, variable); each variable once

_BARE_KEY = r"[A-Za-z0-9_]+"
_NAMED_ONLY = ("op", "bw", "file", "cmd")  # schemes that imply no variable


def env_credentials(
    in_profile: Mapping[str, str | EnvCredential],
    listed: str | None,
    mapped: Iterable[tuple[str, str]],
) -> EnvCredentials:
    """Return references and their variables: --env-credential-map over --env-credential over the profile.

    Raises ConfigError or UsageError for an entry without a variable, or one that may not hold a credential.
    """
    by_variable: dict[str, str] = {}
    for reference, target in in_profile.items():
        variable = target if isinstance(target, str) else target.env_var
        by_variable[_checked(variable, "env_credentials")] = reference
    for entry in (listed or "").split(","):
        if entry.strip():
            reference, variable = parse_list_entry(entry.strip())
            by_variable[_checked(variable, "--env-credential")] = reference
    for reference, variable in mapped:
        by_variable[_checked(variable, "--env-credential-map")] = reference
    return tuple((reference, variable) for variable, reference in by_variable.items())


def parse_list_entry(entry: str) -> tuple[str, str]:
    """Split ``name``, ``env://X``, ``env://X=Y`` or ``op://v/i/f=VAR`` into reference and variable.

    Raises UsageError if the entry is malformed or implies no variable.
    """
    scheme, separator, rest = entry.partition("://")
    if not separator:
        if not re.fullmatch(_BARE_KEY, entry, re.ASCII):
            raise UsageError("--env-credential: an account's name holds letters, digits and '_'.")
        return entry, entry.upper()
    if scheme in ("apple-password", "apple-passwords"):
        raise UsageError(
            f"--env-credential: {scheme}:// credentials exist on macOS only.", hint="nono credential set NAME"
        )
    if scheme == "keyring":
        raise UsageError(
            "--env-credential: keyring:// references do not fit in a list.",
            hint="--env-credential-map 'keyring://...' VARIABLE",
        )
    reference, equals, variable = entry.rpartition("=")
    if equals and variable:
        return reference, variable
    if scheme == "env" and not equals:
        return entry, rest
    kind = f"reference by {scheme}://" if scheme in _NAMED_ONLY else "reference"
    raise UsageError(
        f"--env-credential: a {kind} needs its variable.", hint=f"--env-credential '{scheme}://...=VARIABLE'"
    )


def _checked(variable: str, origin: str) -> str:
    if not may_hold_credential(variable):
        raise invalid(origin, f"{variable!a} may not hold a credential")
    return variable
