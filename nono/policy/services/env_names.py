"""Check which variables of the command may hold a credential or its phantom."""

import re

from nono.policy.environment.inheritance import is_dangerous

# Programs need these, so they are inherited but cannot hold a credential.
_FORBIDDEN_DESTINATIONS = frozenset({"PATH", "HOME", "SHELL"})

_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"


def may_hold_credential(variable: str) -> bool:
    """Return True if a credential may be written to `variable`."""
    upper = variable.upper()
    forbidden = upper in _FORBIDDEN_DESTINATIONS or upper.startswith("NONO_") or is_dangerous(variable)
    return bool(re.fullmatch(_VARIABLE, variable, re.ASCII)) and not forbidden


def derived_variable(credential_key: str) -> str | None:
    """Return the variable a reference implies: the name in env://, a bare name in upper case; else None."""
    scheme, separator, name = credential_key.partition("://")
    if not separator:
        name = credential_key.upper()
    elif scheme != "env":
        return None
    return name if may_hold_credential(name) else None
