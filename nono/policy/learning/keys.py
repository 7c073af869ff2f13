"""Decide which keys in the environment become phantoms in learn mode, and which are withheld."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from nono.policy.builtin import shipped
from nono.policy.learning.scope import is_secret_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_VARIABLE = "env://"


def services_with_keys(environ: Mapping[str, str], known: Collection[str]) -> tuple[str, ...]:
    """Return the shipped services whose key is in the environment, except those already in `known`.

    Of two that set one variable the first is returned, and neither if `known` has one.
    """
    services = shipped.network_policy().services
    taken = {variable for name in known if name in services for variable in _variables(services[name])}
    found = []
    for name, fields in services.items():
        key = fields["credential_key"]
        has_key = key.startswith(_VARIABLE) and environ.get(key.removeprefix(_VARIABLE))
        if has_key and name not in known and taken.isdisjoint(_variables(fields)):
            found.append(name)
            taken.update(_variables(fields))
    return tuple(found)


def _variables(fields: Mapping[str, Any]) -> list[str]:
    return [*fields["env_vars"], *fields["base_url_env_vars"]]


def withheld_variables() -> frozenset[str]:
    """Return the variables in which clients of shipped services look for a key.

    A phantom may still be set in them.
    """
    services = shipped.network_policy().services
    return frozenset(variable for fields in services.values() for variable in fields["env_vars"])


def inherited_secrets(names: Collection[str]) -> tuple[str, ...]:
    """Return the inherited variables whose names suggest a secret."""
    return tuple(sorted(name for name in names if is_secret_name(name)))
