"""Decide which keys in the environment become phantoms in learn mode, and which are withheld."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from nono.policy.builtin import shipped
from nono.policy.learning.scope import is_secret_name

_VARIABLE = "env://"


def services_with_keys(environ: Mapping[str, str], known: Collection[str]) -> tuple[str, ...]:
    """Return the shipped services whose key is in the environment, except those already in `known`."""
    services = shipped.network_policy().services
    return tuple(
        name
        for name, fields in services.items()
        if name not in known
        and fields["credential_key"].startswith(_VARIABLE)
        and environ.get(fields["credential_key"].removeprefix(_VARIABLE))
    )


def withheld_variables() -> frozenset[str]:
    """Return the variables in which clients of shipped services look for a key.

    A phantom may still be set in them.
    """
    services = shipped.network_policy().services
    return frozenset(variable for fields in services.values() for variable in fields["env_vars"])


def inherited_secrets(names: Collection[str]) -> tuple[str, ...]:
    """Return the inherited variables whose names suggest a secret."""
    return tuple(sorted(name for name in names if is_secret_name(name)))
