"""Decide which keys in the environment become phantoms in learn mode, and which are withheld."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from nono.policy.builtin import shipped
from nono.policy.learning.scope import is_secret_name
from nono.policy.services.credential_service import CredentialService, variables_of

_VARIABLE = "env://"


def services_with_keys(environ: Mapping[str, str], used: Sequence[CredentialService]) -> tuple[str, ...]:
    """Return the shipped services whose key is in the environment, to be used beside those in use.

    Leaves out one whose variables another sets too: a service in use says where that key goes.
    """
    names = {service.name for service in used}
    taken = {variable for service in used for variable in variables_of(service)}
    found = []
    for name, fields in shipped.network_policy().services.items():
        key = fields["credential_key"]
        has_key = key.startswith(_VARIABLE) and environ.get(key.removeprefix(_VARIABLE))
        variables = (*fields["env_vars"], *fields["base_url_env_vars"])
        if has_key and name not in names and taken.isdisjoint(variables):
            found.append(name)
            taken.update(variables)
    return tuple(found)


def withheld_variables() -> frozenset[str]:
    """Return the variables in which clients of shipped services look for a key.

    A phantom may still be set in them.
    """
    services = shipped.network_policy().services
    return frozenset(variable for fields in services.values() for variable in fields["env_vars"])


def inherited_secrets(names: Collection[str]) -> tuple[str, ...]:
    """Return the inherited variables whose names suggest a secret."""
    return tuple(sorted(name for name in names if is_secret_name(name)))
